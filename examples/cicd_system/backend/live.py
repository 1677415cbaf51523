"""Live updates of pages, sent to browsers as server-sent events.

A few threads read each displayed run, job or list from the store, once for all browsers that show it, and less often if
a read takes long. So an open page costs a connection and an asyncio task, but no thread and no query.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from functools import partial
from time import monotonic
from typing import Any

import anyio
from anyio import CapacityLimiter, to_thread
from attrs import define, field, frozen
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cicd_common import ContractError
from cicd_common.logging import get_logger
from cicd_common.store import StoreError

from .ansi import START, Piece, Position

__all__ = ["Look", "More", "Part", "Parts", "Streams"]

log = get_logger(__name__)

_THREADS = 2  # For all looks together, so that requests keep their threads.
_REST = 10  # The pause after a look is at least this many times as long as the look.
_PING = 15  # Seconds; proxies close connections that are silent for 60 seconds or so.
_SEND = 30  # Seconds in which a browser must read what was sent.
_GRACE = 2  # Seconds for streams to end when the Backend shuts down.
_HEADERS = {"Cache-Control": "no-store, no-transform"}  # Compression by a proxy would delay events.

Part = Mapping[str, str | None]
"""An element of a page: its attributes (None removes one), and its content as ``text`` or ``html``."""
Parts = Mapping[str, Part]
"""Elements by their ids."""


@frozen
class Look:
    """The state of a page at one moment.

    Attributes:
        parts: The elements that may have changed.
        is_over: Whether nothing will change any more.
        last_sequence: The newest update of a job, up to which its output is read; 0 for other pages.
    """

    parts: Parts
    is_over: bool = False
    last_sequence: int = 0


More = Callable[[Position, int], Piece | None]
"""Reads the output after a position, up to the newest update; see `JobLogs.more`."""


@define(eq=False)
class _Feed:
    """A run, a job or a list that is read while at least one browser shows it."""

    followers: int = 0
    look: Look | None = None
    is_over: bool = False
    changes: dict[int, str] = field(factory=dict)  # By the ids of the looks that followers have seen.
    changed: asyncio.Event = field(factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def show(self, look: Look | None, *, is_over: bool) -> None:
        self.look, self.is_over, self.changes = look, is_over, {}
        self.changed.set()
        self.changed = asyncio.Event()

    def changes_since(self, seen: Look | None) -> str:
        """What has changed, as JSON: written once for all who have seen the same; nothing if nothing has."""
        assert self.look is not None
        known = self.changes.get(id(seen))
        if known is None:
            before: Parts = {} if seen is None else seen.parts
            changes = {name: part for name, part in self.look.parts.items() if before.get(name) != part}
            known = self.changes[id(seen)] = json.dumps(changes) if changes else ""
        return known


class Streams:
    """Streams of events to browsers.

    Args:
        most: The most streams at once. Each needs a connection, and Workers need connections, too.
        pause: The least number of seconds between two looks.
    """

    def __init__(self, *, most: int, pause: float) -> None:
        self._most = most
        self._pause = pause
        self._open: set[_EventStream] = set()
        self._feeds: dict[Hashable, _Feed] = {}
        self._threads = CapacityLimiter(_THREADS)

    @property
    def watched(self) -> int:
        """How many runs, jobs and lists are read."""
        return len(self._feeds)

    def respond(self, request: Request, key: Hashable, look: Callable[[], Look], more: More | None = None) -> Response:
        """Answer with a stream of changes.

        Args:
            request: The request.
            key: Identifies what is read. Browsers with the same key share a look.
            look: Reads the state, in a thread.
            more: Reads the output of a job, in a thread, from the position that the browser sends.

        Raises:
            HTTPException: 503 if there are too many streams; browsers try again.
        """
        if len(self._open) >= self._most:
            raise HTTPException(503, "Too many pages are open; try again.", {"Retry-After": "30"})
        told = request.headers.get("last-event-id") or request.query_params.get("seen", "")
        ending = anyio.Event()
        return _EventStream(
            self._open,
            self._events(key, look, more, Position.parse(told) or START, ending),
            headers=_HEADERS,
            ping=_PING,
            ping_message_factory=lambda: ServerSentEvent("-", event="ping"),
            send_timeout=_SEND,
            shutdown_event=ending,
            shutdown_grace_period=_GRACE,
        )

    async def _events(
        self, key: Hashable, look: Callable[[], Look], more: More | None, end: Position, ending: anyio.Event
    ) -> AsyncIterator[ServerSentEvent]:
        try:
            yield ServerSentEvent("-", event="ping")
            async for found, changes in self._follow(key, look, ending):
                read = more if found.parts else None  # The job was deleted.
                if changes:
                    yield ServerSentEvent(changes, event="parts")
                while read and (piece := await self._in_thread(partial(read, end, found.last_sequence))):
                    end = piece.end
                    lines = {"line": piece.line, "is_anew": piece.is_anew, "lines": piece.lines}
                    yield ServerSentEvent(json.dumps(lines), event="log", id=str(end))
                if found.is_over:
                    yield ServerSentEvent("-", event="over")
        except StoreError:
            log.debug("the store does not answer")  # The browser reconnects with its position.

    async def _in_thread(self, ask: Callable[[], Piece | None]) -> Piece | None:
        return await to_thread.run_sync(ask, limiter=self._threads)

    async def _follow(
        self, key: Hashable, look: Callable[[], Look], ending: anyio.Event
    ) -> AsyncIterator[tuple[Look, str]]:
        """Each new look and the changes in it. A slow follower skips intermediate looks."""
        feed = self._feeds.setdefault(key, _Feed())
        feed.followers += 1
        if feed.task is None:
            feed.task = asyncio.create_task(self._watch(feed, look))
        seen = None
        try:
            while not ending.is_set():
                changed = feed.changed
                if feed.look is not None and feed.look is not seen:
                    changes, seen = feed.changes_since(seen), feed.look
                    yield seen, changes
                elif feed.is_over:
                    return
                else:
                    await _first(changed.wait(), ending.wait())
        finally:
            feed.followers -= 1
            if not feed.followers:
                feed.task.cancel()
                self._feeds.pop(key, None)

    async def _watch(self, feed: _Feed, look: Callable[[], Look]) -> None:
        while not feed.is_over:
            began = monotonic()
            try:
                found = await to_thread.run_sync(look, limiter=self._threads)
                if found != feed.look or found.is_over:
                    feed.show(found, is_over=found.is_over)
            except ContractError:
                feed.show(Look({}, is_over=True), is_over=True)  # It was deleted.
            except StoreError:
                log.debug("the store does not answer")  # Followers wait for the next look.
            except Exception:
                log.exception("a page cannot be made")
                feed.show(feed.look, is_over=True)
            await asyncio.sleep(max(self._pause, _REST * (monotonic() - began)))


class _EventStream(EventSourceResponse):
    """A stream to a browser. If the browser stops reading, the stream ends without an error.

    Args:
        open_ones: The set of open streams, which contains this one while it is open.
        events: The events to send.
        options: The options of `EventSourceResponse`.
    """

    def __init__(self, open_ones: set[_EventStream], events: AsyncIterator[ServerSentEvent], **options: Any) -> None:
        super().__init__(events, **options)
        self._open_ones = open_ones

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until there are no more, or the browser stops reading."""
        self._open_ones.add(self)  # No await since the open streams were counted.
        try:
            await super().__call__(scope, receive, send)
        except TimeoutError:
            log.info("a browser does not read what it asked for")
        finally:
            self._open_ones.discard(self)


async def _first(*waits: Awaitable[object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
