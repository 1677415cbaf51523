"""The length, the figures and the commands of the README. `tests/test_docs.py` checks its examples and links."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def mean(peer: str) -> str:
    """The geometric mean of the ratios to a peer, in the results of the benchmarks."""
    results = (ROOT / "benchmarks" / "contract" / "RESULTS.md").read_text(encoding="utf-8")
    [row] = re.findall(rf"^\| `msgspec` / {re.escape(peer)} \|.*\| ([\d.]+) \|$", results, re.MULTILINE)
    return row


def test_is_short():
    """The README has at most 120 lines."""
    assert len(README.splitlines()) <= 120


def test_figures_are_those_of_the_last_run_of_the_benchmarks():
    """The ratios in the README equal those in the results of the benchmarks."""
    text = " ".join(README.split())
    assert f"takes {mean('pydantic v2')} of the time of pydantic v2" in text
    assert f"and {mean('msgspec `Struct`')} of the time of plain msgspec `Struct`s" in text


def test_commands_are_scripts():
    """Each script that the README names exists."""
    scripts = set(re.findall(r"scripts/\w+", README))
    assert scripts
    assert [script for script in scripts if not (ROOT / script).is_file()] == []
