"""The examples of the documentation print what the page shows."""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "logging.md"
_BLOCK = re.compile(r"^```(python|text|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Some versions of Python mark the place in a line of a traceback.
_MARKS = re.compile(r"^ *[~^]+\n", re.MULTILINE)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z|^\d\d:\d\d:\d\d\.\d{3}", re.MULTILINE)


def examples() -> Iterator[tuple[str, str]]:
    """Return each example with the output below it."""
    code = None
    for kind, text in _BLOCK.findall(GUIDE.read_text(encoding="utf-8")):
        if kind == "python":
            if code is not None:
                yield code, ""
            code = text
        else:
            assert code is not None, "an output without an example"
            yield code, text
            code = None
    if code is not None:
        yield code, ""


def test_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """The examples run one after the other, and print the output below them, except for the time."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for code, output in examples():
        linecache.cache["example.py"] = (len(code), None, code.splitlines(keepends=True), "example.py")
        exec(compile(code, "example.py", "exec"), names)
        assert _MARKS.sub("", _TIME.sub("TIME", capsys.readouterr().out)) == _TIME.sub("TIME", output)


def test_all_is_documented() -> None:
    """Every public name is in the guide."""
    import cicd_common.logging as face

    guide = GUIDE.read_text(encoding="utf-8")
    assert [name for name in face.__all__ if f"`{name}" not in guide and name not in guide] == []
