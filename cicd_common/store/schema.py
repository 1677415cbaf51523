"""Open a database: make its tables if there are none, check them otherwise, and upgrade them on request."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

from . import migrations
from .engine import Database
from .errors import SchemaError
from .migrations import REVISIONS, VERSION_TABLE
from .tables import metadata

__all__ = ["config_for", "migration_context", "open_database", "script_directory"]

# Two processes that make or change tables in PostgreSQL at once would both fail. SQLite has one writer at a time.
_LOCK = text("SELECT pg_advisory_xact_lock(7224195230911348212)")

# The table and the value by which version 0.1 marked its tables, which are those of the first revision.
_TABLE_OF_0_1 = "cicd_common_schema"
_VERSION_OF_0_1 = 2


def open_database(url: str, timeout: float, *, upgrade: bool = False) -> Database:
    """Open a database, and make the tables of the store if there are none.

    Args:
        url: The SQLAlchemy URL of the database.
        timeout: How many seconds to wait for locks and for a connection.
        upgrade: Whether to upgrade tables of an older revision.

    Raises:
        UrlError: The store does not support the URL, or the timeout is out of range.
        SchemaError: The tables are of a newer revision, of an older one without ``upgrade``, or those of others; or the
            database cannot hold every text, or a name in it cannot be upgraded.
        StoreError: The database fails.
    """
    database = Database(url, timeout)
    try:
        if database.dialect == "sqlite":
            _enable_write_ahead_log(database)
        with database.write() as connection:
            _lock(connection)
            revision = _make_tables(connection)
        if revision != REVISIONS[-1]:
            if not upgrade:
                _refuse(revision, f"; this upgrades them: python -m {__package__} upgrade URL")
            _upgrade(database)
    except BaseException:
        database.close()
        raise
    return database


def _enable_write_ahead_log(database: Database) -> None:
    """Enable the write-ahead log, which the file of SQLite keeps."""
    while not database.enable_write_ahead_log():
        # Another process is enabling it, for which SQLite does not wait. It waits for writers, up to the timeout.
        with database.write():
            pass


def _lock(connection: Connection) -> None:
    """Make other processes that open the database wait until the transaction ends."""
    if connection.dialect.name == "postgresql":
        _check_encoding(connection)
        connection.execute(_LOCK)


def _check_encoding(connection: Connection) -> None:
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise SchemaError(f"expected a database with the encoding UTF8, found {encoding}, which cannot hold every text")


# --- revisions -------------------------------------------------------------------------------------------------


def migration_context(connection: Connection) -> MigrationContext:
    """Return the context from which Alembic knows the revision of a database.

    Args:
        connection: A connection in a transaction.
    """
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})


def _config() -> Config:
    config = Config()
    # The path of this copy of the package, whatever its name is. A per cent sign would begin a reference.
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    return config


def config_for(connection: Connection) -> Config:
    """Return the configuration with which Alembic's commands migrate a database.

    Args:
        connection: A connection in a transaction that changes tables.
    """
    config = _config()
    config.attributes["store"] = {"connection": connection, "version_table": VERSION_TABLE}
    return config


def script_directory() -> ScriptDirectory:
    """Return the scripts of the revisions."""
    return ScriptDirectory.from_config(_config())


def _make_tables(connection: Connection) -> str:
    """Make the tables if there are none.

    Returns:
        The revision of the tables.
    """
    found = set(inspect(connection).get_table_names())
    if VERSION_TABLE in found:
        revision = migration_context(connection).get_current_revision() or "none"
    elif _TABLE_OF_0_1 in found:
        versions = connection.exec_driver_sql(f"SELECT version FROM {_TABLE_OF_0_1}").scalars().all()
        revision = REVISIONS[0] if versions == [_VERSION_OF_0_1] else "none"
    elif others := sorted(found & set(metadata.tables)):
        raise SchemaError(f"expected a database of the store, found tables of others: {', '.join(others)}")
    else:
        revision = REVISIONS[-1]
        metadata.create_all(connection, checkfirst=False)
        migration_context(connection).stamp(script_directory(), revision)
    if revision not in REVISIONS:
        _refuse(revision, ", which this version of the package does not know")
    return revision


def _refuse(revision: str, why: str) -> NoReturn:
    raise SchemaError(f"expected tables of revision {REVISIONS[-1]}, found those of revision {revision}{why}")


def _upgrade(database: Database) -> None:
    """Upgrade all tables or none, unless another process has upgraded them."""
    with database.migrate() as connection:
        _lock(connection)
        migration_context(connection).stamp(script_directory(), _make_tables(connection))
        try:
            command.upgrade(config_for(connection), REVISIONS[-1])
        except CommandError as error:
            raise SchemaError(str(error)) from None
        if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").all():
            raise SchemaError("expected foreign keys that refer to rows that exist")
