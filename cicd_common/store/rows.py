"""Make rows of records, whose fields have the names of the columns, and write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from attrs import fields
from sqlalchemy import Column, Connection, Table, literal_column
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["columns_for", "execute_all", "insert_all_new", "insert_for", "insert_new", "put", "row_of"]

_INSERTS: Mapping[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


def columns_for(type: type[Any], table: Table) -> list[Column[Any]]:
    """Return the columns of a table that are fields of a record.

    Args:
        type: The type of the record.
        table: The table.
    """
    return [table.c[field.name] for field in fields(type) if field.name in table.c]


def row_of(table: Table, record: Any, **more: Any) -> dict[str, Any]:
    """Make the row of a record.

    Args:
        table: The table of the row.
        record: The record.
        **more: The values of columns that the record does not have.
    """
    return {column.name: getattr(record, column.name) for column in table.c if hasattr(record, column.name)} | more


def insert_for(dialect: str, table: Table) -> Any:
    """Make an INSERT statement that can have an ON CONFLICT clause.

    Args:
        dialect: The name of SQLAlchemy's dialect.
        table: The table.
    """
    return _INSERTS[dialect](table)


# Statements are cached, since making one takes longer than executing it.
@cache
def _insert_new(dialect: str, table: Table) -> Any:
    return insert_for(dialect, table).on_conflict_do_nothing()


@cache
def _put(dialect: str, table: Table) -> Any:
    statement = insert_for(dialect, table)
    changes = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changes)


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row if its key is new. Wait for a transaction that is inserting the same key.

    Args:
        connection: A connection in a transaction that writes.
        table: The table.
        row: The row.

    Returns:
        Whether the row was inserted.
    """
    statement = _insert_new(connection.dialect.name, table).returning(literal_column("1"))
    return connection.execute(statement, row).first() is not None


def execute_all(connection: Connection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute a statement once for each row.

    Args:
        connection: A connection in a transaction that writes.
        statement: The statement.
        rows: The rows. There may be none.
    """
    if rows:
        # For a list psycopg begins and ends a pipeline, which takes longer than one statement.
        connection.execute(statement, rows if len(rows) > 1 else rows[0])


def insert_all_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows whose keys are new.

    Args:
        connection: A connection in a transaction that writes.
        table: The table.
        rows: The rows.
    """
    execute_all(connection, _insert_new(connection.dialect.name, table), rows)


def put(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, and replace rows of the same keys.

    Args:
        connection: A connection in a transaction that writes.
        table: The table.
        rows: The rows.
    """
    connection.execute(_put(connection.dialect.name, table), rows)
