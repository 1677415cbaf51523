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

__all__ = ["FORKED", "Database"]

# The driver name that replaces the one in a URL.
_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
# How transactions begin. On SQLite a transaction that writes takes the write lock at its start: if it took the lock
# later, and another transaction had written since its first read, it would fail.
_SQLITE_BEGIN: dict[str, tuple[str, ...]] = {
    "write": ("BEGIN IMMEDIATE",),
    # Foreign keys forbid the replacement of tables. The pragma has no effect within a transaction.
    "migrate": ("PRAGMA foreign_keys = OFF", "BEGIN IMMEDIATE"),
    "read": ("BEGIN",),
    "none": (),
}
# On PostgreSQL the isolation level of writes is that of the connection, since setting it for each takes time.
_POSTGRESQL_WRITE = "READ COMMITTED"
_POSTGRESQL_READ = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
# Parameters of libpq, in seconds, the last in milliseconds. A URL may override them.
_KEEP_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
# A process that is stopped within a transaction loses its locks, and with them the jobs that others wait for.
_MAX_IDLE_SECONDS = 60
_MAX_TIMEOUT = 24 * 60 * 60


class Database:
    """A database with its pool of connections.

    Args:
        url: The SQLAlchemy URL of the database.
        timeout: How many seconds to wait for locks and for a connection, 0 to 86,400.

    Raises:
        UrlError: The store does not support the URL, or the timeout is out of range.
        ImportError: The driver of the database is not installed.
    """

    def __init__(self, url: str, timeout: float) -> None:
        parsed = _parsed(url)
        self._engine = _engine(parsed, _checked(timeout))
        self.dialect = self._engine.dialect.name
        self._is_open = True
        self._engines = {mode: _engine_for(self._engine, mode) for mode in _SQLITE_BEGIN}
        if not _is_in_memory(parsed):
            FORKED.add(self)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Begin a transaction that writes everything or nothing."""
        with self._begin("write") as connection:
            yield connection

    @contextmanager
    def migrate(self) -> Iterator[Connection]:
        """Begin a transaction that changes all tables or none. SQLite enforces no foreign keys in it."""
        with self._begin("migrate") as connection:
            connection.detach()  # Closed afterwards and not reused, since it enforces no foreign keys.
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Begin a transaction in which all statements see the same state."""
        with self._begin("read") as connection:
            yield connection

    @contextmanager
    def _begin(self, mode: str) -> Iterator[Connection]:
        if not self._is_open:
            raise UnavailableError("expected a store that is open, it was closed")
        with self._failures(), self._engines[mode].begin() as connection:
            yield connection

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            # The cause is not attached: its text may hold stored values, which may be secrets.
            raise failure(error) from None

    def enable_write_ahead_log(self) -> bool:
        """Enable the write-ahead log of SQLite, with which readers do not wait for writers.

        Returns:
            Whether the log is enabled; false if another process is enabling it at the moment.
        """
        try:
            with self._failures(), self._engines["none"].connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        except BusyError:
            return False
        return True

    def close(self) -> None:
        """Close all connections. Later transactions raise an `UnavailableError`."""
        self._is_open = False
        self._engine.dispose()

    def after_fork(self) -> None:
        """Drop the connections of the parent process without closing them. New ones are opened on demand."""
        self._engine.dispose(close=False)


def _engine_for(engine: Engine, mode: str) -> Engine:
    if engine.dialect.name == "sqlite":
        return engine.execution_options(begin=mode)
    return engine.execution_options(**_POSTGRESQL_READ) if mode == "read" else engine


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        parsed = parsed.set(drivername=_DRIVERS[parsed.drivername])
    except (ArgumentError, AttributeError, KeyError, TypeError, ValueError):
        _refuse_url()
    if "\0" in (parsed.database or ""):
        _refuse_url()
    return parsed


def _checked(timeout: float) -> float:
    """Check the timeout: a database takes a wrong number for no limit, or fails later."""
    is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if not is_number or not math.isfinite(timeout) or not 0 <= timeout <= _MAX_TIMEOUT:
        _refuse("/timeout", f"expected a number of seconds from 0 to {_MAX_TIMEOUT}")
    return timeout


def _refuse_url() -> NoReturn:
    _refuse("/url", "expected the URL of a database, such as sqlite:///runs.db or postgresql://user@host/name")


def _refuse(pointer: str, message: str) -> NoReturn:
    raise UrlError(URL, [Problem(pointer, "value", message)]) from None


def _engine(url: URL, timeout: float) -> Engine:
    """Make the engine for a URL."""
    make = {"sqlite": _sqlite, "postgresql": _postgresql}[url.get_backend_name()]
    try:
        engine = make(url, timeout)
    except (ArgumentError, ValueError):
        _refuse_url()  # It has parts that the driver does not understand.
    except ModuleNotFoundError:
        message = "a PostgreSQL database needs psycopg, which is not installed; the extra 'postgres' brings it"
        raise ImportError(f"{message}: pip install 'cicd-common[postgres]'") from None
    event.listen(engine, "handle_error", _discard_if_gone)
    return engine


def _discard_if_gone(context: Any) -> None:
    """Let SQLAlchemy close a connection that will never work again, such as one to a server that became read-only."""
    if is_gone(context.original_exception):
        context.is_disconnect = True


def _is_in_memory(url: URL) -> bool:
    if url.get_backend_name() != "sqlite":
        return False
    return not url.database or ":memory:" in url.database or url.query.get("mode") == "memory"


def _sqlite(url: URL, timeout: float) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        poolclass=QueuePool,
        pool_timeout=timeout,
        connect_args={"timeout": timeout, "check_same_thread": False},
        # A database in memory lives in its only connection, for which threads wait in turn.
        **({"pool_size": 1, "max_overflow": 0} if _is_in_memory(url) else {}),
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # Transactions begin where the store says, not where the driver guesses.
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")  # A committed write survives a loss of power.

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        for statement in _SQLITE_BEGIN[connection.get_execution_options()["begin"]]:
            connection.exec_driver_sql(statement)

    return engine


def _postgresql(url: URL, timeout: float) -> Engine:
    from psycopg import ProgrammingError
    from psycopg.conninfo import make_conninfo

    try:
        make_conninfo(**dict.fromkeys(url.query, ""))
    except ProgrammingError:
        _refuse_url()  # It has a parameter that libpq does not know.
    engine = create_engine(
        url,
        hide_parameters=True,
        isolation_level=_POSTGRESQL_WRITE,
        pool_timeout=timeout,
        connect_args={
            "connect_timeout": max(2, math.ceil(timeout)),  # The driver's least value is 2 seconds.
            "client_encoding": "utf8",  # Not the one of the environment.
            # A server that the network has lost is noticed within a minute, not within hours.
            **{name: value for name, value in _KEEP_ALIVE.items() if name not in url.query},
        },
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        # PostgreSQL takes 0 for no limit.
        connection.execute(f"SET lock_timeout = {max(1, round(timeout * 1000))}")
        connection.execute(f"SET idle_in_transaction_session_timeout = '{_MAX_IDLE_SECONDS}s'")
        connection.commit()

    return engine


FORKED: WeakSet[Any] = WeakSet()
"""The objects whose method ``after_fork`` is called in a forked process, which has one thread of its parent."""


def _after_fork() -> None:
    for each in list(FORKED):
        each.after_fork()


# A platform without fork needs no hook.
getattr(os, "register_at_fork", lambda after_in_child: None)(after_in_child=_after_fork)  # noqa: ARG005 - as called
