"""Run the Python examples of a page of the documentation."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

DOCS = Path(__file__).parents[2] / "docs"
_SYBIL = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE),
        SkipParser(),
    ]
)


def run_sessions(page: Path, **names: Any) -> None:
    """Run the Python blocks of a page in order, and fail if the output differs from the page.

    Args:
        page: The page, in Markdown. The comment ``<!-- skip: next -->`` skips the block below it.
        names: Names that are defined for the examples.
    """
    document = _SYBIL.parse(page)
    document.namespace.update({"__name__": "page", **names})
    for example in document:
        example.evaluate()


def files_of(page: Path) -> dict[str, str]:
    """The files that a page shows, by name. The first line of each block names its file.

    Args:
        page: The page, in Markdown.
    """
    files: dict[str, str] = {}
    blocks = re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for name, block in blocks:
        files[name] = f"{files[name]}\n{block}" if name in files else block
    return files
