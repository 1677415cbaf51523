"""Threads that look at the store again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from cicd_common.logging import get_logger
from cicd_common.store import StoreError

__all__ = ["Outage", "repeating"]

log = get_logger(__name__)

_AT_END = 5.0  # Seconds that a program waits at its end for a running call.


class Outage:
    """Logs once when something begins to fail, and once when it works again."""

    def __init__(self, name: str) -> None:
        self.is_on = False  # Whether it fails.
        self._name = name

    def begin(self, reason: str) -> None:
        """Note a failure."""
        if not self.is_on:
            log.warning(f"{self._name} fails; trying again", reason=reason)
        self.is_on = True

    def end(self) -> None:
        """Note a success."""
        if self.is_on:
            log.info(f"{self._name} works again")
        self.is_on = False


@contextmanager
def repeating(look: Callable[[], bool], interval: float) -> Iterator[None]:
    """Call a function again and again in a thread during a block, also after errors.

    It is called at once after it has returned true, else after `interval` seconds.
    """
    ending = Event()
    thread = Thread(target=_repeat, args=(look, interval, ending), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(_AT_END)


def _repeat(look: Callable[[], bool], interval: float, ending: Event) -> None:
    store = Outage("the store")
    while not ending.is_set():
        is_more = False
        try:
            is_more = look()
            store.end()
        except StoreError as error:
            store.begin(str(error))
        except Exception:
            log.exception("a look at the store has failed")
        if not is_more:
            ending.wait(interval)
