"""The settings of Sphinx. ``scripts/docs`` builds the site."""

import logging
import os
import re
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))


logging.getLogger("alembic").setLevel(logging.WARNING)

_setup = ConfigParser()
_setup.read(ROOT / "setup.cfg")

project = "cicd-common"
author = _setup["metadata"]["author"]
release = version = _setup["metadata"]["version"]
project_copyright = f"2026, {author}"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.mermaid",
]
exclude_patterns = ["_build", "reference/_generated"]
default_role = "py:obj"

myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"cicd-common {release}"
html_copy_source = False
html_show_sourcelink = False

# Files of the project that are pages of the site, too.
PAGES = {
    ROOT / "CONTRIBUTING.md": DOCS / "project" / "contributing.md",
    ROOT / "SECURITY.md": DOCS / "project" / "security.md",
    ROOT / "CODE_OF_CONDUCT.md": DOCS / "project" / "code-of-conduct.md",
    ROOT / "CHANGELOG.md": DOCS / "project" / "changelog.md",
}
_LINK = re.compile(r"\[([^\]]*)\]\(([^)#:\s]+)((?:#[^)]*)?)\)")


def relinked(text: str, source: Path, page: Path) -> str:
    """The text of a file as that of a page of the site. Links to files that are no pages become plain text.

    Args:
        text: The text, whose links are right where it is.
        source: Where it is.
        page: Where the page is.
    """

    def link(match: re.Match[str]) -> str:
        words, path, anchor = match.groups()
        target = (source.parent / path).resolve()
        target = PAGES.get(target, target)
        if not target.is_relative_to(DOCS):
            return words
        return f"[{words}]({os.path.relpath(target, page.parent)}{anchor})"

    return _LINK.sub(link, text)


def _read(app: Any, name: str, content: list[str]) -> None:
    page = Path(app.env.doc2path(name)).resolve()
    sources = {shown: source for source, shown in PAGES.items()}
    if page in sources:
        content[0] = relinked(sources[page].read_text(encoding="utf-8"), sources[page], page)
    elif page.suffix == ".md":
        content[0] = relinked(content[0], page, page)


def setup(app: Any) -> None:
    """Register what this file adds to Sphinx."""
    app.connect("source-read", _read)
