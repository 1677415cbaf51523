"""The records that calls of the logger make."""

from __future__ import annotations

import copy
import inspect
import logging
import pickle
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicd_common.logging import CicdLogger, execution_context, get_logger
from cicd_common.logging.fields import RECORD_ATTRIBUTES
from cicd_common.logging.records import CicdRecord
from tests.support.logging_helpers import Written, fail
from tests.support.logging_strategies import Unprintable, anything


@pytest.fixture
def written() -> Written:
    return Written()


def fields_of(line: dict[str, Any]) -> dict[str, Any]:
    standard = ("timestamp", "level", "severity_number", "logger", "message")
    return {name: value for name, value in line.items() if name not in standard}


class Records(logging.Handler):
    """A handler that keeps its records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def line_here() -> int:
    return inspect.currentframe().f_back.f_lineno  # type: ignore[union-attr]


class TestMethods:
    """The logger has the methods and arguments of the standard logger."""

    @pytest.mark.parametrize(
        ("method", "level", "number"),
        [
            ("debug", "DEBUG", 5),
            ("info", "INFO", 9),
            ("warning", "WARNING", 13),
            ("warn", "WARNING", 13),
            ("error", "ERROR", 17),
            ("exception", "ERROR", 17),
            ("critical", "CRITICAL", 21),
            ("fatal", "CRITICAL", 21),
        ],
    )
    def test_levels(self, written: Written, method: str, level: str, number: int) -> None:
        """Each method logs at its level, and does nothing if the level is off."""
        getattr(written.log, method)("hello %s", "you", exit_code=0)
        assert (level, number) == (written.last["level"], written.last["severity_number"])
        assert (written.last["message"], written.last["exit_code"]) == ("hello you", 0)
        written.log.setLevel(60)
        getattr(written.log, method)("hello")
        assert len(written.lines) == 1

    def test_log(self, written: Written) -> None:
        """`log` takes any level; a value that is no level counts as INFO."""
        written.log.log(25, "a")
        written.log.log("loud", "b")  # type: ignore[arg-type]
        written.log.log(5, "c")
        assert [(line["level"], line["severity_number"]) for line in written.lines] == [("Level 25", 9), ("INFO", 9)]

    def test_exceptions(self, written: Written) -> None:
        """`exc_info` takes a boolean, an exception or a tuple."""
        try:
            fail(KeyError("x"))
        except KeyError as error:
            written.log.exception("a")
            written.log.info("b", exc_info=error)
            written.log.info("c", exc_info=sys.exc_info())
            written.log.exception("d", exc_info=False)
        written.log.exception("e")
        assert [line.get("exception.type") for line in written.lines] == ["KeyError"] * 3 + [None] * 2

    def test_without_message(self, written: Written) -> None:
        """A line may have only fields, and a positional argument's name may be a field."""
        written.log.info(exit_code=0)
        written.log.info(msg="hello")
        assert [line["message"] for line in written.lines] == ["", ""]
        assert fields_of(written.last) == {"field.msg": "hello"}

    def test_is_the_standard_logger(self, written: Written) -> None:
        """Other attributes are those of the standard logger."""
        assert written.log.name == "worker.jobs"
        assert written.log.handlers == [written.handler]
        assert written.log.isEnabledFor(logging.DEBUG)
        assert repr(written.log) == "<CicdLogger worker.jobs>"
        with pytest.raises(AttributeError):
            _ = written.log.nothing

    def test_get_logger(self) -> None:
        """Loggers are found by name, with the root as the default, and have children."""
        assert get_logger("a.b").logger is logging.getLogger("a.b")
        assert get_logger().logger is logging.getLogger()
        assert get_logger("a").bind(x=1).getChild("b").logger is logging.getLogger("a.b")

    def test_copies(self) -> None:
        """A logger is copied and pickled with its fields."""
        log = get_logger("a.b").bind(x=1)
        for twin in (copy.copy(log), copy.deepcopy(log), pickle.loads(pickle.dumps(log))):
            assert (log.logger, {"x": 1}) == (twin.logger, twin.fields)
        with pytest.raises(AttributeError):
            _ = CicdLogger.__new__(CicdLogger).anything


class TestFields:
    """Lines have fields."""

    def test_bind(self, written: Written) -> None:
        """Bound fields are on each line of the new logger, and the old logger does not change."""
        log = written.log.bind(a=1, job_name="build")
        log.bind(b=2).info("x", c=3)
        assert fields_of(written.last) == {"a": 1, "cicd.pipeline.task.name": "build", "b": 2, "c": 3}
        log.unbind("job_name", "unknown").info("x")
        assert fields_of(written.last) == {"a": 1}
        written.log.info("x")
        assert fields_of(written.last) == {}

    def test_later_ones_win(self, written: Written) -> None:
        """Fields of the call replace those of extra, of the logger and of the context, each written once."""
        with execution_context(a="context", b="context", c="context", d="context"):
            log = written.log.bind(b="bound", c="bound", d="bound")
            log.info("x", extra={"c": "extra", "d": "extra"}, d="call")
        assert fields_of(written.last) == {"a": "context", "b": "bound", "c": "extra", "d": "call"}
        assert written.text.count('"d":') + written.text.count('"a":') + written.text.count('"b":') + 1 == 4

    def test_each_context_has_its_own(self, written: Written) -> None:
        """A bound logger that is used in two contexts has the fields of each."""
        log = written.log.bind(a=1)
        for owner in ("x", "y", "x"):
            with execution_context(owner=owner):
                log.info("x")
        assert [line["owner"] for line in written.lines] == ["x", "y", "x"]

    @pytest.mark.parametrize(
        "name", sorted(RECORD_ATTRIBUTES | {"self", "level", "timestamp", "logger", "fields", "service.name", "cls"})
    )
    def test_any_name(self, written: Written, name: str) -> None:
        """A reserved name gets a prefix."""
        if name in ("exc_info", "stack_info"):
            return
        written.log.bind(**{name: 1}).info("hello", **{name: 2})
        written.log.logger.info("hello")
        with execution_context(**{name: 3}):
            written.log.info("hello")
        first, _, third = written.lines
        assert (first["message"], first["logger"], first["level"]) == ("hello", "worker.jobs", "INFO")
        assert 2 in (first.get(name), first.get(f"field.{name}"))
        assert 3 in (third.get(name), third.get(f"field.{name}"))

    def test_on_the_record(self, written: Written) -> None:
        """Handlers find the fields as attributes of the record, like those of extra."""
        handler = Records()
        written.logger.addHandler(handler)
        written.log.info("x", exit_code=0, name="y", job_execution_id="z")
        written.logger.info("x")
        mine, plain = map(vars, handler.records)
        assert {name: mine[name] for name in mine.keys() - plain.keys()} == {
            "exit_code": 0,
            "field.name": "y",
            "cicd.pipeline.task.run.id": "z",
        }

    def test_added_by_filters(self, written: Written) -> None:
        """An attribute that a filter adds to a record of any logger is a field."""

        def add(record: logging.LogRecord) -> bool:
            record.request = 7
            return True

        written.handler.addFilter(add)
        written.log.info("x", a=1)
        written.logger.info("x", extra={"a": 1})
        assert [fields_of(line) for line in written.lines] == [{"a": 1, "request": 7}] * 2

    @given(st.dictionaries(st.text(st.characters()), anything, max_size=4), st.text(st.characters()))
    def test_any_field(self, fields: dict[str, Any], message: str) -> None:
        """The line is JSON whatever the fields are."""
        written = Written()
        written.log.info(message, **{name: fields[name] for name in fields if name not in _ARGUMENTS})
        written.log.bind(**fields).info("%s", message, extra=fields)
        assert len(written.lines) == 2


_ARGUMENTS = ("exc_info", "stack_info", "stacklevel", "extra")


class TestCaller:
    """The record has the place of the call."""

    @pytest.fixture
    def records(self, written: Written) -> list[logging.LogRecord]:
        handler = Records()
        written.logger.addHandler(handler)
        return handler.records

    def test_file_and_line(self, written: Written, records: list[logging.LogRecord]) -> None:
        """The place is that of the call for every method."""
        log = written.log.bind(a=1)
        for call in (log.debug, log.info, log.warning, log.error, log.exception, log.critical):
            line = line_here() + 1
            call("x")
            assert (__file__, line, "test_file_and_line") == _place(records[-1])
        line = line_here() + 1
        log.log(20, "x")
        assert (__file__, line, "test_file_and_line") == _place(records[-1])

    def test_stacklevel(self, written: Written, records: list[logging.LogRecord]) -> None:
        """A stack level selects a caller as in the standard library, at most the outermost."""

        def helper(log: Any, level: int) -> None:
            log.info("x", stacklevel=level)

        for level in (2, 3):
            for log in (written.log, written.logger):
                helper(log, level)
            assert _place(records[-2]) == _place(records[-1])
        helper(written.log, 10_000)
        helper(written.logger, 10_000)
        assert _place(records[-2])[0] == _place(records[-1])[0]

    def test_stack(self, written: Written) -> None:
        """The stack ends at the call."""
        written.log.info("x", stack_info=True)
        stack = written.last["code.stacktrace"]
        assert stack.splitlines()[-1].strip() == 'written.log.info("x", stack_info=True)'


def _place(record: logging.LogRecord) -> tuple[str, int, str | None]:
    return record.pathname, record.lineno, record.funcName


class TestNeverRaises:
    """No logging call raises into the program."""

    @pytest.mark.parametrize(
        ("message", "args", "expected"),
        [
            ("%d", ("x",), "%d x"),
            ("%s %s", ("x",), "%s %s x"),
            ("x", ("y",), "x y"),
            ("%(a)s", ("y",), "%(a)s y"),
            ("%(a)s", ({"b": 1},), "%(a)s {'b': 1}"),
            ("100%", ("y",), "100% y"),
            (Unprintable(), (), "<unprintable Unprintable>"),
            ("%s", (Unprintable(),), "%s <unprintable Unprintable>"),
            (Unprintable(), (1,), "<unprintable Unprintable> 1"),
        ],
    )
    def test_bad_messages(self, written: Written, message: Any, args: tuple[Any, ...], expected: str) -> None:
        """A message that does not fit its arguments is written in parts, also by standard loggers."""
        written.log.info(message, *args)
        written.logger.info(message, *args)
        assert [expected] * 2 == [line["message"] for line in written.lines]

    @pytest.mark.parametrize("rest", [{"stacklevel": "x"}, {"extra": 5}, {"exc_info": "yes"}, {"exc_info": (1, 2)}])
    def test_bad_arguments(self, written: Written, rest: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
        """Arguments of a wrong type are at most reported on the error stream."""
        written.log.info("x", **rest)
        assert bool(written.text) != bool(capsys.readouterr().err)

    def test_handler_that_raises(self, written: Written, capsys: pytest.CaptureFixture[str]) -> None:
        """The error of a handler does not reach the program."""

        class Broken(logging.Handler):
            def emit(self, _: logging.LogRecord) -> None:
                raise RuntimeError("broken handler")

        written.logger.addHandler(Broken())
        written.log.info("x")
        assert "RuntimeError: broken handler" in capsys.readouterr().err
        assert written.last["message"] == "x"

    def test_other_record_factory(self, written: Written) -> None:
        """The program's record factory is used, and its records have the fields."""

        class OtherRecord(logging.LogRecord):
            pass

        logging.setLogRecordFactory(OtherRecord)
        try:
            with execution_context(owner="me"):
                written.log.info("%d", "x", a=1)
        finally:
            logging.setLogRecordFactory(logging.LogRecord)
        assert fields_of(written.last) == {"owner": "me", "a": 1}
        assert written.last["message"] == "%d x"

    def test_records_travel(self) -> None:
        """A record is pickled with its fields."""
        handler = Records()
        logger = logging.Logger("x")
        logger.addHandler(handler)
        CicdLogger(logger).info("hello", a=1)
        twin = pickle.loads(pickle.dumps(copy.copy(handler.records[0])))
        assert isinstance(twin, CicdRecord)
        assert twin.fields.values == {"a": 1}
