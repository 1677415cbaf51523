"""The examples in the guide on integration run, one after the other."""

import re
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "integrating.md"
TEXT = GUIDE.read_text(encoding="utf-8")


def test_examples_run():
    """Each example does what the guide says."""
    names = {}
    for example in re.finditer(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE):
        line = TEXT.count("\n", 0, example.start(1))
        exec(compile("\n" * line + example[1], str(GUIDE), "exec"), names)
    assert names["again"].sequence == 2


def test_links_lead_somewhere():
    """Files that are there, and headings of this page."""
    headings = {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in re.findall(r"^#+ (.*)$", TEXT, re.M)}
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        assert (GUIDE.parent / path).exists(), link
        assert not anchor or path or anchor in headings, link
