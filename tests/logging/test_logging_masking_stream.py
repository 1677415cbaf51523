"""Output in chunks is masked like the whole output."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicd_common.logging import MaskingStream, SecretMasker
from cicd_common.logging.masking import process_masker
from tests.support.logging_strategies import FORMS, forms_of, secrets, tangled, texts


def masker_of(*known: str) -> SecretMasker:
    masker = SecretMasker()
    for secret in known:
        masker.add(secret)
    return masker


def through(masker: SecretMasker, chunks: list[str]) -> str:
    seen: list[str] = []
    with MaskingStream(seen.append, masker) as stream:
        for chunk in chunks:
            stream.write(chunk)
    return "".join(seen)


def bytes_through(masker: SecretMasker, chunks: list[bytes]) -> bytes:
    seen: list[bytes] = []
    with MaskingStream(seen.append, masker) as stream:
        for chunk in chunks:
            stream.write(chunk)
    return b"".join(seen)


@st.composite
def outputs(draw: st.DrawFn) -> tuple[list[str], str]:
    """Secrets, with output made of them, of their parts and of other text."""
    known = draw(st.lists(secrets, min_size=1, max_size=2) | tangled)
    some = st.sampled_from(known)
    part = st.builds(lambda secret, start, end: secret[start:end], some, st.integers(0, 8), st.integers(0, 12))
    written = st.builds(lambda secret, way: FORMS[way](secret), some, st.sampled_from(list(FORMS)))
    return known, "".join(draw(st.lists(some | part | written | texts | st.text("ab*"), max_size=8)))


def cuts(length: int, places: list[float]) -> Iterator[tuple[int, int]]:
    return pairwise([0, *sorted(int(place * length) for place in places), length])


places = st.lists(st.floats(0, 1), max_size=30)


class TestMaskingStream:
    """The stream masks chunks and passes them on."""

    @given(outputs(), places)
    def test_as_the_whole(self, output: tuple[list[str], str], places: list[float]) -> None:
        """The result does not depend on the chunks, and has no form of a secret."""
        known, text = output
        masker = masker_of(*known)
        seen = through(masker, [text[start:end] for start, end in cuts(len(text), places)])
        assert masker.mask(text) == seen
        assert not [form for secret in known for form in forms_of(secret) if form in seen]

    @given(outputs())
    def test_one_character_at_a_time(self, output: tuple[list[str], str]) -> None:
        """Chunks of one character give the same result."""
        masker = masker_of(*output[0])
        assert masker.mask(output[1]) == through(masker, list(output[1]))

    @given(outputs(), places)
    def test_bytes(self, output: tuple[list[str], str], places: list[float]) -> None:
        """Bytes give the same result, also if they are cut within characters."""
        known, text = output
        masker, octets = masker_of(*known), text.encode()
        seen = bytes_through(masker, [octets[start:end] for start, end in cuts(len(octets), places)])
        assert masker.mask(text).encode() == seen

    @given(st.binary(), places)
    def test_other_bytes_are_kept(self, octets: bytes, places: list[float]) -> None:
        """Bytes that are no text are not changed."""
        chunks = [octets[start:end] for start, end in cuts(len(octets), places)]
        assert octets == bytes_through(masker_of("hunter2hunter2"), chunks)

    @pytest.mark.parametrize(
        ("known", "chunks", "expected"),
        [
            (["hunter2hunter2"], ["hunter2hun", "hunter2hunter2"], "hunter2hun***"),
            (["hunter2hunter2"], ["hunter2", "hunter2"], "***"),
            (["hunter2hunter2"], ["hunter2hunter"], "hunter2hunter"),
            (["abcdefgh", "efghijkl"], ["abcdefgh", "ijkl"], "***"),
            (["abcdefgh", "efghijkl"], ["abcdefgh", "ij-"], "***ij-"),
            (["abcdefgh12345", "efgh1234"], ["abcdefgh1234", "x"], "abcd***x"),
            (["abcdefgh12345", "efgh1234"], ["abcdefgh1234", "5x"], "***x"),
            (["abcdefgh"], ["abcdefgh", "abcdefgh", "-"], "***-"),
            (["-----BEGIN-----\nMIIBOgIBAAJ\nab==\n"], ["MIIBO", "gIBAAJ\n"], "***\n"),
        ],
    )
    def test_named_cases(self, known: list[str], chunks: list[str], expected: str) -> None:
        """Known leaks of other maskers are masked."""
        assert expected == through(masker_of(*known), chunks)

    def test_hands_on_at_once(self) -> None:
        """Only the possible beginning of a secret is kept back."""
        seen: list[str] = []
        stream = MaskingStream(seen.append, masker_of("hunter2hunter2"))
        assert stream.write("text ") == 5
        stream.write("hunt")
        assert seen == ["text "]
        stream.write("ing")
        assert seen == ["text ", "hunting"]

    def test_bounded_memory(self) -> None:
        """The stream keeps back less than the longest form of a secret, also within an endless one."""
        masker = masker_of("abababab", "x" * 50)
        stream = MaskingStream(lambda _: None, masker)
        for chunk in ["ab" * 50, "x" * 49, "y"] * 100:
            stream.write(chunk)
            assert len(stream._held) < 100

    def test_secret_added_on_the_way(self) -> None:
        """A secret is masked from the time it is added; the default masker is the process's."""
        seen: list[str] = []
        stream = MaskingStream(seen.append)
        stream.write("hunter2hunter2 ")
        process_masker.add("hunter2hunter2")
        stream.write("hunter2hunter2 ")
        assert seen == ["hunter2hunter2 ", "*** "]

    def test_close_again(self) -> None:
        """A second `close`, and a `close` without a write before it, pass nothing on."""
        seen: list[str] = []
        stream = MaskingStream(seen.append, masker_of("hunter2hunter2"))
        stream.close()
        stream.write("hunter")
        stream.close()
        stream.close()
        assert seen == ["hunter"]

    def test_failing_write(self) -> None:
        """Output that was passed to a failing `write` is not passed again."""
        seen: list[str] = []

        def fail_once(text: str) -> None:
            if not seen:
                seen.append("failed")
                raise OSError
            seen.append(text)

        stream = MaskingStream(fail_once, masker_of("hunter2hunter2"))
        with pytest.raises(OSError):  # noqa: PT011 - any OSError
            stream.write(" ")
        stream.write("-")
        assert seen == ["failed", "-"]

    def test_add_is_effective_at_once(self) -> None:
        """After `add` has returned, no thread passes the secret on."""
        masker, stop = SecretMasker(), threading.Event()
        seen: list[str] = []

        def chatter() -> None:
            stream = MaskingStream(seen.append, masker)
            while not stop.is_set():
                stream.write("x hunter2hunter2 y")

        threads = [threading.Thread(target=chatter) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            _await(lambda: len(seen) > 0)
            masker.add("hunter2hunter2")
            size = len(seen)
            _await(lambda: len(seen) > size + 100)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not [text for text in seen[size:] if "hunter2" in text]


def _await(condition: Callable[[], bool]) -> None:
    while not condition():
        pass
