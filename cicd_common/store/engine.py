"""Connections to a database, and the kinds of transactions that the store uses."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn
from weakref import WeakSet

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from ..errors import Problem
from .errors import BusyError, UnavailableError, UrlError
from .failures import failure, is_gone

__all__ = ["Database"]

# The drivers that are used for those that a URL may name.
_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
# How transactions begin. On SQLite one that writes takes the right to do so at its start: one that took it later would
# find that others had written since it read, and could only fail.
_SQLITE_BEGIN: dict[str, tuple[str, ...]] = {
    "write": ("BEGIN IMMEDIATE",),
    # Tables are replaced, which no foreign key allows. This has no effect within a transaction.
    "migrate": ("PRAGMA foreign_keys = OFF", "BEGIN IMMEDIATE"),
    "read": ("BEGIN",),
    "none": (),
}
_POSTGRESQL_OPTIONS: dict[str, dict[str, Any]] = {
    "write": {"isolation_level": "READ COMMITTED"},
    "migrate": {"isolation_level": "READ COMMITTED"},
    "read": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}
# Parameters of libpq, in seconds and milliseconds. A URL may have others.
_KEEP_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
_MAX_TIMEOUT = 24 * 60 * 60


class Database:
    """A database with its pool of connections.

    Args:
        url: The URL of SQLAlchemy for it.
        timeout: How many seconds to wait for others, and for a connection, 0 to 86,400.

    Raises:
        UrlError: The URL is none that the store works with, or the timeout is out of range.
        ImportError: The driver that it takes is not installed.
    """

    def __init__(self, url: str, timeout: float) -> None:
        parsed = _parsed(url)
        self._engine = _engine(parsed, _checked(timeout))
        self.dialect = self._engine.dialect.name
        self._is_open = True
        self._ways = {way: _way(self._engine, way) for way in _POSTGRESQL_OPTIONS}
        if not _is_in_memory(parsed):
            _FORKED.add(self)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes: all of it or nothing."""
        with self._begin("write") as connection:
            yield connection

    @contextmanager
    def migrate(self) -> Iterator[Connection]:
        """A transaction that changes tables: all of them or none. On SQLite no foreign key is enforced meanwhile."""
        with self._begin("migrate") as connection:
            connection.detach()  # It is closed in the end, so that no other transaction is without foreign keys.
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction in which all statements see the same state."""
        with self._begin("read") as connection:
            yield connection

    @contextmanager
    def _begin(self, way: str) -> Iterator[Connection]:
        if not self._is_open:
            raise UnavailableError("expected a store that is open, it was closed")
        with self._failures(), self._ways[way].begin() as connection:
            yield connection

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            # The cause is not attached: its text may hold values that were stored, and those carry secrets.
            raise failure(error) from None

    def sets_write_ahead_log(self) -> bool:
        """Let readers of SQLite not wait for writers.

        Returns:
            Whether it is so now; false if another process is just doing the same.
        """
        try:
            with self._failures(), self._engine.execution_options(begin="none").connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        except BusyError:
            return False
        return True

    def close(self) -> None:
        """Close all connections. What is asked of it afterwards fails."""
        self._is_open = False
        self._engine.dispose()

    def forget_connections(self) -> None:
        """Leave the connections of the process that this one was forked from alone, and open others on demand."""
        self._engine.dispose(close=False)


def _way(engine: Engine, way: str) -> Engine:
    options = {"begin": way} if engine.dialect.name == "sqlite" else _POSTGRESQL_OPTIONS[way]
    return engine.execution_options(**options)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        return parsed.set(drivername=_DRIVERS[parsed.drivername])
    except (ArgumentError, AttributeError, KeyError, TypeError, ValueError):
        _refuse("/url", "expected the URL of a database, such as sqlite:///runs.db or postgresql://user@host/name")


def _checked(timeout: float) -> float:
    """The timeout, if it is one: a database takes 0 or too large a number for no limit, or fails later."""
    is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not is_number or not math.isfinite(timeout) or not 0 <= timeout <= _MAX_TIMEOUT:
        _refuse("/timeout", f"expected a number of seconds from 0 to {_MAX_TIMEOUT}")
    return timeout


def _refuse(pointer: str, message: str) -> NoReturn:
    raise UrlError(URL, [Problem(pointer, "value", message)]) from None


def _engine(url: URL, timeout: float) -> Engine:
    """An engine, made by the function of the dialect."""
    make = {"sqlite": _sqlite, "postgresql": _postgresql}[url.get_backend_name()]
    try:
        engine = make(url, timeout)
    except ModuleNotFoundError:
        message = "a PostgreSQL database needs psycopg, which is not installed; the extra 'postgres' brings it"
        raise ImportError(f"{message}: pip install 'cicd-common[postgres]'") from None
    event.listen(engine, "handle_error", _throw_away)
    return engine


def _throw_away(context: Any) -> None:
    """Let SQLAlchemy close a connection that will never work again, such as one to a server that became read-only."""
    if is_gone(context.original_exception):
        context.is_disconnect = True


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
        **({"pool_size": 1, "max_overflow": 0} if _is_in_memory(url) else {}),
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # Transactions begin where the store says, not where the driver guesses.
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")  # An acknowledged write outlives a loss of power.

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        for statement in _SQLITE_BEGIN[connection.get_execution_options()["begin"]]:
            connection.exec_driver_sql(statement)

    return engine


def _postgresql(url: URL, timeout: float) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_timeout=timeout,
        connect_args={
            "connect_timeout": max(2, math.ceil(timeout)),  # The driver waits for 2 seconds at the least.
            "client_encoding": "utf8",  # Whatever the environment says.
            # A server that a network has lost is noticed within a minute, and not within hours.
            **{name: value for name, value in _KEEP_ALIVE.items() if name not in url.query},
        },
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        # PostgreSQL takes 0 for no limit.
        connection.execute(f"SET lock_timeout = {max(1, round(timeout * 1000))}")
        connection.commit()

    return engine


# A process and its fork must not share connections.
_FORKED: WeakSet[Database] = WeakSet()


def _after_fork() -> None:
    for database in list(_FORKED):
        database.forget_connections()


# Where there is no fork, there is nothing to do.
getattr(os, "register_at_fork", lambda after_in_child: None)(after_in_child=_after_fork)  # noqa: ARG005 - as called
