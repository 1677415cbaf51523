"""The guide on schemas: its examples run, and its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from cicd_common.schema import Effect

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "schemas.md"
TEXT = GUIDE.read_text(encoding="utf-8")


def test_examples_run() -> None:
    """The examples run, one after the other."""
    names: dict[str, Any] = {"__name__": "guide"}
    for example in re.finditer(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE):
        line = TEXT.count("\n", 0, example.start(1))
        exec(compile("\n" * line + example[1], str(GUIDE), "exec", dont_inherit=True), names)
    assert names["loosened"].breaks


def test_effects_are_described_as_they_describe_themselves() -> None:
    """The guide has a row for each effect, with the description of the effect in the code."""
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*) \|$", TEXT, re.MULTILINE))
    assert {name: f"{text[0].upper()}{text[1:]}." for name, text in rows.items()} == {
        effect.value: effect.description for effect in Effect
    }
