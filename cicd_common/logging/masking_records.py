"""Mask secrets in records, for handlers of other libraries."""

from __future__ import annotations

import logging
from functools import wraps
from typing import Any

from .fields import RECORD_ATTRIBUTES, Fields
from .masking import SecretMasker, process_masker
from .records import CicdRecord, message_of, trouble_of
from .values import plain, text_of

__all__ = ["mask_all_records", "mask_record"]

# The attributes of a record that hold text of the program.
_GIVEN = ("name", "levelname", "threadName", "processName", "taskName", "exc_text", "stack_info")


def mask_all_records() -> None:
    """Mask every record of the process before any handler or filter sees it. A second call does nothing."""
    handle = logging.Logger.handle
    if getattr(handle, "masks_in", None) == __name__:
        return

    @wraps(handle)
    def masked(self: logging.Logger, record: logging.LogRecord) -> None:
        mask_record(record)
        handle(self, record)

    masked.masks_in = __name__  # type: ignore[attr-defined]
    # There is no other way to change the records that handlers of other libraries get.
    logging.Logger.handle = masked  # type: ignore[method-assign]


def mask_record(record: logging.LogRecord, masker: SecretMasker = process_masker) -> None:
    """Mask the secrets in a record: in the message, the arguments, the fields, the exception and other attributes.

    An exception that holds a secret is replaced by its masked text, since it may hold the secret in many places.

    Args:
        record: Any record.
        masker: The masker.
    """
    message = message_of(record)
    if masker.holds(message) or any(_holds(value, masker) for value in _arguments(record)):
        record.msg, record.args = masker.mask(message), ()
    trouble = trouble_of(record)
    if any(masker.holds(text) for text in trouble.values()):
        record.exc_info, record.exc_text = None, masker.mask(trouble["exception.stacktrace"])
    for name, value in list(vars(record).items()):
        if (name in _GIVEN or name not in RECORD_ATTRIBUTES) and _holds(value, masker):
            del record.__dict__[name]
            record.__dict__[masker.mask(name)] = plain(value, masker.mask)
        elif name not in RECORD_ATTRIBUTES and masker.holds(name):
            record.__dict__[masker.mask(name)] = record.__dict__.pop(name)
    if isinstance(record, CicdRecord) and any(_holds(item, masker) for item in record.fields.values.items()):
        masked = {masker.mask(name): plain(value, masker.mask) for name, value in record.fields.values.items()}
        record.fields = Fields(masked)


def _arguments(record: logging.LogRecord) -> tuple[Any, ...]:
    args: Any = record.args
    return args if isinstance(args, tuple) else (args,)


def _holds(value: object, masker: SecretMasker) -> bool:
    """Tell whether a value holds a secret in its text or in that of any part."""
    found = []

    def look(text: str) -> str:
        found.append(masker.holds(text))
        return text

    plain(value, look)
    return any(found) or masker.holds(text_of(value))
