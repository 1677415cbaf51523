"""What can be told from a log record, whoever made it. Nothing here raises."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Iterator
from typing import Any

from .context import current_fields
from .fields import NO_FIELDS, RECORD_ATTRIBUTES, Fields
from .values import text_of

__all__ = ["CicdRecord", "details_of", "fields_of", "message_of", "severity_number", "trouble_of"]

_OWN_ATTRIBUTES = len(vars(logging.makeLogRecord({})))


class CicdRecord(logging.LogRecord):
    """A record made by a `CicdLogger`: a standard one, whose message never raises, with its fields at hand.

    The fields are attributes of the record too, so that every handler and filter sees them.

    Attributes:
        fields: The fields in force when it was made: of the context, of the logger, and of the call.
    """

    # A slot is not in vars(record), where telemetry agents look for what to send.
    __slots__ = ("fields",)

    fields: Fields

    def getMessage(self) -> str:  # noqa: N802 - the name in the standard library
        """The message with its arguments, put together as well as can be."""
        if self.args or type(self.msg) is not str:
            return _safe_message(self)
        return self.msg


def _safe_message(record: logging.LogRecord) -> str:
    try:
        return logging.LogRecord.getMessage(record)
    except Exception:
        args = record.args if isinstance(record.args, tuple) else (record.args,)
        return " ".join(map(text_of, (record.msg, *args) if record.args else (record.msg,)))


def message_of(record: logging.LogRecord) -> str:
    """The message of a record with its arguments, put together as well as can be.

    Args:
        record: Any record.
    """
    try:
        return record.getMessage() if type(record) is CicdRecord else text_of(record.getMessage())
    except Exception:
        return _safe_message(record)


def fields_of(record: logging.LogRecord) -> Fields:
    """The fields of a record: those it was made with, and the extra attributes that it has or was given by filters.

    A record that no `CicdLogger` made has those of the execution context in force.

    Args:
        record: Any record.
    """
    if type(record) is CicdRecord:
        fields = record.fields
        if len(vars(record)) == _OWN_ATTRIBUTES + len(fields.values):
            return fields
    else:
        fields = current_fields()
    extra = {text_of(name): value for name, value in vars(record).items() if name not in RECORD_ATTRIBUTES}
    return fields.join(Fields.of(extra))


def details_of(record: logging.LogRecord) -> Fields:
    """What a record tells of the thread it comes from, if not the main one, and of an exception or a stack.

    Args:
        record: Any record.
    """
    if record.threadName not in _UNTOLD or record.exc_info or record.exc_text or record.stack_info:
        return Fields(dict(_details(record)))
    return NO_FIELDS


# Threads that no line needs to name: the main one, and one that is not known.
_UNTOLD = (threading.main_thread().name, None)


def _details(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    if record.threadName not in _UNTOLD:
        yield "thread.name", record.threadName
    yield from trouble_of(record).items()
    if record.stack_info:
        yield "code.stacktrace", text_of(record.stack_info)


def trouble_of(record: logging.LogRecord) -> dict[str, str]:
    """The exception of a record, under the OpenTelemetry names; empty if it has none.

    Args:
        record: Any record.
    """
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) and len(record.exc_info) == 3 else None
    if not isinstance(error, BaseException):
        # A queue handler of the standard library leaves the text alone.
        return {"exception.stacktrace": text_of(record.exc_text)} if record.exc_text else {}
    kind = type(error)
    return {
        "exception.type": kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}",
        "exception.message": text_of(error),
        "exception.stacktrace": _stacktrace(error),
    }


def _stacktrace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error)).rstrip("\n")
    except Exception as failure:
        return f"<no stack trace: {type(failure).__name__}>"


def severity_number(level: int) -> int:
    """The OpenTelemetry severity number of a level: 5, 9, 13, 17, 21 for the standard ones.

    Args:
        level: A level of the standard library; between two levels counts as the lower one, below DEBUG as a trace.

    Returns:
        A number from 1 to 21.
    """
    return 1 + 4 * max(0, min(5, level // 10))
