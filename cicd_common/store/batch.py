"""Change several rows and insert one, at the price of one statement where the database can do that.

PostgreSQL answers over a network: what an update costs there is how often it is asked, far more than what. SQLite is
part of the process, and has no statement for it; it is asked once for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from attrs import frozen
from sqlalchemy import Connection, Table, Uuid, bindparam, literal_column, update
from sqlalchemy.dialects.postgresql import insert

from .rows import insert_new

__all__ = ["Change", "change", "put_all"]


@frozen
class Change:
    """New values of a row.

    Attributes:
        table: The table, whose key is ``id``.
        key: The id of the row.
        values: The values, by column.
    """

    table: Table
    key: UUID
    values: Mapping[str, Any]


def change(connection: Connection, table: Table, changes: Sequence[Change]) -> None:
    """Change rows of one table, the same columns in each.

    Args:
        connection: In a transaction that writes.
        table: The table.
        changes: The changes.
    """
    if changes:
        connection.execute(_update(table), [{"key": each.key, **each.values} for each in changes])


@cache
def _update(table: Table) -> Any:
    return update(table).where(table.c.id == bindparam("key"))


def put_all(connection: Connection, changes: Sequence[Change], table: Table, row: Mapping[str, Any]) -> bool:
    """Change rows, each of another table, and insert one, if there is none of its key.

    Args:
        connection: In a transaction that writes.
        changes: The changes.
        table: The table of the new row.
        row: The new row.

    Returns:
        Whether there was none.
    """
    if connection.dialect.name == "sqlite":
        for each in changes:
            connection.execute(_update(each.table), {"key": each.key, **each.values})
        return insert_new(connection, table, row)
    statement = _all_in_one(tuple((each.table, tuple(each.values)) for each in changes), table, tuple(row))
    values = _named(table, row)
    for each in changes:
        values |= _named(each.table, {"key": each.key, **each.values})
    return connection.execute(statement, values).first() is not None


@cache
def _all_in_one(changes: tuple[tuple[Table, tuple[str, ...]], ...], table: Table, columns: tuple[str, ...]) -> Any:
    statement = insert(table).values(_parameters(table, columns)).on_conflict_do_nothing()
    for each, names in changes:
        key = bindparam(_name(each, "key"), type_=Uuid)
        changed = update(each).where(each.c.id == key).values(_parameters(each, names))
        statement = statement.add_cte(changed.cte(f"changed_{each.name}"))
    return statement.returning(literal_column("1"))


def _parameters(table: Table, columns: Sequence[str]) -> dict[str, Any]:
    return {name: bindparam(_name(table, name), type_=table.c[name].type) for name in columns}


def _named(table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    return {_name(table, name): value for name, value in values.items()}


def _name(table: Table, column: str) -> str:
    """The name of a parameter: the same column stands in several tables."""
    return f"{table.name}_{column}"
