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
from sqlalchemy import Connection, Table, Update, Uuid, bindparam, update

from .hot import Hot
from .rows import insert_if_new

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
        statement = update(table).where(table.c.id == bindparam("key"))
        connection.execute(statement, [{"key": each.key, **each.values} for each in changes])


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
    values = _named(table, row)
    for each in changes:
        values |= _named(each.table, {"key": each.key, **each.values})
    shape = tuple((each.table, tuple(each.values)) for each in changes)
    *first, last = _statements(connection.dialect.name, shape, table, tuple(row))
    for statement in first:
        statement.run(connection, values)
    return bool(last.run(connection, values))


@cache
def _statements(
    dialect: str, changes: tuple[tuple[Table, tuple[str, ...]], ...], table: Table, columns: tuple[str, ...]
) -> tuple[Hot, ...]:
    """The statements that change and insert; the last one returns a row if it inserted one."""
    updates = [_update(each, names) for each, names in changes]
    new = insert_if_new(dialect, table).values(_parameters(table, columns))
    if dialect == "sqlite":
        return tuple(map(Hot, (*updates, new)))
    return (Hot(new.add_cte(*(each.cte() for each in updates))),)


def _update(table: Table, columns: tuple[str, ...]) -> Update:
    key = bindparam(_name(table, "key"), type_=Uuid)
    return update(table).where(table.c.id == key).values(_parameters(table, columns))


def _parameters(table: Table, columns: Sequence[str]) -> dict[str, Any]:
    return {name: bindparam(_name(table, name), type_=table.c[name].type) for name in columns}


def _named(table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    return {_name(table, name): value for name, value in values.items()}


@cache
def _name(table: Table, column: str) -> str:
    """The name of a parameter: the same column stands in several tables."""
    return f"{table.name}_{column}"
