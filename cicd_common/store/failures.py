"""Translate the errors of a database into those of the store."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from .errors import BusyError, FullError, StoreError, UnavailableError

__all__ = ["failure", "is_gone"]

_MESSAGES = {
    UnavailableError: "expected a database that answers",
    BusyError: "expected the database to be free within the time that the store waits",
    FullError: "expected the database to have room",
    StoreError: "expected the database to execute the statement",
}
# Primary result codes of SQLite.
_SQLITE_ERRORS = {
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
# SQLSTATEs of PostgreSQL, or their classes, which are their first two characters.
_POSTGRESQL_ERRORS = {
    "08": UnavailableError,  # connection exception
    "25006": UnavailableError,  # read-only transaction: the server has become a standby
    "25P03": UnavailableError,  # idle in a transaction for longer than the server allows
    "25P04": UnavailableError,  # in a transaction for longer than the server allows
    "28": UnavailableError,  # invalid authorization
    "3D": UnavailableError,  # no database of this name
    "40": BusyError,  # rolled back: deadlock, serialization failure
    "53": UnavailableError,  # insufficient resources, except:
    "53100": FullError,  # disk full
    "55P03": BusyError,  # lock not available
    "57": UnavailableError,  # operator intervention: shut down, starting up, except:
    "57014": BusyError,  # query canceled: a statement_timeout of the server
    "58": UnavailableError,  # error of the system, such as of a disk
    "XX001": UnavailableError,  # data corrupted
    "XX002": UnavailableError,  # index corrupted
}
# After these errors the connection is unusable, though the driver does not say so.
_GONE = ("25006", "25P03", "25P04", "57P01", "57P02", "57P03", "57P04", "57P05")


def is_gone(error: BaseException) -> bool:
    """Tell whether the connection that raised an error is unusable.

    Args:
        error: The error of the driver.
    """
    return getattr(error, "sqlstate", None) in _GONE


def failure(error: Exception) -> StoreError:
    """Make the store's error for an error of SQLAlchemy.

    Args:
        error: The error of SQLAlchemy.
    """
    kind, name = _kind(error)
    return kind(f"{_MESSAGES[kind]} ({name})")


def _kind(error: Exception) -> tuple[type[StoreError], str]:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, PoolTimeoutError):
        return BusyError, "all connections are in use"
    if isinstance(cause, sqlite3.Error) and hasattr(cause, "sqlite_errorcode"):
        return _SQLITE_ERRORS.get(cause.sqlite_errorcode & 0xFF, StoreError), cause.sqlite_errorname
    if state := getattr(cause, "sqlstate", None):
        kind = _POSTGRESQL_ERRORS.get(state) or _POSTGRESQL_ERRORS.get(state[:2], StoreError)
        return kind, f"{type(cause).__name__}, {state}"
    # The drivers give no code for a connection that could not be opened or broke off.
    is_lost = type(cause).__name__ == "OperationalError" or getattr(error, "connection_invalidated", False)
    return UnavailableError if is_lost else StoreError, type(cause).__name__
