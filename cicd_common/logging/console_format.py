"""Log lines as text, for people."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Collection
from typing import Any

from .formatters import LineFormatter
from .masking import SecretMasker
from .records import details_of, fields_of, message_of
from .values import dump, plain, scrub

__all__ = ["ConsoleFormatter"]

_DIM, _RED, _YELLOW, _GREEN, _BOLD_RED = "2", "31", "33", "32", "1;31"
_COLORS = {"DEBUG": _DIM, "INFO": _GREEN, "WARNING": _YELLOW, "ERROR": _RED, "CRITICAL": _BOLD_RED}
_STACKS = ("exception.stacktrace", "code.stacktrace")
# A stack trace ends with these fields.
_IN_STACK = ("exception.type", "exception.message")

_is_word = re.compile(r"[^\s\"'=\\{}\[\]\x00-\x1f\x7f-\x9f]+").fullmatch
# Characters that control a terminal, except the line end and the tab, which make tracebacks readable.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class ConsoleFormatter(LineFormatter):
    """Time, level, logger, message and fields on a line; the further lines of a message and stack traces indented.

    Control characters are shown as escapes, so that logged text cannot move the cursor or forge a line.

    Args:
        _: The arguments that `logging.config` gives to every formatter: not used.
        color: Whether the level is coloured, and the time and the field names dimmed.
        time: Whether the line begins with the local time.
        omit: The fields to leave out, by their written names.
        masker: The masker; that of the process by default.
    """

    def __init__(
        self,
        *_: object,
        color: bool = False,
        time: bool = True,
        omit: Collection[str] = (),
        masker: SecretMasker | None = None,
    ) -> None:
        super().__init__(*_, masker=masker)
        self._color = color
        self._time = time
        self._omit = frozenset(omit) | {*_STACKS, *_IN_STACK}

    def _line(self, record: logging.LogRecord) -> str | None:
        details = details_of(record).values
        fields = {**fields_of(record).values, **details}
        parts = [
            self._styled(_clock(record.created), _DIM) if self._time else "",
            self._styled(f"{self._visible(record.levelname):<8}", _COLORS.get(record.levelname, "")),
            self._visible(record.name) + ":",
            self._visible(message_of(record)),
            *(self._field(name, value) for name, value in fields.items() if name not in self._omit),
        ]
        stacks = [self._visible(str(details[name])) for name in _STACKS if name in details]
        line = "\n".join([" ".join(filter(None, parts)), *stacks]).replace("\n", "\n    ")
        return None if self.masker.holds(line) else line

    def _field(self, name: str, value: Any) -> str:
        masked = plain(value, self._mask)
        text = masked if isinstance(masked, str) and _is_word(masked) else dump(masked)
        return self._styled(self._visible(name) + "=", _DIM) + _escape_controls(text)

    def _mask(self, text: str) -> str:
        return scrub(self.masker.mask(text))

    def _visible(self, text: str) -> str:
        return _escape_controls(self._mask(text))

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._color and style else text


def _clock(created: float) -> str:
    return f"{time.strftime('%H:%M:%S', time.localtime(created))}.{int(created % 1 * 1000):03d}"


def _escape_controls(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
