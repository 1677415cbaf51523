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
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    Text,
    Update,
    Uuid,
    bindparam,
    cast,
    literal_column,
    select,
    update,
)

from .hot import Hot
from .rows import insert_if_new

__all__ = ["Change", "Sight", "can_put_unlocked", "change", "put_all", "put_all_unlocked", "version_of"]


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


@frozen
class Sight:
    """A row as it was seen.

    Attributes:
        table: The table, whose key is ``id``.
        key: The id of the row.
        version: Which of its states it was, by `version_of`.
    """

    table: Table
    key: UUID
    version: str


def version_of(table: Table) -> ColumnElement[str]:
    """Which state of a row it is that is seen: another one after each transaction that changes it. PostgreSQL only.

    Args:
        table: The table.
    """
    # The transaction that wrote it (System Columns in the manual of PostgreSQL). A number comes again only after four
    # thousand million transactions, and must have done so between two statements that follow each other.
    return cast(literal_column(f"{table.name}.xmin"), Text)


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
        connection: In a transaction that writes, and has locked the rows.
        changes: The changes.
        table: The table of the new row.
        row: The new row.

    Returns:
        Whether there was none.
    """
    *first, last = _statements(connection.dialect.name, _shape(changes), table, tuple(row))
    values = _values(changes, table, row)
    for statement in first:
        statement.run(connection, values)
    return bool(last.run(connection, values))


def can_put_unlocked(dialect: str) -> bool:
    """Whether a database can do what `put_all_unlocked` does.

    Args:
        dialect: The name of its dialect.
    """
    return dialect == "postgresql"


def put_all_unlocked(
    connection: Connection, sights: Sequence[Sight], changes: Sequence[Change], table: Table, row: Mapping[str, Any]
) -> bool | None:
    """Do what `put_all` does if rows are as they were seen, in one statement, and otherwise nothing.

    Args:
        connection: On which that statement may be a transaction of its own.
        sights: The rows, of different tables. They are locked in this order.
        changes: The changes.
        table: The table of the new row.
        row: The new row.

    Returns:
        Whether there was no row of the new one's key; none if nothing was done.
    """
    values = _values(changes, table, row)
    for each in sights:
        values |= _named(each.table, {"seen_key": each.key, "seen_version": each.version})
    statement = _unlocked(tuple(each.table for each in sights), _shape(changes), table, tuple(row))
    (done,) = statement.run(connection, values)
    return done["is_new"] if done["is_seen"] else None


_Shape = tuple[tuple[Table, tuple[str, ...]], ...]


def _shape(changes: Sequence[Change]) -> _Shape:
    return tuple((each.table, tuple(each.values)) for each in changes)


def _values(changes: Sequence[Change], table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    values = _named(table, row)
    for each in changes:
        values |= _named(each.table, {"key": each.key, **each.values})
    return values


@cache
def _statements(dialect: str, changes: _Shape, table: Table, columns: tuple[str, ...]) -> tuple[Hot, ...]:
    """The statements that change and insert; the last one returns a row if it inserted one."""
    updates = [_update(each, names) for each, names in changes]
    new = insert_if_new(dialect, table).values(_parameters(table, columns))
    if dialect == "sqlite":
        return tuple(map(Hot, (*updates, new)))
    return (Hot(new.add_cte(*(each.cte() for each in updates))),)


@cache
def _unlocked(sights: tuple[Table, ...], changes: _Shape, table: Table, columns: tuple[str, ...]) -> Hot:
    """The statement that changes and inserts if rows are as they were seen."""
    found: Select[Any] = select(literal_column("1").label("one")).with_for_update(of=sights, key_share=True)
    for each in sights:
        found = found.where(each.c.id == _parameter(each, "seen_key", Uuid))
        found = found.where(version_of(each) == _parameter(each, "seen_version", Text))
    seen = found.cte("seen")
    is_seen = select(seen.c.one).exists()
    updates = [_update(each, names).where(is_seen).cte() for each, names in changes]
    values = select(*_parameters(table, columns).values()).select_from(seen)
    new = insert_if_new("postgresql", table).from_select(columns, values).cte("new")
    is_new = select(literal_column("1")).select_from(new).exists()
    return Hot(select(is_seen.label("is_seen"), is_new.label("is_new")).add_cte(*updates))


def _update(table: Table, columns: tuple[str, ...]) -> Update:
    return update(table).where(table.c.id == _parameter(table, "key", Uuid)).values(_parameters(table, columns))


def _parameters(table: Table, columns: Sequence[str]) -> dict[str, Any]:
    return {name: _parameter(table, name, table.c[name].type) for name in columns}


def _parameter(table: Table, name: str, type_: Any) -> Any:
    return bindparam(_name(table, name), type_=type_)


def _named(table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    return {_name(table, name): value for name, value in values.items()}


@cache
def _name(table: Table, column: str) -> str:
    """The name of a parameter: the same column stands in several tables."""
    return f"{table.name}_{column}"
