"""Open a database: make the tables of the store, or check that those that are there are its own."""

from __future__ import annotations

from sqlalchemy import Connection, insert, inspect, select, text

from .engine import Database
from .errors import BusyError, SchemaError
from .tables import SCHEMA_VERSION, metadata, schema

__all__ = ["open_database"]

# Two that make the same tables in PostgreSQL at once would both fail.
_LOCKS = {
    "postgresql": text("SELECT pg_advisory_xact_lock(7224195230911348212)"),
    "sqlite": text("SELECT 1"),
}


def open_database(url: str, timeout: float) -> Database:
    """Open a database, and make the tables of the store if there are none.

    Args:
        url: The URL of SQLAlchemy for it.
        timeout: For how many seconds to wait for others, and for a connection.

    Raises:
        UrlError: The URL is none that the store works with.
        SchemaError: The tables are of another version, or those of others.
        StoreError: The database does not do what it is told.
    """
    database = Database(url, timeout)
    try:
        if database.dialect == "sqlite":
            _log_ahead(database)
        with database.write() as connection:
            _make_tables(connection)
    except BaseException:
        database.close()
        raise
    return database


def _log_ahead(database: Database) -> None:
    """Let readers of SQLite not wait for writers. The file remembers it."""
    while not _is_logging_ahead(database):
        # Another process is just doing the same, for which SQLite does not wait by itself; but it does for writers,
        # and gives up on those that take too long.
        with database.write():
            pass


def _is_logging_ahead(database: Database) -> bool:
    try:
        with database.look() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    except BusyError:
        return False
    return True


def _make_tables(connection: Connection) -> None:
    connection.execute(_LOCKS[connection.dialect.name])
    there = set(inspect(connection).get_table_names())
    if schema.name in there:
        _check_version(connection)
    elif others := sorted(there & set(metadata.tables)):
        raise SchemaError(f"expected a database of the store, found tables of others: {', '.join(others)}")
    else:
        metadata.create_all(connection, checkfirst=False)
        connection.execute(insert(schema), {"version": SCHEMA_VERSION})


def _check_version(connection: Connection) -> None:
    versions = connection.execute(select(schema.c.version)).scalars().all()
    if versions != [SCHEMA_VERSION]:
        found = ", ".join(map(str, versions)) or "none"
        raise SchemaError(f"expected tables of schema version {SCHEMA_VERSION}, found version {found}")
