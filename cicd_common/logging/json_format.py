"""Log lines as JSON, for machines."""

from __future__ import annotations

import logging
import time
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

from .fields import NO_FIELDS, Fields
from .formatters import LineFormatter
from .masking import SecretMasker
from .records import details_of, fields_of, message_of, severity_number
from .values import one_line, plain

__all__ = ["JsonFormatter"]


# A second that no record has.
_NEVER = -(1 << 62)


class JsonFormatter(LineFormatter):
    """One flat JSON object a line, with the names of OpenTelemetry.

    In this order: ``timestamp``, ``level``, ``severity_number``, ``logger``, ``message``, ``service.name`` if there is
    one, the fields, ``thread.name`` if it is not the main thread, and ``exception.type``, ``exception.message`` and
    ``exception.stacktrace`` if there is an exception. The text is UTF-8 without lone surrogates.

    Args:
        _: The arguments that `logging.config` gives to every formatter: not used.
        service: The name of the program; none by default.
        masker: The masker; that of the process by default.
    """

    empty = "{}"

    def __init__(self, *_: object, service: str | None = None, masker: SecretMasker | None = None) -> None:
        super().__init__(*_, masker=masker)
        self._service = Fields({"service.name": service}) if service is not None else NO_FIELDS
        self._service_json = self._service.json
        # The last second and its text, since most lines have the same second as the line before.
        self._second = (_NEVER, "")

    def _line(self, record: logging.LogRecord) -> str | None:
        line = self._render(record)
        if self.masker.holds(line):
            line = self._render_masked(record)
            return None if self.masker.holds(line) else line
        return line

    def _render(self, record: logging.LogRecord) -> str:
        start = _start(record.levelname, record.levelno, record.name)
        message = encode_basestring(message_of(record))
        details = details_of(record)
        suffix = details.json if details is not NO_FIELDS else ""
        fields = fields_of(record).json
        line = f'{{"timestamp":"{self._timestamp(record.created)}{start}{message}{self._service_json}{fields}{suffix}}}'
        return line if line.isascii() else one_line(line)

    def _render_masked(self, record: logging.LogRecord) -> str:
        """Render the line with every key and value masked. This is slower, but few lines hold a secret."""
        mask = self.masker.mask
        parts: dict[str, Any] = {
            "timestamp": self._timestamp(record.created),
            "level": record.levelname,
            "severity_number": severity_number(record.levelno),
            "logger": record.name,
            "message": message_of(record),
            **self._service.values,
            **fields_of(record).values,
            **details_of(record).values,
        }
        return one_line("{" + Fields({mask(name): plain(value, mask) for name, value in parts.items()}).json[1:] + "}")

    def _timestamp(self, created: float) -> str:
        """Render a time as RFC 3339 in UTC with microseconds."""
        second = int(created // 1)  # Rounded down, also before 1970.
        known, text = self._second
        if second != known:
            text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
            self._second = (second, text)
        return "%s%06dZ" % (text, min(999_999, (created - second) * 1e6))  # noqa: UP031 - the fastest way to pad a number


@lru_cache(maxsize=512)
def _start(level: str, number: int, name: str) -> str:
    """Return the part between the time and the message, which is the same for all lines of a level and a logger."""
    return (
        f'","level":{encode_basestring(level)},"severity_number":{severity_number(number)}'
        f',"logger":{encode_basestring(name)},"message":'
    )
