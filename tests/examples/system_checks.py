"""What must hold of everything that a system has written."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

LOG_KEYS = {"timestamp", "level", "severity_number", "logger", "message", "service.name"}


class Logs:
    """The log files of a directory, read on from where they were read to."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[Path, int] = {}

    def check(self) -> list[dict[str, Any]]:
        """Every new line is one of CicdLogger. Returns what was read."""
        return [
            checked_entry(line, file)
            for file in sorted(self._directory.glob("*.log"))
            for line in self._new_lines(file)
        ]

    def _new_lines(self, file: Path) -> list[str]:
        with file.open("rb") as log:
            log.seek(self._read.get(file, 0))
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read[file] = self._read.get(file, 0) + len(whole)
        return whole.decode().splitlines()

    def tails(self) -> str:
        """The last lines of all, for a test that failed."""
        files = sorted(self._directory.glob("*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-4000:]}" for file in files)


def checked_entry(line: str, file: Path) -> dict[str, Any]:
    """A line of a log as CicdLogger writes it where there is no terminal."""
    entry = None
    with contextlib.suppress(ValueError):
        entry = json.loads(line)
    if not isinstance(entry, dict):
        pytest.fail(f"{file.name} has a line that is no JSON object: {line}")
    assert entry.keys() >= LOG_KEYS, f"{file.name}: {line}"
    service, _, _ = file.stem.partition("-")
    assert entry["service.name"] == service, f"{file.name}: {line}"
    return entry


def check_secrets(secrets: Iterable[str], files: Iterable[Path], store: str) -> None:
    """No file and no row of the store holds one of the secrets."""
    forms = [secret.encode() for secret in secrets]
    for file in files:
        data = file.read_bytes()
        assert not [form for form in forms if form in data], f"{file} holds a secret"
    rows = "".join(rows_of(store)).encode()
    assert not [form for form in forms if form in rows], "the store holds a secret"


def rows_of(url: str) -> Iterator[str]:
    """All rows of a store, as text."""
    from sqlalchemy import create_engine, select

    from cicd_common.store.tables import metadata

    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            for table in metadata.sorted_tables:
                yield from map(str, connection.execute(select(table)))
    finally:
        engine.dispose()
