"""The guide on the store."""

import re
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "store.md"


def test_examples_run():
    """The examples of the guide run, one after the other."""
    text = GUIDE.read_text(encoding="utf-8")
    names = {}
    for example in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        line = text.count("\n", 0, example.start(1))
        exec(compile("\n" * line + example[1], str(GUIDE), "exec"), names)
    assert names["to_stop"]
