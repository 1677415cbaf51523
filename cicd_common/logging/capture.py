"""Log records as plain data, for tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .masking import SecretMasker, process_masker
from .records import details_of, fields_of, message_of, severity_number
from .values import plain

__all__ = ["capture_logs"]


class _Capture(logging.Handler):
    def __init__(self, masker: SecretMasker) -> None:
        super().__init__()
        self.entries: list[dict[str, Any]] = []
        self._masker = masker

    def emit(self, record: logging.LogRecord) -> None:
        entry = {
            "level": record.levelname,
            "severity_number": severity_number(record.levelno),
            "logger": record.name,
            "message": message_of(record),
            **fields_of(record).values,
            **details_of(record).values,
        }
        self.entries.append(plain(entry, self._masker.mask))


@contextmanager
def capture_logs(
    level: int | str = logging.DEBUG, *, masker: SecretMasker | None = None
) -> Iterator[list[dict[str, Any]]]:
    """Collect the records of a block, of any logger of the process, as plain data.

    Each entry has the content of the JSON line, without the time. Other handlers work as before.

    Args:
        level: The lowest level that is collected.
        masker: The masker; that of the process by default.

    Yields:
        The entries, in a list that grows with each record.
    """
    root = logging.getLogger()
    handler = _Capture(masker if masker is not None else process_masker)
    handler.setLevel(level)
    before = root.level
    root.addHandler(handler)
    root.setLevel(handler.level)
    try:
        yield handler.entries
    finally:
        root.setLevel(before)
        root.removeHandler(handler)
