"""What the formatters have in common: they never raise, and never let a secret through."""

from __future__ import annotations

import logging

from .fields import Fields
from .masking import SecretMasker, process_masker
from .records import CicdRecord, stamp_records

__all__ = ["WITHHELD", "LineFormatter", "notice"]

WITHHELD = "a line was withheld, since it still held a secret after masking"


def notice(message: str, /, *args: object, **fields: object) -> logging.LogRecord:
    """A record of the logging system's own, which belongs to no execution.

    Args:
        message: What it says, with places for the arguments.
        args: The arguments.
        fields: Its fields.
    """
    record = CicdRecord(str(__package__), logging.WARNING, __file__, 0, message, args, None)
    record.fields = Fields.of(fields)
    record.secrets = None
    vars(record).update(record.fields.values)
    return record


class LineFormatter(logging.Formatter):
    """A formatter whose lines hold no secret, and that makes the best of any record.

    Args:
        _: What `logging.config` gives to every formatter (a format, a date format, a style): not used.
        masker: Knows the secrets; by default the one of the process.

    Attributes:
        masker: The one in use.
    """

    # What is written if not even a notice can be.
    empty = ""

    def __init__(self, *_: object, masker: SecretMasker | None = None) -> None:
        super().__init__()
        # A line may be written in another thread than the one that logs, and must be of the context of that one.
        stamp_records()
        self.masker = masker if masker is not None else process_masker

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, masked, without a line end. Never raises.

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
        """The masked line of a record; none if it still holds a secret."""
        raise NotImplementedError
