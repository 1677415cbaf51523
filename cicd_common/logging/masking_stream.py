"""Secrets, kept out of output that comes in pieces."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from ._fork import renew_lock_in_child
from ._needles import Needles, spans
from .masking import SecretMasker, process_masker

__all__ = ["MaskingStream"]

Chunk = TypeVar("Chunk", str, bytes)


class MaskingStream(Generic[Chunk]):
    """Masks the output of a job, in chunks of any size, cut anywhere, and hands it on.

    What it hands on is the same for every way to cut the output, and the same as `SecretMasker.mask` makes of the
    whole. It keeps back no more than the end of a chunk that could be the beginning of a secret. As a context manager
    it is closed at the end of the block.

    Args:
        write: Called with what may be seen, of the type of the chunks: all text or all bytes (UTF-8).
        masker: Knows the secrets; by default the one of the process.

    Attributes:
        lock: Held while a chunk is masked and handed on.
    """

    __slots__ = ("__weakref__", "_covered", "_held", "_masker", "_write", "lock")

    def __init__(self, write: Callable[[Chunk], object], masker: SecretMasker | None = None) -> None:
        self.lock = threading.RLock()
        self._write: Callable[[Chunk], object] = write
        self._masker = masker if masker is not None else process_masker
        self._held: Chunk | None = None
        # How much of what is held belongs to a secret that a mask was handed on for already; -1: no mask was the last.
        self._covered = -1
        renew_lock_in_child(self)
        self._masker.watch(cast(Any, self))

    def __enter__(self) -> MaskingStream[Chunk]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, chunk: Chunk) -> int:
        """Take a chunk, and hand on all that is certain to be no part of a secret.

        Args:
            chunk: The next piece of output.

        Returns:
            The length of the chunk: all of it was taken.

        Raises:
            Exception: Whatever ``write`` raises; what it was given then counts as handed on.
        """
        with self.lock:
            self._hand_on(chunk if self._held is None else self._held + chunk, last=False)
        return len(chunk)

    def close(self) -> None:
        """Hand on what was kept back. To be called at the end of the output; again does nothing."""
        with self.lock:
            if self._held is not None:
                self._hand_on(self._held, last=True)

    def wait_for_writes(self) -> None:
        """Return once no other thread is handing on what was masked before this call."""
        self.lock.acquire()
        self.lock.release()

    def _hand_on(self, data: Chunk, *, last: bool) -> None:
        needles = self._masker.needles
        if isinstance(data, str):
            text, known = data, needles.texts
        else:
            text, known = data.decode("latin-1"), needles.octets
        until = len(text) if last else _certain(text, known)
        seen = self._masked(text, until, known, needles)
        self._held = data[until:]
        if seen:
            self._write(cast(Any, seen if isinstance(data, str) else seen.encode("latin-1")))

    def _masked(self, text: str, until: int, known: tuple[str, ...], needles: Needles) -> str:
        """The masked text up to a place, where no secret begins before it that is not in the text as a whole."""
        pieces, at, covered = [], max(self._covered, 0), self._covered
        for start, end in spans(text, known):
            if start >= until:
                break
            if start > covered:
                pieces += [text[at:start], needles.mask]
            covered = at = max(end, covered)
        pieces.append(text[at:until])
        self._covered = covered - until if covered >= until else -1
        return "".join(pieces)


def _certain(text: str, needles: tuple[str, ...]) -> int:
    """The first place in a text where a needle may begin that the text ends before the end of; or its end."""
    first = len(text)
    for needle in needles:
        start = text.find(needle[0], max(0, len(text) - len(needle) + 1), first)
        while start >= 0 and not needle.startswith(text[start:]):
            start = text.find(needle[0], start + 1, first)
        first = start if start >= 0 else first
    return first
