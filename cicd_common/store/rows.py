"""Between records and rows, whose columns have the names of the records' fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import fields
from sqlalchemy import Column, Connection, Table, literal_column
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["columns_for", "insert", "insert_new", "put", "row_of"]

_INSERTS: Mapping[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


def columns_for(type: type[Any], table: Table) -> list[Column[Any]]:
    """The columns of a table that are fields of a record.

    Args:
        type: The type of the record.
        table: The table.
    """
    return [table.c[field.name] for field in fields(type) if field.name in table.c]


def row_of(table: Table, record: Any, **more: Any) -> dict[str, Any]:
    """The row of a record.

    Args:
        table: The table that it is for.
        record: The record.
        **more: The columns that the record does not have.
    """
    return {column.name: getattr(record, column.name) for column in table.c if hasattr(record, column.name)} | more


def insert(dialect: str, table: Table) -> Any:
    """The statement that inserts into a table, and knows what to do about rows that are there.

    Args:
        dialect: The name of the database's dialect.
        table: The table.
    """
    return _INSERTS[dialect](table)


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row, if there is none of its key; wait for who else is just inserting one.

    Args:
        connection: In a transaction that writes.
        table: The table.
        row: The row.

    Returns:
        Whether there was none.
    """
    statement = insert(connection.dialect.name, table).on_conflict_do_nothing().returning(literal_column("1"))
    return connection.execute(statement, row).first() is not None


def put(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; those that are there under the same keys are replaced.

    Args:
        connection: In a transaction that writes.
        table: The table.
        rows: The rows.
    """
    statement = insert(connection.dialect.name, table)
    changes = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    connection.execute(statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changes), rows)
