"""Live updates of pages, sent to browsers as server-sent events.

Each stream looks at the store again and again. Streams of the same run, job or list share their looks, two threads do
all of them, and slow looks are done less often. So an open page costs a connection, but no thread and few queries.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from functools import partial
from time import monotonic
from typing import Any
from weakref import WeakValueDictionary

import anyio
from anyio import CapacityLimiter, move_on_after, to_thread
from attrs import define, evolve, field, frozen
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cicd_common import ContractError
from cicd_common.logging import get_logger
from cicd_common.store import StoreError

from .ansi import START, Piece, Position

__all__ = ["Look", "Streams"]

log = get_logger(__name__)

PAUSE = 1.0
"""The least number of seconds between two looks at the same run, job or list."""

_THREADS = 2  # For all looks together, so that requests keep their threads.
_REST = 10  # The pause after a look is at least this many times as long as the look.
_PING = 15  # Seconds; proxies close connections that are silent for 60 seconds or so.
_GRACE = 2  # Seconds for streams to end when the Backend shuts down.
_HEADERS = {"Cache-Control": "no-store, no-transform"}  # Compression by a proxy would delay events.


@frozen
class Look:
    """A page at one moment.

    Attributes:
        html: The page, or the part of it that changes.
        parts: The contents of the elements that change, by their ids.
        is_over: Whether this is the last state.
    """

    html: str
    parts: Mapping[str, str]
    is_over: bool = False


Read = Callable[[], Look]
"""Reads the state of a page."""
More = Callable[[Position], Piece | None]
"""Reads the output of a job after a position."""


@define(eq=False)
class _Shared:
    """What all streams of the same run, job or list share: the newest look, and the output that followed it."""

    threads: CapacityLimiter
    lock: asyncio.Lock = field(factory=asyncio.Lock)
    due: float = 0
    number: int = 0
    look: Look | None = None
    changes: str = ""  # Since the look before, as JSON.
    pieces: dict[Position, Piece | None] = field(factory=dict)

    async def renew(self, read: Read) -> None:
        """Look again if it is time. If this fails, the streams keep the last look until it is time again."""
        async with self.lock:
            if (began := monotonic()) < self.due or (self.look and self.look.is_over):
                return
            try:
                look, self.changes = await to_thread.run_sync(partial(_read, read, self.look), limiter=self.threads)
            finally:
                self.due = monotonic() + max(PAUSE, _REST * (monotonic() - began))
            self.look, self.number, self.pieces = look, self.number + 1, {}

    async def output(self, more: More, begin: Position) -> Piece | None:
        """The output after a position, at the time of the newest look."""
        async with self.lock:
            if begin not in self.pieces:
                self.pieces[begin] = await to_thread.run_sync(more, begin, limiter=self.threads)
            return self.pieces[begin]


def _read(read: Read, before: Look | None) -> tuple[Look, str]:
    look, known = evolve(read(), html=""), before.parts if before else {}
    return look, json.dumps({name: part for name, part in look.parts.items() if known.get(name) != part})


class Streams:
    """Streams of events to browsers; at most `most` at once, because Workers need connections, too."""

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)
        self._shared: WeakValueDictionary[Hashable, _Shared] = WeakValueDictionary()
        self._threads = CapacityLimiter(_THREADS)

    def respond(self, request: Request, key: Hashable, read: Read, more: More | None = None) -> Response:
        """Answer with a stream of changes.

        Args:
            request: The request.
            key: Identifies the run, job or list. Streams with the same key share their looks.
            read: Reads the state, in a thread.
            more: Reads the output of a job, in a thread, from the position that the browser sends.

        Raises:
            HTTPException: 503 if there are too many streams; browsers try again.
        """
        if self._free.locked():
            raise HTTPException(503, "Too many pages are open; try again.", {"Retry-After": "30"})
        seen = request.headers.get("last-event-id") or request.query_params.get("seen", "")
        ending = anyio.Event()
        return _EventStream(
            self._free,
            self._events(key, read, more, Position.parse(seen) or START, ending),
            headers=_HEADERS,
            ping=_PING,
            ping_message_factory=lambda: ServerSentEvent("-", event="ping"),
            shutdown_event=ending,
            shutdown_grace_period=_GRACE,
        )

    async def _events(
        self, key: Hashable, read: Read, more: More | None, end: Position, ending: anyio.Event
    ) -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent("-", event="ping")
        shared = self._shared.setdefault(key, _Shared(self._threads))
        seen = 0
        while not ending.is_set():
            try:
                await shared.renew(read)
                if (look := shared.look) and shared.number != seen:
                    number = shared.number
                    changes = shared.changes if number == seen + 1 else json.dumps(look.parts)
                    if changes != "{}":
                        yield ServerSentEvent(changes, event="parts")
                    while more and (piece := await shared.output(more, end)):
                        end = piece.end
                        lines = {"line": piece.line, "is_anew": piece.is_anew, "lines": piece.lines}
                        yield ServerSentEvent(json.dumps(lines), event="log", id=str(end))
                    if look.is_over:
                        yield ServerSentEvent("-", event="over")
                        return
                    seen = number
            except ContractError:  # The run was deleted.
                yield ServerSentEvent("-", event="over")
                return
            except StoreError:
                log.debug("the store does not answer")  # The next look may succeed.
                shared.due = max(shared.due, monotonic() + PAUSE)
            except Exception:
                log.exception("a page cannot be made")
                return
            with move_on_after(shared.due - monotonic()):
                await ending.wait()


class _EventStream(EventSourceResponse):
    """A stream to a browser, which takes one of the free places until it ends."""

    def __init__(self, free: asyncio.Semaphore, events: AsyncIterator[ServerSentEvent], **options: Any) -> None:
        super().__init__(events, **options)
        self._free = free

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until there are no more."""
        async with self._free:  # It is free, because nothing was awaited since it was looked at.
            await super().__call__(scope, receive, send)
