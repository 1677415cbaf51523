"""The statements that every update takes: written in SQLAlchemy Core as all others are, but run by the driver itself.

What SQLAlchemy does around each run of a statement takes longer than such a statement does. So these are compiled once,
and from then on only their values go through SQLAlchemy's types.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, Dialect
from sqlalchemy.types import TypeEngine

__all__ = ["Compiled", "Hot"]

_Converter = Callable[[Any], Any]


@frozen
class Compiled:
    """A statement as a driver takes it.

    Attributes:
        sql: Its text.
        is_positional: Whether its parameters are told by their places, or else by their names.
        parameters: The names of its parameters, in order, each with what makes a value for the driver.
        constants: The values of those parameters that SQLAlchemy made by itself.
        columns: The names of the columns that it returns, each with what makes a value of the driver's.
    """

    sql: str
    is_positional: bool
    parameters: tuple[tuple[str, _Converter], ...]
    constants: dict[str, Any]
    columns: tuple[tuple[str, _Converter], ...]

    def with_values(self, values: dict[str, Any]) -> tuple[str, dict[str, Any] | tuple[Any, ...]]:
        """The text and the parameters, as the driver takes them."""
        values = self.constants | values
        named = {name: convert(values[name]) for name, convert in self.parameters}
        return self.sql, tuple(named.values()) if self.is_positional else named


class Hot:
    """A statement that is run by the driver itself.

    Args:
        statement: A statement of SQLAlchemy Core. All that changes in it are parameters that have names.
    """

    def __init__(self, statement: Any) -> None:
        self._statement = statement
        self._compiled: dict[str, Compiled] = {}

    def run(self, connection: Connection, values: dict[str, Any]) -> list[dict[str, Any]]:
        """Run it.

        Args:
            connection: In a transaction.
            values: The values of its parameters, and maybe more.

        Returns:
            The rows that it returns, each by column.
        """
        compiled = self._compiled.get(connection.dialect.name) or self._compile(connection.dialect)
        cursor = connection.connection.cursor()
        cursor.execute(*compiled.with_values(values))
        columns = compiled.columns
        rows = cursor.fetchall() if columns else ()
        return [{name: convert(value) for (name, convert), value in zip(columns, row, strict=True)} for row in rows]

    def _compile(self, dialect: Dialect) -> Compiled:
        compiled = self._statement.compile(dialect=dialect)
        names = compiled.positiontup or list(compiled.binds)
        result = Compiled(
            sql=compiled.string,
            is_positional=compiled.positional,
            parameters=tuple((name, _to_driver(compiled.binds[name].type, dialect)) for name in names),
            constants={name: bind.effective_value for name, bind in compiled.binds.items() if not bind.required},
            columns=tuple((each.name, _from_driver(each.type, dialect)) for each in self._statement.exported_columns),
        )
        return self._compiled.setdefault(dialect.name, result)


def _to_driver(type_: TypeEngine[Any], dialect: Dialect) -> _Converter:
    return type_.dialect_impl(dialect).bind_processor(dialect) or _same


def _from_driver(type_: TypeEngine[Any], dialect: Dialect) -> _Converter:
    return type_.dialect_impl(dialect).result_processor(dialect, None) or _same


def _same(value: Any) -> Any:
    return value
