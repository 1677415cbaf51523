"""The files of each release: the schema of the contract, and documents of every type.

``python -m tests.support.releases`` writes them for the version in ``setup.cfg``, as long as it is not released. Review
the differences. The files of a released version never change.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from configparser import ConfigParser
from pathlib import Path
from typing import Any

from cicd_common.schema import Change, schema
from tests.support.contract import ENGINES, TYPES
from tests.support.golden_files import full, least

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "schemas"
DOCUMENTS = ROOT / "tests" / "golden" / "releases"
FIRST = (0, 2, 0)
"""The first version with such files."""


def version() -> str:
    """The version in ``setup.cfg``."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return setup["metadata"]["version"]


def changelog() -> str:
    return (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def key_of(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def kept() -> list[str]:
    """The versions with a schema file, oldest first."""
    return sorted((path.stem for path in SCHEMAS.glob("*.json")), key=key_of)


def schema_of(version: str) -> Any:
    return json.loads((SCHEMAS / f"{version}.json").read_text(encoding="utf-8"))


def documents_of(version: str) -> list[tuple[str, bytes]]:
    """The documents of a version: pairs of the name of the type and the JSON text."""
    lines = (DOCUMENTS / f"{version}.txt").read_bytes().splitlines()
    return [(name.decode(), document) for name, _, document in (line.partition(b" ") for line in lines)]


def sections_of(changelog: str) -> dict[str, str]:
    """The sections of a changelog by version, released or not."""
    parts = re.split(r"^## \[([0-9.]+)\].*\n", changelog, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def released(changelog: str) -> list[str]:
    """The versions with a date in the changelog."""
    return re.findall(r"^## \[([0-9.]+)\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$", changelog, re.MULTILINE)


def not_told(changes: Iterable[Change], changelog: str, since: str) -> list[str]:
    """The breaking changes that no "Breaking" section newer than the version `since` names by their pointers."""
    newer = [text for version, text in sections_of(changelog).items() if key_of(version) > key_of(since)]
    told = "".join(part for text in newer for part in _breaking(text))
    return [str(change) for change in changes if change.breaks and f"`{change.pointer}`" not in told]


_breaking = re.compile(r"^### Breaking\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL).findall


def write() -> None:
    current = version()
    if current in released(changelog()):
        sys.exit(f"{current} was released; give setup.cfg and CHANGELOG.md the next version first")
    SCHEMAS.mkdir(exist_ok=True)
    DOCUMENTS.mkdir(exist_ok=True)
    (SCHEMAS / f"{current}.json").write_text(json.dumps(schema(), indent=2) + "\n", encoding="utf-8")
    documents = [(cls.__name__.encode(), ENGINES[0].dumps(make(cls))) for cls in TYPES for make in (full, least)]
    (DOCUMENTS / f"{current}.txt").write_bytes(b"".join(b"%s %s\n" % each for each in documents))


if __name__ == "__main__":
    write()
