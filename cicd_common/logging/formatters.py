"""The base of the formatters, which never raise and never let a secret through."""

from __future__ import annotations

import logging

from .fields import Fields
from .masking import SecretMasker, process_masker
from .records import CicdRecord, stamp_records

__all__ = ["WITHHELD", "LineFormatter", "notice"]

WITHHELD = "a line was withheld, since it still held a secret after masking"


def notice(message: str, /, *args: object, **fields: object) -> logging.LogRecord:
    """Make a record of the logging system itself, which belongs to no execution.

    Args:
        message: The message, with ``%``-style places for the arguments.
        args: The arguments of the message.
        fields: The fields of the record.
    """
    record = CicdRecord(str(__package__), logging.WARNING, __file__, 0, message, args, None)
    record.fields = Fields.of(fields)
    record.secrets = None
    vars(record).update(record.fields.values)
    return record


class LineFormatter(logging.Formatter):
    """A formatter whose lines hold no secret, and that formats any record without raising.

    Args:
        _: The arguments that `logging.config` gives to every formatter (a format, a date format, a style): not used.
        masker: The masker; that of the process by default.

    Attributes:
        masker: The masker in use.
    """

    # Written if a notice cannot be formatted either.
    empty = ""

    def __init__(self, *_: object, masker: SecretMasker | None = None) -> None:
        super().__init__()
        # A line may be written in another thread than the one that logs, whose context it must have.
        stamp_records()
        self.masker = masker if masker is not None else process_masker

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as a masked line without a line end. This never raises.

        Args:
            record: Any record.
        """
        try:
            line = self._line(record)
        except Exception as error:
            line = self._notice("a line could not be written: %s", type(error).__name__)
        return self._notice(WITHHELD) if line is None else line

    def _notice(self, message: str, *args: object) -> str:
        try:
            return self._line(notice(message, *args)) or self.empty
        except Exception:
            return self.empty

    def _line(self, record: logging.LogRecord) -> str | None:
        """Return the masked line of a record; None if it still holds a secret."""
        raise NotImplementedError
