"""The types of columns that SQLAlchemy does not have as the store needs them: the same on every database."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Enum, LargeBinary, Text
from sqlalchemy.types import TypeDecorator

from ..enums import EndReason, ExecutionStatus
from ..values import JsonObject

__all__ = ["FreeText", "JsonText", "Reason", "Status", "Time"]

# A type of the database where it has such types, else a text that is checked.
Status = Enum(ExecutionStatus, create_constraint=True, name="execution_status", length=8)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Time(TypeDecorator[datetime]):
    """A time as microseconds since 1970 in UTC: exact, in order, and independent of the time zone of a session."""

    impl = BigInteger
    cache_ok = True

    # These are called for every value, so no method of this class stands in between.
    def bind_processor(self, dialect: Any) -> Any:  # noqa: ARG002 - as overridden
        """To the database."""
        return _to_number

    def result_processor(self, dialect: Any, coltype: Any) -> Any:  # noqa: ARG002 - as overridden
        """From the database."""
        return _to_time


def _to_number(value: datetime | None) -> int | None:
    return None if value is None else (value - _EPOCH) // _MICROSECOND


def _to_time(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + timedelta(microseconds=value)


class FreeText(TypeDecorator[str]):
    """Any text, as its bytes in UTF-8: the output of a job may hold a NUL, which a text of PostgreSQL cannot."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> bytes | None:  # noqa: ARG002 - as overridden
        """To the database."""
        return None if value is None else value.encode()

    def process_result_value(self, value: bytes | None, dialect: Any) -> str | None:  # noqa: ARG002 - as overridden
        """From the database."""
        return None if value is None else bytes(value).decode()


_REASONS = {reason.value: reason for reason in EndReason}


class Reason(TypeDecorator[EndReason]):
    """Why a job ended, as its value. A reason that a newer version has stored is read as ``OTHER``."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: EndReason | None, dialect: Any) -> str | None:  # noqa: ARG002 - as overridden
        """To the database."""
        return None if value is None else value.value

    def process_result_value(self, value: str | None, dialect: Any) -> EndReason | None:  # noqa: ARG002 - as overridden
        """From the database."""
        return None if value is None else _REASONS.get(value, EndReason.OTHER)


class JsonText(TypeDecorator[JsonObject]):
    """A `JsonObject`, or a class derived from it, as its canonical text.

    Args:
        cls: The class.
    """

    impl = Text
    cache_ok = True

    def __init__(self, cls: type[JsonObject] = JsonObject) -> None:
        super().__init__()
        self.cls = cls

    def process_bind_param(self, value: JsonObject | None, dialect: Any) -> str | None:  # noqa: ARG002 - as overridden
        """To the database."""
        return None if value is None else value.text

    def process_result_value(self, value: str | None, dialect: Any) -> JsonObject | None:  # noqa: ARG002 - as overridden
        """From the database."""
        return None if value is None else self.cls(json.loads(value))
