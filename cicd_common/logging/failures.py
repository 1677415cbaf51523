"""Report failures of logging itself as the standard library does, without secrets."""

from __future__ import annotations

import logging
import sys
import traceback
from contextlib import suppress

from .masking import SecretMasker, process_masker
from .values import scrub, text_of

__all__ = ["mask_logging_errors", "report"]


def report(record: logging.LogRecord | None, masker: SecretMasker = process_masker) -> None:
    """Report the exception being handled, which kept a record from being written, on the standard error stream.

    The report is masked. If `logging.raiseExceptions` is off, nothing is written. This never raises.

    Args:
        record: The record; None if it could not be made.
        masker: The masker.
    """
    with suppress(Exception):
        if logging.raiseExceptions and sys.stderr is not None:
            sys.stderr.write(scrub(masker.mask(_text(record))))


def _text(record: logging.LogRecord | None) -> str:
    about = f"Message: {text_of(record.msg)}\nArguments: {text_of(record.args)}\n" if record is not None else ""
    return f"--- Logging error ---\n{traceback.format_exc()}{about}"


def mask_logging_errors() -> None:
    """Mask the report that `logging` prints when a handler fails, which repeats the message and the arguments.

    This holds for all handlers of the process that have no ``handleError`` of their own.
    """
    # There is no other way to change the reports of other handlers.
    logging.Handler.handleError = _handle_error  # type: ignore[method-assign, assignment]


def _handle_error(_: logging.Handler, record: logging.LogRecord) -> None:
    report(record)
