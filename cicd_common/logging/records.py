"""Read the message, the fields and the exception of a log record of any library. Nothing here raises."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Iterator
from typing import Any

from .context import current_fields
from .fields import NO_FIELDS, RECORD_ATTRIBUTES, STAMP, Fields
from .masking import ScopedSecrets, current_secrets
from .values import text_of

__all__ = [
    "CicdRecord",
    "details_of",
    "fields_of",
    "message_of",
    "record_class",
    "severity_number",
    "stamp_records",
    "trouble_of",
]

_OWN_ATTRIBUTES = len(vars(logging.makeLogRecord({})))


class CicdRecord(logging.LogRecord):
    """A standard record with the context in which it was made. Its message never raises.

    The fields of a record of a `CicdLogger` are also its attributes, so that every handler and filter sees them.

    Attributes:
        fields: The fields of the context, of the logger and of the call that made the record.
        secrets: The secrets of the scopes in which the record was made, which it keeps known; None once it is written.
    """

    # A slot is not in vars(record), which telemetry agents send.
    __slots__ = ("fields", "secrets")

    fields: Fields
    secrets: ScopedSecrets | None

    def __copy__(self) -> CicdRecord:
        # Queue handlers make copies, and the original may be written first and lose its secrets.
        copied = type(self).__new__(type(self))
        vars(copied).update(vars(self))
        copied.fields, copied.secrets = self.fields, current_secrets() or self.secrets
        return copied

    def getMessage(self) -> str:  # noqa: N802 - the name in the standard library
        """Return the message with its arguments, or both one after the other if they do not fit together."""
        if self.args or type(self.msg) is not str:
            return _safe_message(self)
        return self.msg


class _StandardRecord(CicdRecord):
    """A record made by a standard logger. Its fields are no attributes of it, since they would clash with ``extra``."""

    __slots__ = ()


def stamp_records() -> None:
    """Make all records of the process keep the context in which they are made, wherever they are written."""
    before = logging.getLogRecordFactory()
    if getattr(before, "is_stamp", False) and before.__module__ == __name__:
        return

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        if before is logging.LogRecord:
            record = _StandardRecord(*args, **kwargs)
            record.fields, record.secrets = current_fields(), current_secrets()
            return record
        other = before(*args, **kwargs)
        vars(other)[STAMP] = current_fields(), current_secrets()
        return other

    make.is_stamp = True  # type: ignore[attr-defined]
    make.makes = before  # type: ignore[attr-defined]
    logging.setLogRecordFactory(make)


def record_class() -> Any:
    """Return the factory for the records of a `CicdLogger`: `CicdRecord`, unless the program has set its own."""
    factory: Any = logging.getLogRecordFactory()
    if factory is logging.LogRecord or getattr(factory, "makes", None) is logging.LogRecord:
        return CicdRecord
    return factory


def _safe_message(record: logging.LogRecord) -> str:
    try:
        return logging.LogRecord.getMessage(record)
    except Exception:
        args = record.args if isinstance(record.args, tuple) else (record.args,)
        return " ".join(map(text_of, (record.msg, *args) if record.args else (record.msg,)))


def message_of(record: logging.LogRecord) -> str:
    """Return the message of a record with its arguments, or both one after the other if they do not fit together.

    Args:
        record: Any record.
    """
    try:
        return record.getMessage() if type(record) is CicdRecord else text_of(record.getMessage())
    except Exception:
        return _safe_message(record)


def fields_of(record: logging.LogRecord) -> Fields:
    """Return the fields of a record: those it was made with, and the attributes that filters or ``extra`` added.

    A record that was made without its context gets the current one.

    Args:
        record: Any record.
    """
    if type(record) is CicdRecord:
        fields = record.fields
        if len(vars(record)) == _OWN_ATTRIBUTES + len(fields.values):
            return fields
    elif isinstance(record, CicdRecord):
        fields = record.fields
    else:
        fields = vars(record).get(STAMP, (None, None))[0] or current_fields()
    extra = {text_of(name): value for name, value in vars(record).items() if name not in RECORD_ATTRIBUTES}
    return fields.join(Fields.of(extra))


def details_of(record: logging.LogRecord) -> Fields:
    """Return the thread of a record, if it is not the main one, and its exception or stack as fields.

    Args:
        record: Any record.
    """
    if record.threadName not in _UNNAMED or record.exc_info or record.exc_text or record.stack_info:
        return Fields(dict(_details(record)))
    return NO_FIELDS


# Threads that no line names: the main thread, and an unknown one.
_UNNAMED = (threading.main_thread().name, None)


def _details(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    if record.threadName not in _UNNAMED:
        yield "thread.name", record.threadName
    yield from trouble_of(record).items()
    if record.stack_info:
        yield "code.stacktrace", text_of(record.stack_info)


def trouble_of(record: logging.LogRecord) -> dict[str, str]:
    """Return the exception of a record under the OpenTelemetry names; empty if it has none.

    Args:
        record: Any record.
    """
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) and len(record.exc_info) == 3 else None
    if not isinstance(error, BaseException):
        # A queue handler of the standard library keeps only the text of the exception.
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
    """Return the OpenTelemetry severity number of a level: 5, 9, 13, 17 and 21 for the standard levels.

    Args:
        level: A level of the standard library. A number between two levels counts as the lower one, and one below
            DEBUG as a trace.

    Returns:
        A number from 1 to 21.
    """
    return 1 + 4 * max(0, min(5, level // 10))
