"""The logger that programs call."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from types import FrameType, TracebackType
from typing import Any, TypeAlias

from .context import current_fields
from .failures import report
from .fields import NO_FIELDS, Fields
from .masking import current_secrets
from .records import CicdRecord, record_class
from .values import text_of

__all__ = ["CicdLogger", "get_logger"]

_ErrorTuple: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
ExcInfo: TypeAlias = bool | BaseException | _ErrorTuple | None
DEBUG, INFO, WARNING, ERROR, CRITICAL = 10, 20, 30, 40, 50


def get_logger(name: str | None = None) -> CicdLogger:
    """Return the logger of a name. This configures nothing.

    Args:
        name: The name, as for `logging.getLogger`: usually ``__name__``; by default that of the root logger.
    """
    return CicdLogger(logging.getLogger(name))


class CicdLogger:
    """A logger of the standard library, with fields.

    It has the methods and arguments of `logging.Logger`. Any other keyword argument of a call is a field of its line.
    Attributes that are not defined here, such as ``setLevel`` and ``handlers``, are those of the standard logger.
    A call that logs never raises.

    Args:
        logger: The logger of the standard library that writes the lines.
        fields: The fields of all its lines.

    Attributes:
        logger: As given.
    """

    __slots__ = ("_bound", "_in_force", "_is_enabled_for", "logger")

    def __init__(self, logger: logging.Logger, fields: Fields = NO_FIELDS) -> None:
        self.logger = logger
        self._is_enabled_for = logger.isEnabledFor
        self._bound = fields
        # The last context, and its fields joined with the bound ones: most lines have the context of the line before.
        self._in_force = (NO_FIELDS, fields)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.logger.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.logger, self._bound)

    def __getattr__(self, name: str) -> Any:
        if name == "logger":  # Not set yet while a copy is being made.
            raise AttributeError(name)
        return getattr(self.logger, name)

    @property
    def name(self) -> str:
        """The name of the logger."""
        return self.logger.name

    @property
    def fields(self) -> dict[str, Any]:
        """The fields bound to this logger, by their written names."""
        return dict(self._bound.values)

    def bind(self, /, **fields: Any) -> CicdLogger:
        """Return a logger that puts more fields on all its lines.

        Args:
            fields: The fields. They are rendered once, so later changes within a value do not show.
        """
        return CicdLogger(self.logger, self._bound.join(Fields.of(fields)))

    def unbind(self, /, *names: str) -> CicdLogger:
        """Return a logger without some of the bound fields.

        Args:
            names: The names of the fields; unknown ones are ignored.
        """
        return CicdLogger(self.logger, self._bound.without(names))

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name in the standard library
        """Tell whether a line of a level would be written.

        Args:
            level: A level of the standard library.
        """
        return self._is_enabled_for(level)

    def getChild(self, suffix: str) -> CicdLogger:  # noqa: N802 - the name in the standard library
        """Return a logger below this one, with the same bound fields.

        Args:
            suffix: The last part of its name.
        """
        return CicdLogger(self.logger.getChild(suffix), self._bound)

    def debug(self, msg: object = "", /, *args: object, **rest: Any) -> None:
        """Log at the level DEBUG: a detail that helps to find an error.

        Args:
            msg: The message, with ``%``-style places for the arguments.
            args: The arguments of the message.
            rest: ``exc_info``, ``stack_info``, ``stacklevel`` and ``extra`` as in the standard library; and fields.
        """
        if self._is_enabled_for(DEBUG):
            self._log(DEBUG, msg, args, **rest)

    def info(self, msg: object = "", /, *args: object, **rest: Any) -> None:
        """Log at the level INFO: an expected event. Arguments as for `debug`."""
        if self._is_enabled_for(INFO):
            self._log(INFO, msg, args, **rest)

    def warning(self, msg: object = "", /, *args: object, **rest: Any) -> None:
        """Log at the level WARNING: a possible problem. Arguments as for `debug`."""
        if self._is_enabled_for(WARNING):
            self._log(WARNING, msg, args, **rest)

    def error(self, msg: object = "", /, *args: object, **rest: Any) -> None:
        """Log at the level ERROR: a failure. Arguments as for `debug`."""
        if self._is_enabled_for(ERROR):
            self._log(ERROR, msg, args, **rest)

    def exception(self, msg: object = "", /, *args: object, exc_info: ExcInfo = True, **rest: Any) -> None:
        """Log at the level ERROR with the exception being handled. Arguments as for `debug`."""
        if self._is_enabled_for(ERROR):
            self._log(ERROR, msg, args, exc_info=exc_info, **rest)

    def critical(self, msg: object = "", /, *args: object, **rest: Any) -> None:
        """Log at the level CRITICAL: a failure that ends the program. Arguments as for `debug`."""
        if self._is_enabled_for(CRITICAL):
            self._log(CRITICAL, msg, args, **rest)

    def log(self, level: int, msg: object = "", /, *args: object, **rest: Any) -> None:
        """Log at any level.

        Args:
            level: A level of the standard library; a value that is not an integer counts as INFO.
            msg: As for `debug`.
            args: As for `debug`.
            rest: As for `debug`.
        """
        level = level if isinstance(level, int) else INFO
        if self._is_enabled_for(level):
            self._log(level, msg, args, **rest)

    warn = warning
    fatal = critical

    def _log(
        self,
        level: int,
        msg: object,
        args: tuple[object, ...],
        /,
        *,
        exc_info: ExcInfo = None,
        stack_info: bool = False,
        stacklevel: int = 1,
        extra: Mapping[str, object] | None = None,
        **given: Any,
    ) -> None:
        record = None
        try:
            fields = self._fields_in_force()
            if extra:
                fields = fields.join(Fields.of({text_of(name): value for name, value in extra.items()}))
            if given:
                fields = fields.join(Fields.of(given))
            frame = sys._getframe(2) if stacklevel == 1 else _caller(stacklevel)
            record = _record(self.logger, level, frame, msg, args, exc_info and _error_tuple(exc_info), fields)
            if stack_info:
                record.stack_info = self.logger.findCaller(True, stacklevel + 2)[3]
            self.logger.handle(record)
        except Exception:
            report(record)

    def _fields_in_force(self) -> Fields:
        context = current_fields()
        seen, fields = self._in_force
        if seen is not context:
            fields = context.join(self._bound)
            self._in_force = (context, fields)
        return fields


def _caller(stacklevel: int) -> FrameType:
    """Return the frame of the code that called a method of the logger, or of one of its callers."""
    # The frames below are those of this function, of _log and of the method.
    frame = sys._getframe(3)
    while stacklevel > 1 and frame.f_back is not None:
        frame = frame.f_back
        stacklevel -= 1
    return frame


def _error_tuple(exc_info: ExcInfo) -> Any:
    if isinstance(exc_info, BaseException):
        return type(exc_info), exc_info, exc_info.__traceback__
    return exc_info if isinstance(exc_info, tuple) else sys.exc_info()


def _record(
    logger: logging.Logger,
    level: int,
    frame: FrameType,
    msg: object,
    args: tuple[object, ...],
    exc_info: Any,
    fields: Fields,
) -> logging.LogRecord:
    code = frame.f_code
    make = record_class()
    record: Any = make(logger.name, level, code.co_filename, frame.f_lineno, msg, args, exc_info, code.co_name)
    if make is CicdRecord:
        record.fields = fields
        record.secrets = current_secrets()
    record.__dict__.update(fields.values)
    return record  # type: ignore[no-any-return] # a factory may make what it likes
