"""Connections on which the driver itself runs statements, kept at hand for whoever needs one next.

They are opened by SQLAlchemy, whose pool would take longer to lend one for an update than a statement takes to be run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, LifoQueue
from threading import Lock
from typing import Any, Protocol

from attrs import frozen
from sqlalchemy import Dialect, Engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from .errors import store_closed
from .failures import Translated
from .hot import Answers, Call, Rows, Statement

__all__ = ["Session", "Sessions"]


class Wire(Protocol):
    """A connection of a driver."""

    def run(self, statements: Sequence[Statement]) -> Sequence[Rows]:
        """Run statements, in order, up to the first one that fails, and return their rows."""
        ...

    def reset(self) -> bool:
        """Roll back what is open. Returned is whether the connection can be used any more."""
        ...


@frozen
class OneByOne:
    """A connection of SQLite. There is no round trip to save, so statements are run one by one.

    Attributes:
        driver: The connection of the driver.
    """

    driver: sqlite3.Connection

    def run(self, statements: Sequence[Statement]) -> list[Rows]:
        """Run statements, in order, up to the first one that fails, and return their rows."""
        cursor = self.driver.cursor()
        return [cursor.execute(*each).fetchall() for each in statements]

    def reset(self) -> bool:
        """Roll back what is open. Returned is whether the connection can be used any more."""
        try:
            if self.driver.in_transaction:
                self.driver.rollback()
        except sqlite3.Error:
            return False
        return True


@frozen
class Session:
    """A connection on which the driver itself runs statements. Each is a transaction, but between `BEGIN` and `COMMIT`.

    Attributes:
        wire: The connection of the driver.
        dialect: What kind of database it leads to.
        close: A function that lets go of it.
    """

    wire: Wire
    dialect: Dialect
    close: Callable[[], None]

    def run(self, *calls: Call) -> Answers:
        """Run statements together, in order, up to the first one that fails.

        Args:
            *calls: What to run.
        """
        compiled = [statement.compiled(self.dialect) for statement, _ in calls]
        found = self.wire.run([each.with_values(values) for each, (_, values) in zip(compiled, calls, strict=True)])
        return {
            statement: each.read(rows)
            for (statement, _), each, rows in zip(calls, compiled, found, strict=True)
            if each.columns
        }


# A place for each session that may be open, with the session that waits there. The one that was given back last is
# taken first: so no more are opened than are needed at once.
_Places = LifoQueue["Session | None"]


class Sessions:
    """Sessions with a database, each for one user at a time.

    Args:
        engine: What opens connections.
        limit: How many sessions there may be.
        timeout: For how many seconds to wait for one.
        keeps: Whether they stay open. A connection that must be the only one goes back to the pool of the engine.
    """

    def __init__(self, engine: Engine, limit: int, timeout: float, *, keeps: bool) -> None:
        self._engine = engine
        self._limit = limit
        self._timeout = timeout
        self._keeps = keeps
        self._wire = _wire(engine.dialect.name)
        self._lock = Lock()
        self._places: _Places | None = self._empty_places()
        self.failures = Translated(engine.dialect.loaded_dbapi.Error)
        self._was_lost = False
        event.listen(engine, "invalidate", lambda *_: self._replace(self._empty_places()))
        event.listen(engine, "checkout", self._refuse_lost)

    @property
    def is_open(self) -> bool:
        """Whether they were not closed yet."""
        return self._places is not None

    @contextmanager
    def use(self) -> Iterator[Session]:
        """A session. A transaction that is open in the end is rolled back."""
        with self.failures:
            places = self._places
            if places is None:
                raise store_closed()
            session = self._taken_from(places)
            try:
                yield session
            finally:
                self._give_back(places, session)

    def _taken_from(self, places: _Places) -> Session:
        try:
            session = places.get(timeout=self._timeout)
        except Empty:
            raise PoolTimeoutError from None
        if session is not None:
            return session
        try:
            return self._open()
        except BaseException:
            places.put(None)
            raise

    def _give_back(self, places: _Places, session: Session) -> None:
        """Give a session back to where it was."""
        stays = False
        try:
            is_usable = session.wire.reset()
            self._was_lost |= not is_usable
            stays = is_usable and self._keeps
        finally:  # Whoever interrupts that takes no place with him.
            places.put(session if stays else None)
            if not stays:
                session.close()
            if places is not self._places:
                _close_all(places)

    def close_idle(self) -> None:
        """Close all connections that are not in use. Who needs one gets a new one."""
        self._replace(self._empty_places())
        self._engine.dispose()

    def close(self) -> None:
        """Close all connections, those in use when they are given back."""
        self._replace(None)
        self._engine.dispose()

    def _replace(self, places: _Places | None) -> None:
        with self._lock:
            before = self._places
            if before is None:  # What was closed stays closed.
                return
            self._places = places
        _close_all(before)

    def _refuse_lost(self, *_: Any) -> None:
        """Where one connection was lost, no other is worth a try: SQLAlchemy makes new ones, and says so.

        The next session is opened anew, since the place of the one that was lost is the last that was given back.
        """
        if self._was_lost:
            self._was_lost = False
            raise InvalidatePoolError

    def _empty_places(self) -> _Places:
        places: _Places = LifoQueue()
        for _ in range(self._limit):
            places.put(None)
        return places

    def _open(self) -> Session:
        connection = self._engine.raw_connection()
        driver: Any = connection.dbapi_connection
        if self._keeps:
            connection.detach()
        return Session(self._wire(driver), self._engine.dialect, driver.close if self._keeps else connection.close)


def _close_all(places: _Places) -> None:
    """Close all sessions that wait there. Who already waits for a place of these gets one, and opens a session."""
    count = 0
    with suppress(Empty):
        while True:
            session = places.get_nowait()
            count += 1
            if session is not None:
                session.close()
    for _ in range(count):
        places.put(None)


def _wire(dialect: str) -> Callable[[Any], Wire]:
    if dialect == "sqlite":
        return OneByOne
    from .exchange import Exchange  # The driver is there if a database of its kind is open.

    return Exchange
