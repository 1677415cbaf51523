"""Set up the logging of a program in one call."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from typing import Any, Literal, TextIO

from .console_format import ConsoleFormatter
from .failures import mask_logging_errors
from .formatters import LineFormatter, notice
from .handler import LineHandler
from .json_format import JsonFormatter
from .masking import DIGITS_ALONE, SecretMasker, is_of_digits, process_masker
from .masking_records import mask_all_records
from .records import stamp_records

__all__ = ["Format", "configure"]

Format = Literal["auto", "json", "console"]

# The name of this package's handlers on the root logger, also of those of other copies of the package.
_NAME = "cicd_common.logging.handler"

# The attribute of the root logger that lists the maskers of all copies.
_MASKERS = "cicd_common.logging.maskers"


def configure(
    *,
    service: str | None = None,
    level: int | str = logging.INFO,
    format: Format = "auto",
    stream: TextIO | None = None,
    file: str | os.PathLike[str] | None = None,
    secrets: Iterable[str] = (),
    mask_all_handlers: bool = False,
) -> SecretMasker:
    """Set up logging for the whole process: all loggers, those of other libraries too, and warnings.

    A later call replaces the handlers of an earlier one, also of another copy of this package, and touches no other
    handlers. Secrets stay known, and all copies of the package mask each other's secrets.

    Args:
        service: The name of the program, on every line of JSON; none by default.
        level: The lowest level that is written, as a number or by its name.
        format: ``json``, ``console``, or ``auto``: console on a terminal, JSON elsewhere.
        stream: Where to write; by default the standard error stream, or nowhere but the file if there is one.
        file: A file to append to, as well.
        secrets: The secrets to mask. One that is too short to be masked is refused with a warning.
        mask_all_handlers: Mask the records themselves, also for handlers of others. A later call does not undo this.

    Returns:
        The masker of the process, which takes more secrets.

    Raises:
        ValueError: The format or the level is unknown.
        OSError: The file cannot be opened.
    """
    if format not in ("auto", "json", "console"):
        raise ValueError("expected one of the formats auto, json and console")
    logging.Handler(level)  # Raises for an unknown level, before anything is changed.
    _share_secrets()
    warnings = _add(secrets)
    handlers = [_handler(None, file, service, format)] if file is not None else []
    if file is None or stream is not None:
        handlers.append(_handler(stream, None, service, format))
    _install(handlers, level)
    if mask_all_handlers:
        mask_all_records()
    for text in warnings:
        logging.getLogger().handle(notice(text))
    return process_masker


def _share_secrets() -> None:
    """Share secrets with the other copies of this package in the process."""
    maskers: list[Any] = vars(logging.getLogger()).setdefault(_MASKERS, [])
    if process_masker not in maskers:
        for other in maskers:
            process_masker.join(other)
        maskers.append(process_masker)


def _add(secrets: Iterable[str]) -> list[str]:
    """Add secrets to the masker. Return the warnings about them, to be logged when there are handlers."""
    warnings = []
    for secret in [secrets] if isinstance(secrets, str) else secrets:
        try:
            process_masker.learn(secret)
        except ValueError as error:
            warnings.append(f"a secret was refused: {error}")
        else:
            warnings += [DIGITS_ALONE] if is_of_digits(secret) else []
    return warnings


def _handler(stream: TextIO | None, file: Any, service: str | None, format: Format) -> LineHandler:
    handler = LineHandler(stream, file=file)
    target = None if file is not None else stream if stream is not None else sys.stderr
    handler.setFormatter(_formatter(service, format, is_terminal(target)))
    handler.set_name(_NAME)
    return handler


def _formatter(service: str | None, format: Format, terminal: bool) -> LineFormatter:
    if format == "console" or (format == "auto" and terminal):
        return ConsoleFormatter(color=terminal and not os.environ.get("NO_COLOR"))
    return JsonFormatter(service=service)


def is_terminal(stream: Any) -> bool:
    """Tell whether a stream is a terminal. A stream without ``isatty`` is none.

    Args:
        stream: Any object.
    """
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def _install(handlers: list[LineHandler], level: int | str) -> None:
    root = logging.getLogger()
    before = [handler for handler in root.handlers if handler.get_name() == _NAME]
    for handler in handlers:
        root.addHandler(handler)
    for old in before:
        root.removeHandler(old)
        old.close()
    root.setLevel(level)
    logging.captureWarnings(True)
    mask_logging_errors()
    stamp_records()
