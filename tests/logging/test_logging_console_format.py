"""The format of console lines."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicd_common.logging import ConsoleFormatter
from tests.support.logging_helpers import Written, fail
from tests.support.logging_strategies import anything


def shown(message: object = "hello", /, **fields: Any) -> str:
    written = Written(ConsoleFormatter, time=False)
    written.log.info(message, **fields)
    return written.text


class TestConsoleFormatter:
    def test_line(self) -> None:
        """A line has time, level, logger, message and fields."""
        written = Written(ConsoleFormatter)
        written.log.info("job finished", exit_code=0, image="python 3.13", job_name="build")
        assert re.fullmatch(
            r"\d\d:\d\d:\d\d\.\d\d\d INFO     worker\.jobs: job finished "
            r'exit_code=0 image="python 3\.13" cicd\.pipeline\.task\.name=build\n',
            written.text,
        )

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("word", "word"),
            ("two words", '"two words"'),
            ("", '""'),
            ("a=b", '"a=b"'),
            ('"', r'"\""'),
            ("5", "5"),
            (5, "5"),
            (None, "null"),
            ({"a": [1, "x"]}, '{"a":[1,"x"]}'),
            ("\x9b1m", r'"\x9b1m"'),
        ],
    )
    def test_fields(self, value: Any, expected: str) -> None:
        """Words are written as they are, other texts in quotes, and other values as JSON."""
        assert shown(field=value) == f"INFO     worker.jobs: hello field={expected}\n"

    def test_traceback(self) -> None:
        """The traceback is indented below the line, and its type and message are not repeated."""
        written = Written(ConsoleFormatter, time=False)
        try:
            fail(ValueError("two\nlines"))
        except ValueError:
            written.log.exception("failed", stack_info=True)
        lines = written.text.splitlines()
        assert lines[:2] == ["ERROR    worker.jobs: failed", "    Traceback (most recent call last):"]
        assert all(line.startswith("    ") for line in lines[1:])
        assert written.text.count("two\n    lines") == 1
        assert "    Stack (most recent call last):" in lines

    def test_no_forged_lines(self) -> None:
        """The text after a line end in a message or a name is indented, and control characters are escaped."""
        text = shown("one\nERROR    two\r\x1b[2J", **{"a\nb": "c\nd"})
        assert text == 'INFO     worker.jobs: one\n    ERROR    two\\x0d\\x1b[2J a\n    b="c\\nd"\n'

    def test_colors(self) -> None:
        """Levels are coloured if asked for."""
        written = Written(ConsoleFormatter, time=False, color=True)
        written.log.info("hello", a=1)
        written.log.log(25, "hello")
        colored, plain = written.text.splitlines()
        assert colored == "\x1b[32mINFO    \x1b[0m worker.jobs: hello \x1b[2ma=\x1b[0m1"
        assert plain == "Level 25 worker.jobs: hello"

    def test_omitted_fields(self) -> None:
        """Some fields can be left out."""
        written = Written(ConsoleFormatter, time=False, omit=["a"])
        written.log.info("hello", a=1, b=2)
        assert written.text == "INFO     worker.jobs: hello b=2\n"

    @given(st.text(st.characters()), st.text(st.characters(), max_size=5), anything)
    def test_anything(self, message: str, name: str, value: Any) -> None:
        """No record has control characters on its lines, and all further lines are indented."""
        text = shown(message, **{f"x{name}": value})
        assert text.encode()
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
        assert all(line.startswith("    ") for line in text.split("\n")[1:-1])
