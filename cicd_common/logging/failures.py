"""What is said when logging itself fails: the text of the standard library, without secrets."""

from __future__ import annotations

import logging
import sys
import traceback
from contextlib import suppress

from .masking import SecretMasker, process_masker
from .values import scrub, text_of

__all__ = ["mask_logging_errors", "report"]


def report(record: logging.LogRecord | None, masker: SecretMasker = process_masker) -> None:
    """Say on the standard error stream, masked, that the exception being handled kept a record from being written.

    Says nothing where `logging.raiseExceptions` is off, and never raises.

    Args:
        record: The record; none if there is not even one.
        masker: Knows the secrets.
    """
    with suppress(Exception):
        if logging.raiseExceptions and sys.stderr is not None:
            sys.stderr.write(scrub(masker.mask(_text(record))))


def _text(record: logging.LogRecord | None) -> str:
    about = f"Message: {text_of(record.msg)}\nArguments: {text_of(record.args)}\n" if record is not None else ""
    return f"--- Logging error ---\n{traceback.format_exc()}{about}"


def mask_logging_errors() -> None:
    """Mask what `logging` prints when any handler of the process fails, which repeats messages and arguments.

    Handlers that have their own way to deal with errors keep it.
    """
    # There is no other way to reach what handlers print that are not ours.
    logging.Handler.handleError = _handle_error  # type: ignore[method-assign, assignment]


def _handle_error(_: logging.Handler, record: logging.LogRecord) -> None:
    report(record)
