"""The format of JSON lines."""

from __future__ import annotations

import json
import logging
import logging.config
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicd_common.logging import JsonFormatter, SecretMasker
from cicd_common.logging.formatters import LineFormatter
from tests.support.logging_helpers import Written, fail
from tests.support.logging_strategies import Unprintable, anything


def record_of(**attributes: Any) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "worker", "levelno": 20, "levelname": "INFO", "msg": "hello", "created": 1.25, **attributes}
    )


class TestJsonFormatter:
    def test_line(self) -> None:
        """The keys have a fixed order, without blanks."""
        expected = (
            '{"timestamp":"1970-01-01T00:00:01.250000Z","level":"INFO","severity_number":9,"logger":"worker",'
            '"message":"hello","service.name":"worker-7","a":1,"b":"é","thread.name":"other"}'
        )
        line = JsonFormatter(service="worker-7").format(record_of(a=1, b="é", threadName="other"))
        assert line == expected

    def test_exception(self) -> None:
        """An exception has the OpenTelemetry names, with the stack trace at the end."""
        written = Written(JsonFormatter)

        class OddError(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        for error in (KeyError("x"), OddError()):
            try:
                fail(error)
            except Exception:
                written.log.exception("failed", a=1)
        first, second = written.lines
        assert list(first)[5:] == ["a", "exception.type", "exception.message", "exception.stacktrace"]
        assert (first["exception.type"], first["exception.message"]) == ("KeyError", "'x'")
        assert first["exception.stacktrace"].endswith("\nKeyError: 'x'")
        assert second["exception.type"].endswith(".OddError")
        assert second["exception.type"].startswith(f"{__name__}.")
        assert second["exception.message"] == "<unprintable OddError>"

    def test_exception_without_stack_trace(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """If the stack trace cannot be made, the line has the reason."""
        monkeypatch.setattr("traceback.format_exception", lambda _: 1 / 0)
        written = Written(JsonFormatter)
        written.log.info("x", exc_info=ValueError("y"))
        assert written.last["exception.stacktrace"] == "<no stack trace: ZeroDivisionError>"

    @given(st.floats(0, 4e9))
    def test_timestamp(self, created: float) -> None:
        """The time equals that of datetime up to the last digit, since a float has no more."""
        stamp = json.loads(JsonFormatter().format(record_of(created=created)))["timestamp"]
        assert len(stamp) == 27
        moment = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%f%z")
        assert abs((moment - datetime.fromtimestamp(created, UTC)).total_seconds()) <= 2e-6

    @given(st.lists(st.floats(0, 4e9), min_size=1, max_size=5))
    def test_second_is_kept(self, times: list[float]) -> None:
        """One formatter writes any sequence of times as a new formatter writes each."""
        formatter = JsonFormatter()
        for created in [*times, times[0]]:
            assert formatter.format(record_of(created=created)) == JsonFormatter().format(record_of(created=created))

    @given(st.dictionaries(st.text(st.characters(), min_size=1), anything, max_size=4), st.text(), st.booleans())
    def test_slow_way_is_the_same(self, extra: dict[str, Any], message: str, error: bool) -> None:
        """The rendering for lines with secrets gives equal lines for those without."""
        fields = {name: extra[name] for name in extra if name not in vars(record_of())}
        record = record_of(**fields, msg=message, exc_info=(ValueError, ValueError("x"), None) if error else None)
        formatter = JsonFormatter(service="x", masker=SecretMasker())
        assert formatter._render(record) == formatter._render_masked(record)

    @given(st.dictionaries(st.sampled_from(sorted(vars(record_of()))), anything))
    def test_any_record(self, attributes: dict[str, Any]) -> None:
        """The line of any record is one line of JSON."""
        line = JsonFormatter().format(logging.makeLogRecord(attributes))
        assert isinstance(json.loads(line), dict)
        assert "\n" not in line

    @given(st.text(st.characters()), anything)
    def test_can_be_written(self, message: str, value: Any) -> None:
        """The line is strict UTF-8."""
        line = JsonFormatter().format(record_of(msg=message, value=value))
        assert json.loads(line.encode().decode()) == json.loads(line)
        assert not any("\ud800" <= char <= "\udfff" for char in str(json.loads(line)))

    def test_one_line(self) -> None:
        """Characters that some readers take for line ends are escaped, and lone surrogates replaced."""
        line = JsonFormatter().format(record_of(msg="a\x85b\u2028c\u2029d\ud800é"))
        assert '"message":"a\\u0085b\\u2028c\\u2029d\ufffdé"' in line
        assert len(line.splitlines()) == 1

    def test_not_a_record(self) -> None:
        """An object that cannot be formatted gives a notice."""
        for created in (float("nan"), 1e300, "x"):
            line = json.loads(JsonFormatter().format(record_of(created=created)))
            assert line["message"].startswith("a line could not be written: ")
        assert JsonFormatter().format(record_of(name=[])).startswith('{"timestamp":')

    def test_thread(self) -> None:
        """Lines name their thread, except for the main thread."""
        written = Written(JsonFormatter)
        thread = threading.Thread(target=written.log.info, args=("x",), name="sender")
        thread.start()
        thread.join()
        written.log.info("y")
        assert [line.get("thread.name") for line in written.lines] == ["sender", None]

    @pytest.mark.parametrize("key", ["()", "class"])
    def test_dict_config(self, key: str, capsys: pytest.CaptureFixture[str]) -> None:
        """The formatter works on a handler of the standard library."""
        name = "cicd_common.logging.JsonFormatter"
        formatter = {key: name, "service": "worker"} if key == "()" else {key: name, "format": "%(message)s"}
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"json": formatter},
                "handlers": {"err": {"class": "logging.StreamHandler", "formatter": "json"}},
                "loggers": {"alone": {"handlers": ["err"], "level": "INFO"}},
            }
        )
        logging.getLogger("alone").info("hello %s", "you")
        assert json.loads(capsys.readouterr().err)["message"] == "hello you"
        logging.getLogger("alone").handlers.clear()


class TestLineFormatter:
    """The base of all formatters."""

    def test_without_a_line(self) -> None:
        """The line is empty if a notice cannot be written either."""
        assert LineFormatter().format(record_of(msg=Unprintable())) == ""
