"""No form of a secret is in any output."""

from __future__ import annotations

import base64
import io
import json
import logging
import threading
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cicd_common.logging import ConsoleFormatter, JsonFormatter, SecretMasker, capture_logs, execution_context
from cicd_common.logging._forms import octets_of
from cicd_common.logging.sinks import StreamSink
from tests.support.logging_helpers import Written, fail
from tests.support.logging_strategies import FORMS, HARD, forms_of, secrets, tangled, texts


def masker_of(*known: str) -> SecretMasker:
    masker = SecretMasker()
    for secret in known:
        masker.add(secret)
    return masker


def strings_in(value: Any) -> list[str]:
    """Return all strings in JSON data, with the keys."""
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in [key, *strings_in(item)]]
    if isinstance(value, list):
        return [text for item in value for text in strings_in(item)]
    return [value if isinstance(value, str) else json.dumps(value)]


def record_of(**attributes: Any) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "other", "levelno": 20, "levelname": "INFO", **attributes})


def log_at_place(log: Any, place: str, text: str) -> None:
    """Log a text in one of the places of a line."""
    if place == "exception":
        try:
            fail(ValueError(text))
        except ValueError:
            log.exception("failed")
    elif place == "context":
        with execution_context(job_execution_id=text, owner=[text]):
            log.info("message")
    elif place == "thread name":
        thread = threading.Thread(target=log.info, args=("message",), name=text)
        thread.start()
        thread.join()
    else:
        _CALLS[place](log, text)


_CALLS: dict[str, Any] = {
    "message": lambda log, text: log.info(text),
    "argument": lambda log, text: log.info("%s and %r", text, text),
    "named argument": lambda log, text: log.info("%(a)s", {"a": text}),
    "bad format": lambda log, text: log.info("%d %s", text, text),
    "field": lambda log, text: log.info("message", field=text),
    "key": lambda log, text: log.info("message", **{text: 1}),
    "nested": lambda log, text: log.info("message", field={"a": [{text: (text, {text})}]}),
    "bound": lambda log, text: log.bind(field=text).info("message"),
    "extra": lambda log, text: log.logger.info("message", extra={"field": text}),
    "object": lambda log, text: log.info(ValueError(text), field=ValueError(text)),
    "octets": lambda log, text: log.info("message", field=octets_of(text)),
    "level name": lambda log, text: log.logger.handle(record_of(levelname=text)),
    "logger name": lambda log, text: log.logger.handle(record_of(name=text)),
    "stack": lambda log, text: log.logger.handle(record_of(stack_info=text)),
    "text of an exception": lambda log, text: log.logger.handle(record_of(exc_text=text)),
}
PLACES = (*_CALLS, "exception", "context", "thread name")


class TestEncodings:
    """Every spelling of a secret is found, and every rule is needed."""

    @pytest.mark.parametrize(("encoding", "way"), FORMS)
    def test_masked(self, encoding: str, way: str) -> None:
        """The spellings of other programs are masked."""
        form = FORMS[encoding, way](HARD)
        assert masker_of(HARD).mask(f"x {form} y") == "x *** y"

    @given(
        secrets,
        st.binary(max_size=6),
        st.binary(max_size=6),
        st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]),
    )
    def test_base64_of_any_neighbours(self, secret: str, before: bytes, after: bytes, encode: Any) -> None:
        """At most two digits at either end of an encoded secret are left, whatever stands next to it."""
        encoded = encode(before + secret.encode() + after).decode()
        masker = masker_of(secret)
        left = masker.mask(encoded).replace(masker.mask_octets.decode(), "").rstrip("=")
        assert len(left) <= (8 * len(before) + 11) // 6 + (8 * len(after) + 11) // 6

    def test_bytes_of_the_environment(self) -> None:
        """A secret that is not UTF-8 is masked as its bytes are written."""
        secret = b"p\xe4ssword1234".decode("utf-8", "surrogateescape")
        assert masker_of(secret).mask("x " + b"p\xe4ssword1234".hex()) == "x ***"

    def test_lone_surrogates(self) -> None:
        """A secret that no encoding can write is still masked."""
        assert masker_of("p\ud800ssword").mask("x p\ufffdssword") == "x ***"
        assert masker_of("p\ud800ssword").mask("x p\ud800ssword") == "x ***"


class TestMask:
    """Secrets in a text are masked."""

    @given(secrets, texts, texts, st.sampled_from(list(FORMS)))
    def test_no_form_is_left(self, secret: str, before: str, after: str, form: tuple[str, str]) -> None:
        """No form of a secret is left, whatever stands around it."""
        masked = masker_of(secret).mask(before + FORMS[form](secret) + after)
        assert not [form for form in forms_of(secret) if form in masked]

    @given(tangled, st.text("ab*x", max_size=60))
    def test_tangled_secrets(self, known: list[str], text: str) -> None:
        """Overlapping secrets leave nothing, also if one contains a mask."""
        masker = masker_of(*(secret for secret in known))
        masked = masker.mask(text)
        assert not [secret for secret in known if secret in masked]
        assert masked == masker.mask(masked)

    @given(st.lists(secrets, max_size=3), texts)
    def test_twice_is_once(self, known: list[str], text: str) -> None:
        """Masking a masked text changes nothing."""
        masker = masker_of(*known)
        masked = masker.mask("".join([text, *known, text]))
        assert masked == masker.mask(masked)

    @given(secrets, texts)
    def test_other_text_is_kept(self, secret: str, text: str) -> None:
        """A text without secrets is the same object."""
        masker = masker_of(secret)
        if not masker.holds(text):
            assert masker.mask(text) is text

    @pytest.mark.parametrize(
        ("known", "text", "expected"),
        [
            (["abcdefgh", "ghijklmn"], "-abcdefghijklmn-", "-***-"),
            (["abcdefgh", "bcdefghi"], "-abcdefghi-", "-***-"),
            (["abcdefgh", "abcdefghij"], "-abcdefghij-", "-***-"),
            (["abababab"], "-ababababab-", "-***-"),
            (["abcdefgh"], "abcdefghabcdefgh", "***"),
            (["*starred*"], "-*starred*-", "-[masked]-"),
            (["[*starred*]"], "-[*starred*]-", "-***-"),
            (["-----BEGIN KEY-----\nMIIBOgIBAAJ\nab==\n"], "x MIIBOgIBAAJ y", "x *** y"),
            (["-----BEGIN KEY-----\nMIIBOgIBAAJ\nab==\n"], "ab==", "ab=="),
            (["hunter2hunter2\n"], "x hunter2hunter2 y", "x *** y"),
            (["hunter2hunter2"], base64.b64encode(b"hunter2hunter2\n").decode(), "***IK"),
        ],
    )
    def test_named_cases(self, known: list[str], text: str, expected: str) -> None:
        """Known leaks of other maskers are masked."""
        assert expected == masker_of(*known).mask(text)

    def test_all_masks_collide(self) -> None:
        """If secrets end like every possible mask, the default mask is used."""
        ends = ["*aaaaaaaa", "]aaaaaaaa", ">aaaaaaaa", ")aaaaaaaa", "}aaaaaaaa", "#aaaaaaaa"]
        assert masker_of("hunter2hunter2", *ends).mask("x hunter2hunter2 y") == "x *** y"


class TestAdd:
    """Secrets are added to a masker."""

    @pytest.mark.parametrize("secret", ["", "1234567", "  1234567 ", " " * 20])
    def test_too_short(self, secret: str) -> None:
        """A secret that would mask ordinary text is refused, and not repeated."""
        with pytest.raises(ValueError, match="too short to be masked, expected 8 or more") as caught:
            SecretMasker().add(secret)
        assert not secret.strip() or secret.strip() not in str(caught.value)

    def test_repr_tells_only_how_many(self) -> None:
        """The repr of a masker has only the number of its secrets."""
        assert repr(masker_of("hunter2hunter2", "correct horse")) == "<SecretMasker of 2 secrets>"

    def test_is_effective_at_once(self) -> None:
        """After `add` has returned, no thread writes the secret."""
        written = Written()
        stop = threading.Event()

        def chatter() -> None:
            while not stop.is_set():
                written.log.info("x hunter2hunter2 y", field="hunter2hunter2")

        threads = [threading.Thread(target=chatter) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            while not written.text:
                pass
            written.masker.add("hunter2hunter2")
            size = len(written.text)
            while len(written.text) < size + 10_000:
                pass
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert "hunter2" in written.text[:size]
        assert "hunter2" not in written.text[size:]

    def test_waits_for_lines_under_way(self) -> None:
        """A line that was masked without the secret is written before `add` returns."""
        written, order = Written(), []

        def add() -> None:
            written.masker.add("hunter2hunter2")
            order.append("added")

        adding = threading.Thread(target=add)

        class Slow(io.StringIO):
            def write(self, text: str) -> int:
                adding.start()
                adding.join(0.2)  # Enough time for `add` to return if it did not wait.
                order.append("written")
                return super().write(text)

        written.handler._sink = StreamSink(Slow())
        written.log.info("hunter2hunter2")
        adding.join()
        assert order == ["written", "added"]


class TestLines:
    """Secrets are masked in every place of a line."""

    @pytest.mark.parametrize("formatter", [JsonFormatter, ConsoleFormatter])
    @pytest.mark.parametrize("place", PLACES)
    @given(secret=secrets, before=texts, after=texts, form=st.sampled_from(list(FORMS)))
    @example(secret=HARD, before="", after="", form=("raw", "raw"))
    @example(secret="naaaaaaaa", before="\\", after="", form=("raw", "raw"))
    def test_no_form_in_line(
        self, formatter: Any, place: str, secret: str, before: str, after: str, form: tuple[str, str]
    ) -> None:
        """No form of a secret is in the written bytes, or in a string that is read back."""
        written = Written(formatter, secret)
        log_at_place(written.log, place, before + FORMS[form](secret) + after)
        strings = [written.text]
        if formatter is JsonFormatter:
            strings += [text for line in written.text.split("\n")[:-1] for text in strings_in(json.loads(line))]
        assert written.text.endswith("\n")
        assert not [(form, text) for form in forms_of(secret) for text in strings if form in text]

    @pytest.mark.parametrize("place", PLACES)
    def test_rest_of_line_is_kept(self, place: str) -> None:
        """Masking replaces only the secret."""
        written = Written(JsonFormatter, "hunter2hunter2")
        log_at_place(written.log, place, "before hunter2hunter2 after")
        assert "before *** after" in written.text

    @given(texts, st.dictionaries(texts, texts, max_size=3), secrets)
    def test_without_secrets_identical(self, message: str, fields: dict[str, str], secret: str) -> None:
        """A line without a secret does not depend on the known secrets."""
        record = record_of(msg=message, created=1e9, **{f"_{name}": fields[name] for name in fields})
        masker = masker_of(secret)
        line = JsonFormatter().format(record)
        if not masker.holds(line):
            assert line == JsonFormatter(masker=masker).format(record)

    @pytest.mark.parametrize("formatter", [JsonFormatter, ConsoleFormatter])
    @pytest.mark.parametrize(
        "secret", ["p\udce4ssword1", "p\ud800ssword", "pass\u2028wört", "pass\x85wörd", "ab\n\ncdefgh"]
    )
    @pytest.mark.parametrize("place", PLACES)
    def test_rewritten_secrets(self, formatter: Any, place: str, secret: str) -> None:
        """Secrets with characters that JSON escapes are masked."""
        written = Written(formatter, secret)
        log_at_place(written.log, place, f"<{secret}>")
        assert "ss" not in written.text.partition("message")[2].replace("message", "")
        assert "cdef" not in written.text

    def test_number(self) -> None:
        """A secret of digits is masked in numbers, too."""
        written = Written(JsonFormatter, "123456789")
        written.log.info("message", pin=123456789, amount=5.0)
        assert (written.last["pin"], written.last["amount"]) == ("***", 5.0)

    def test_format_itself(self) -> None:
        """A secret that is a word of the format masks the word."""
        written = Written(JsonFormatter, "severity_number", "pipeline")
        written.log.info("message", pipeline_name="x")
        assert '"***":9' in written.text
        assert '"cicd.***.name":"x"' in written.text

    def test_withheld(self) -> None:
        """A line that holds a secret after masking is withheld, and a notice is written."""
        written = Written(JsonFormatter, ',"message":"')
        written.log.info("message")
        assert written.text.strip() == "{}"
        written = Written(JsonFormatter, '"message":"hello"')
        written.log.info("hello")
        assert written.last["message"] == "a line was withheld, since it still held a secret after masking"

    def test_withheld_on_console(self) -> None:
        """A console line that holds a secret after masking is withheld, too."""
        written = Written(ConsoleFormatter, "jobs: hello")
        written.log.info("hello")
        assert "a line was withheld" in written.text
        written = Written(
            ConsoleFormatter, "a line was withheld", "withheld, since", "jobs: hello", "logging: ", time=False
        )
        written.log.info("hello")
        assert "hello" not in written.text

    def test_captured(self) -> None:
        """Captured entries are masked, too."""
        with capture_logs(masker=masker_of("hunter2hunter2")) as entries:
            logging.getLogger("x").info("hunter2hunter2")
        assert entries[0]["message"] == "***"
