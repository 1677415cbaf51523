"""The statements that move runs: written in SQLAlchemy Core as all others are, but run by the driver itself.

What SQLAlchemy does around each run of a statement takes longer than such a statement does. So these are compiled once,
and from then on only their values go through SQLAlchemy's types. Those that need nothing of each other's answers are
run together: a database that is asked over a network is then asked once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import Factory, define, frozen
from sqlalchemy import Dialect
from sqlalchemy.types import TypeEngine

__all__ = ["BEGIN", "COMMIT", "Answers", "Call", "Compiled", "Hot", "Rows", "Statement"]

_Converter = Callable[[Any], Any]

Statement = tuple[str, Sequence[Any]]
"""A text with the parameters for it, as a driver takes them."""

Rows = Sequence[Sequence[Any]]
"""The rows that a statement returned, as a driver gives them."""


@frozen
class Compiled:
    """A statement as a driver takes it.

    Attributes:
        sql: Its text, with its parameters told by their places.
        parameters: The names of its parameters, in order.
        writers: What makes values for the driver, by the places of those parameters that need it.
        constants: The values of those parameters that SQLAlchemy made by itself.
        columns: The names of the columns that it returns.
        readers: What makes values of the driver's, by the names of those columns that need it.
    """

    sql: str
    parameters: Sequence[str] = ()
    writers: Sequence[tuple[int, _Converter]] = ()
    constants: Mapping[str, Any] = Factory(dict)
    columns: Sequence[str] = ()
    readers: Sequence[tuple[str, _Converter]] = ()

    def with_values(self, values: Mapping[str, Any]) -> Statement:
        """The text and the parameters, as the driver takes them."""
        if self.constants:
            values = {**self.constants, **values}
        row = [values[name] for name in self.parameters]
        for place, write in self.writers:
            row[place] = write(row[place])
        return self.sql, row

    def read(self, rows: Rows) -> list[dict[str, Any]]:
        """The rows that it returned, each by column."""
        found = [dict(zip(self.columns, row, strict=True)) for row in rows]
        for row in found:
            for name, read in self.readers:
                row[name] = read(row[name])
        return found


Call = tuple["Hot", Mapping[str, Any]]
"""A run of a statement with the values of its parameters."""


@define(eq=False)
class Hot:
    """A statement that is run by the driver itself.

    Attributes:
        statement: A statement of SQLAlchemy Core, or what makes one for a kind of database, by its name. All that
            changes in it are parameters that have names.
        sets: The columns that it sets, if it is an update of which no more is said: by parameters of their names.
        by_dialect: What it is on each kind of database, as far as that is known.
    """

    statement: Any
    sets: Sequence[str] | None = None
    by_dialect: dict[str, Compiled] = Factory(dict)

    def __call__(self, **values: Any) -> Call:
        """A run of it.

        Args:
            **values: The values of its parameters, and maybe more.
        """
        return self, values

    def compiled(self, dialect: Dialect) -> Compiled:
        """What is run on a kind of database."""
        return self.by_dialect.get(dialect.name) or self._compile(dialect)

    def _compile(self, dialect: Dialect) -> Compiled:
        statement: Any = self.statement(dialect.name) if callable(self.statement) else self.statement
        by_place: Any = type(dialect)
        compiled = statement.compile(dialect=by_place(paramstyle=_STYLES[dialect.name]), column_keys=self.sets)
        parameters = compiled.positiontup
        types = [compiled.binds[name].type for name in parameters]
        columns = statement.exported_columns
        result = Compiled(
            sql=compiled.string,
            parameters=parameters,
            writers=_converters(enumerate(types), "bind_processor", dialect),
            constants={name: bind.effective_value for name, bind in compiled.binds.items() if not bind.required},
            columns=[column.name for column in columns],
            readers=_converters(((column.name, column.type) for column in columns), "result_processor", dialect, None),
        )
        return self.by_dialect.setdefault(dialect.name, result)


BEGIN = Hot(None, by_dialect={"postgresql": Compiled("BEGIN"), "sqlite": Compiled("BEGIN IMMEDIATE")})
"""Begin a transaction that writes."""
COMMIT = Hot(None, by_dialect={"postgresql": Compiled("COMMIT"), "sqlite": Compiled("COMMIT")})
"""End a transaction, and keep what it wrote."""

Answers = Mapping[Hot, Sequence[Mapping[str, Any]]]
"""The rows that statements returned; those of the last run, of one that was run more than once."""


# How parameters are told by their places: SQLite's driver by a mark, the wire of PostgreSQL by a number.
_STYLES: Mapping[str, str] = {"postgresql": "numeric_dollar", "sqlite": "qmark"}


def _converters(types: Iterable[tuple[Any, TypeEngine[Any]]], name: str, dialect: Dialect, *more: Any) -> list[Any]:
    """What SQLAlchemy converts values with, for those types that need it."""
    found = ((key, getattr(type_.dialect_impl(dialect), name)(dialect, *more)) for key, type_ in types)
    return [(key, convert) for key, convert in found if convert]
