"""The README: its examples run and show what they show, and what it says of the package is so."""

import doctest
import re
from pathlib import Path

import pytest
from contract import TYPES

try:
    import kombu.serialization as kombu
except ImportError:
    kombu = None

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SESSIONS = [
    block
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    if block.startswith(">>>") and ("kombu" not in block or kombu is not None)
]


def test_every_session_runs():
    """One after the other, as a reader would copy them."""
    globs, report = {}, []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for number, session in enumerate(SESSIONS, 1):
        test = doctest.DocTestParser().get_doctest(session, globs, f"session {number}", "README.md", 0)
        runner.run(test, out=report.append, clear_globs=False)
        globs = test.globs
    assert runner.summarize(verbose=False).attempted > 10
    assert "".join(report) == ""


@pytest.mark.parametrize("name", sorted(cls.__name__ for cls in TYPES))
def test_every_type_is_in_the_table(name):
    """By its name."""
    assert f"`{name}`" in README


@pytest.mark.parametrize("section", sorted((ROOT / "docs").glob("*-readme-section.md")), ids=lambda path: path.stem)
def test_sections_that_have_tests_of_their_own_stand_as_they_were_tested(section):
    """Word for word."""
    assert section.read_text().strip() in README


def test_the_table_of_the_benchmarks_is_that_of_their_last_run():
    """Every row that was written."""
    rows = [line for line in (ROOT / "benchmarks/contract/RESULTS.md").read_text().splitlines() if line.startswith("|")]
    assert rows
    assert [row for row in rows if row not in README] == []
