"""Connections to a database, and the ways in which the store uses one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NoReturn
from weakref import WeakSet

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from ..errors import Problem
from .errors import UrlError, store_closed
from .hot import BEGIN
from .sessions import Session, Sessions

__all__ = ["Database"]

# The drivers that are used for those that a URL may name.
_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
# How many connections a process may have: sessions, and those of the pool.
_SESSIONS = 8
_POOL: Mapping[str, Any] = {"pool_size": 5, "max_overflow": 2}
# How transactions begin, for each way to use a database: drivers begin none by themselves. On SQLite one that writes
# takes the right to do so at its start: one that took it later would find that others had written since it read, and
# could only fail.
_BEGINNINGS: Mapping[str, Mapping[str, str | None]] = {
    "sqlite": {"write": BEGIN.by_dialect["sqlite"].sql, "read": "BEGIN", "look": None},
    "postgresql": {
        "write": BEGIN.by_dialect["postgresql"].sql,
        "read": "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        "look": None,
    },
}


class Database:
    """A database with its pool of connections.

    Args:
        url: The URL of SQLAlchemy for it.
        timeout: For how many seconds to wait for others, and for a connection.

    Raises:
        UrlError: The URL is none that the store works with.
        ImportError: The driver that it takes is not installed.
    """

    def __init__(self, url: str, timeout: float) -> None:
        parsed = _parsed(url)
        engine = _engine(parsed, timeout)
        self.dialect = engine.dialect.name
        keeps = not _is_in_memory(parsed)
        self._sessions = Sessions(engine, _SESSIONS, timeout, keeps=keeps)
        if keeps:
            _FORKED.add(self._sessions)
        beginnings = _BEGINNINGS[self.dialect].items()
        self._ways = {way: engine.execution_options(begin=statement) for way, statement in beginnings}

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes: all of it or nothing."""
        with self._begin("write") as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction in which several statements see the same state."""
        with self._begin("read") as connection:
            yield connection

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """A connection on which each statement is a transaction of its own."""
        with self._begin("look") as connection:
            yield connection

    def session(self) -> AbstractContextManager[Session]:
        """A connection for the driver's own statements. A transaction that is open in the end is rolled back."""
        return self._sessions.use()

    @contextmanager
    def _begin(self, way: str) -> Iterator[Connection]:
        if not self._sessions.is_open:
            raise store_closed()
        with self._sessions.failures, self._ways[way].begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections. What is asked of it afterwards fails."""
        self._sessions.close()


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        return parsed.set(drivername=_DRIVERS[parsed.drivername])
    except (ArgumentError, AttributeError, KeyError, TypeError, ValueError):
        _refuse_url()


def _refuse_url() -> NoReturn:
    message = "expected the URL of a database, such as sqlite:///runs.db or postgresql://user@host/name"
    raise UrlError(URL, [Problem("/url", "value", message)]) from None


def _engine(url: URL, timeout: float) -> Engine:
    """An engine, made ready by the dialect's own function."""
    try:
        return _MAKERS[url.get_backend_name()](url, timeout)
    except ModuleNotFoundError:
        message = "a PostgreSQL database needs psycopg, which is not installed; the extra 'postgres' brings it"
        raise ImportError(f"{message}: pip install 'cicd-common[postgres]'") from None


def _is_in_memory(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")


def _sqlite(url: URL, timeout: float) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        poolclass=QueuePool,
        pool_timeout=timeout,
        connect_args={"timeout": timeout, "check_same_thread": False},
        # A database in memory is its connection: there is one, for which threads wait in turn.
        **({"pool_size": 1, "max_overflow": 0} if _is_in_memory(url) else _POOL),
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")  # An acknowledged write outlives a loss of power.

    event.listen(engine, "begin", _begin)
    return engine


def _postgresql(url: URL, timeout: float) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        isolation_level="AUTOCOMMIT",
        pool_timeout=timeout,
        connect_args={"connect_timeout": max(2, round(timeout))},  # The driver waits for 2 seconds at the least.
        **_POOL,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        # Whatever the server has as its default.
        connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED")
        connection.execute(f"SET lock_timeout = {round(timeout * 1000)}")

    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    if statement := connection.get_execution_options()["begin"]:
        connection.connection.cursor().execute(statement)


_MAKERS = {"sqlite": _sqlite, "postgresql": _postgresql}


# A process and its fork must not share connections, and a fork must not even close those of SQLite: so idle ones are
# closed before, and each opens its own when it next needs one.
_FORKED: WeakSet[Sessions] = WeakSet()


def _close_idle() -> None:
    for sessions in list(_FORKED):
        sessions.close_idle()


# Where there is no fork, there is nothing to do.
getattr(os, "register_at_fork", lambda before: None)(before=_close_idle)  # noqa: ARG005 - as that is called
