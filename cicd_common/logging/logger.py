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
    """The logger of a name. Getting it configures nothing.

    Args:
        name: As for `logging.getLogger`: usually ``__name__``; by default that of the root logger.
    """
    return CicdLogger(logging.getLogger(name))


class CicdLogger:
    """A logger of the standard library, with fields.

    It has the methods and arguments of `logging.Logger`. Any other keyword argument of a call is a field of its line.
    What is not defined here is that of the standard logger: ``setLevel``, ``addHandler``, ``handlers``, ...
    A call never raises into the program.

    Args:
        logger: The logger of the standard library that it stands for.
        fields: The fields of all its lines.

    Attributes:
        logger: As given.
    """

    __slots__ = ("_bound", "_in_force", "_is_enabled_for", "logger")

    def __init__(self, logger: logging.Logger, fields: Fields = NO_FIELDS) -> None:
        self.logger = logger
        self._is_enabled_for = logger.isEnabledFor
        self._bound = fields
        # The fields of the last context seen joined with the bound ones, since one context has many lines.
        self._in_force = (NO_FIELDS, fields)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.logger.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.logger, self._bound)

    def __getattr__(self, name: str) -> Any:
        if name == "logger":  # It is not there yet while a copy is being made.
            raise AttributeError(name)
        return getattr(self.logger, name)

    @property
    def name(self) -> str:
        """The name of the logger."""
        return self.logger.name

    @property
    def fields(self) -> dict[str, Any]:
        """The fields bound to this logger, by the names under which they are written."""
        return dict(self._bound.values)

    def bind(self, /, **fields: Any) -> CicdLogger:
        """A logger that puts fields on all its lines, in addition to those that this one puts on them.

        Args:
            fields: The fields; they are rendered once, so later changes within a value do not show.
        """
        return CicdLogger(self.logger, self._bound.join(Fields.of(fields)))

    def unbind(self, /, *names: str) -> CicdLogger:
        """A logger without some of the bound fields.

        Args:
            names: The names of the fields; unknown ones are ignored.
        """
        return CicdLogger(self.logger, self._bound.without(names))

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name in the standard library
        """Whether a line of a level would be written.

        Args:
            level: A level of the standard library.
        """
        return self._is_enabled_for(level)

    def getChild(self, suffix: str) -> CicdLogger:  # noqa: N802 - the name in the standard library
        """The logger below this one, with the same bound fields.

        Args:
            suffix: Its name below the name of this one.
        """
        return CicdLogger(self.logger.getChild(suffix), self._bound)

    def debug(self, msg: object = "", /, *args: object, **rest: Any) -> None:
        """Log what helps to find an error.

        Args:
            msg: The message, with ``%``-style places for the arguments.
            args: The arguments of the message.
            rest: ``exc_info``, ``stack_info``, ``stacklevel`` and ``extra`` as in the standard library; and fields.
        """
        if self._is_enabled_for(DEBUG):
            self._log(DEBUG, msg, args, **rest)

    def info(self, msg: object = "", /, *args: object, **rest: Any) -> None:
        """Log what goes as it should. Arguments as for `debug`."""
        if self._is_enabled_for(INFO):
            self._log(INFO, msg, args, **rest)

    def warning(self, msg: object = "", /, *args: object, **rest: Any) -> None:
        """Log what may become a problem. Arguments as for `debug`."""
        if self._is_enabled_for(WARNING):
            self._log(WARNING, msg, args, **rest)

    def error(self, msg: object = "", /, *args: object, **rest: Any) -> None:
        """Log what went wrong. Arguments as for `debug`."""
        if self._is_enabled_for(ERROR):
            self._log(ERROR, msg, args, **rest)

    def exception(self, msg: object = "", /, *args: object, exc_info: ExcInfo = True, **rest: Any) -> None:
        """Log what went wrong, with the exception being handled. Arguments as for `debug`."""
        if self._is_enabled_for(ERROR):
            self._log(ERROR, msg, args, exc_info=exc_info, **rest)

    def critical(self, msg: object = "", /, *args: object, **rest: Any) -> None:
        """Log what the program cannot go on from. Arguments as for `debug`."""
        if self._is_enabled_for(CRITICAL):
            self._log(CRITICAL, msg, args, **rest)

    def log(self, level: int, msg: object = "", /, *args: object, **rest: Any) -> None:
        """Log with any level.

        Args:
            level: A level of the standard library; what is none counts as INFO.
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
    """The frame of the code that called a method of the logger, or of a caller of it."""
    # Below it are this function, _log and the method.
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
