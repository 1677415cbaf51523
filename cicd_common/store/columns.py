"""Column types that behave the same on every database."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Enum, LargeBinary, Text, Uuid, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from ..enums import EndReason, ExecutionStatus
from ..values import JsonObject

__all__ = ["FreeText", "JsonText", "Reason", "Status", "Time", "is_one_of"]

# An enum type where the database has enum types, else a text with a CHECK constraint.
Status = Enum(ExecutionStatus, create_constraint=True, name="execution_status", length=8)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Time(TypeDecorator[datetime]):
    """A time as microseconds since 1970 in UTC: exact, sortable, and independent of a session's time zone."""

    impl = BigInteger
    cache_ok = True

    # Plain functions, since a method of this class would be one call more for every value.
    def bind_processor(self, dialect: Any) -> Any:  # noqa: ARG002 - as overridden
        """Convert to the database's value."""
        return _to_number

    def result_processor(self, dialect: Any, coltype: Any) -> Any:  # noqa: ARG002 - as overridden
        """Convert from the database's value."""
        return _to_time


def _to_number(value: datetime | None) -> int | None:
    return None if value is None else (value - _EPOCH) // _MICROSECOND


def _to_time(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + timedelta(microseconds=value)


class FreeText(TypeDecorator[str]):
    """Any text, as UTF-8 bytes: a job's output may hold a NUL, which PostgreSQL refuses in a text."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> bytes | None:  # noqa: ARG002 - as overridden
        """Convert to the database's value."""
        return None if value is None else value.encode()

    def process_result_value(self, value: bytes | None, dialect: Any) -> str | None:  # noqa: ARG002 - as overridden
        """Convert from the database's value."""
        return None if value is None else bytes(value).decode()


_REASONS = {reason.value: reason for reason in EndReason}


class Reason(TypeDecorator[EndReason]):
    """An `EndReason`, as its value. The reason of a newer version is read as ``OTHER``."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: EndReason | None, dialect: Any) -> str | None:  # noqa: ARG002 - as overridden
        """Convert to the database's value."""
        return None if value is None else value.value

    def process_result_value(self, value: str | None, dialect: Any) -> EndReason | None:  # noqa: ARG002 - as overridden
        """Convert from the database's value."""
        return None if value is None else _REASONS.get(value, EndReason.OTHER)


class JsonText(TypeDecorator[JsonObject]):
    """A `JsonObject` or an instance of a derived class, as its canonical text.

    Args:
        cls: The class.
    """

    impl = Text
    cache_ok = True

    def __init__(self, cls: type[JsonObject] = JsonObject) -> None:
        super().__init__()
        self.cls = cls

    def process_bind_param(self, value: JsonObject | None, dialect: Any) -> str | None:  # noqa: ARG002 - as overridden
        """Convert to the database's value."""
        return None if value is None else value.text

    def process_result_value(self, value: str | None, dialect: Any) -> JsonObject | None:  # noqa: ARG002 - as overridden
        """Convert from the database's value."""
        return None if value is None else self.cls(json.loads(value))


class _Ids(TypeDecorator[Collection[UUID]]):
    """Any number of ids as one value: an array in PostgreSQL, a JSON array in SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        """Return the database's type."""
        return dialect.type_descriptor(ARRAY(Uuid()) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Collection[UUID] | None, dialect: Any) -> Any:
        """Convert to the database's value."""
        assert value is not None
        return list(value) if dialect.name == "postgresql" else json.dumps([each.hex for each in value])


class _IsOneOf(FunctionElement[Any]):
    inherit_cache = True


@compiles(_IsOneOf, "postgresql")
def _is_one_of_array(element: Any, compiler: Any, **options: Any) -> str:
    column, ids = (compiler.process(each, **options) for each in element.clauses)
    return f"{column} = ANY ({ids})"


@compiles(_IsOneOf, "sqlite")
def _is_one_of_json(element: Any, compiler: Any, **options: Any) -> str:
    column, ids = (compiler.process(each, **options) for each in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({ids}))"


def is_one_of(column: Any, name: str = "ids") -> Any:
    """Make the condition that a column has one of the ids of a parameter.

    In contrast to ``in_`` the statement is the same for any number of ids. A database limits the number of parameters.

    Args:
        column: The column.
        name: The name of the parameter.
    """
    return _IsOneOf(column, bindparam(name, type_=_Ids()))
