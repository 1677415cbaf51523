"""What goes wrong in a database, as errors of the store."""

from __future__ import annotations

import sqlite3
from types import TracebackType

from attrs import frozen
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from .errors import BusyError, FullError, StoreError, UnavailableError

__all__ = ["Translated", "failure"]

_MESSAGES = {
    UnavailableError: "expected a database that answers",
    BusyError: "expected the database to be free within the time that the store waits",
    FullError: "expected the database to have room",
    StoreError: "expected the database to do what it was told",
}
# Primary result codes of SQLite.
_OF_SQLITE = {
    sqlite3.SQLITE_BUSY: BusyError,
    sqlite3.SQLITE_LOCKED: BusyError,
    sqlite3.SQLITE_FULL: FullError,
    sqlite3.SQLITE_CANTOPEN: UnavailableError,
    sqlite3.SQLITE_CORRUPT: UnavailableError,
    sqlite3.SQLITE_IOERR: UnavailableError,
    sqlite3.SQLITE_NOTADB: UnavailableError,
    sqlite3.SQLITE_PERM: UnavailableError,
    sqlite3.SQLITE_READONLY: UnavailableError,
}
# SQLSTATEs of PostgreSQL, or their first two characters, which are their class.
_OF_POSTGRESQL = {
    "08": UnavailableError,  # connection exception
    "28": UnavailableError,  # invalid authorization
    "3D": UnavailableError,  # no such database
    "40": BusyError,  # rolled back: deadlock, serialization failure
    "53": UnavailableError,  # insufficient resources, but for:
    "53100": FullError,  # disk full
    "55P03": BusyError,  # lock not available
    "57": UnavailableError,  # operator intervention: shut down, starting up, but for:
    "57014": BusyError,  # query canceled: a statement_timeout of the server
}


@frozen
class Translated:
    """A context in which failures of the database are raised as errors of the store.

    The error that caused one is not attached: its text may hold values that were stored, and those carry secrets.

    Attributes:
        driver_error: What the driver raises, of which SQLAlchemy does not always know.
    """

    driver_error: type[Exception]

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, (SQLAlchemyError, self.driver_error)):
            raise failure(error) from None


def failure(error: Exception) -> StoreError:
    """The error of the store for one of SQLAlchemy or of a driver."""
    kind, name = _kind(error)
    return kind(f"{_MESSAGES[kind]} ({name})")


def _kind(error: Exception) -> tuple[type[StoreError], str]:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, PoolTimeoutError):
        return BusyError, "all connections are in use"
    if isinstance(cause, sqlite3.Error) and hasattr(cause, "sqlite_errorcode"):
        return _OF_SQLITE.get(cause.sqlite_errorcode & 0xFF, StoreError), cause.sqlite_errorname
    if state := getattr(cause, "sqlstate", None):
        kind = _OF_POSTGRESQL.get(state) or _OF_POSTGRESQL.get(state[:2], StoreError)
        return kind, f"{type(cause).__name__}, {state}"
    # The drivers have no code for a connection that never was, or that broke off.
    is_gone = type(cause).__name__ == "OperationalError" or getattr(error, "connection_invalidated", False)
    return UnavailableError if is_gone else StoreError, type(cause).__name__
