"""What moves on pages by itself: sent to browsers as server-sent events.

Each thing that somebody looks at is read from the store once for all who look at it, by few threads, and less often
the longer that takes. So open pages cost a connection and a task of asyncio each, and no thread and no query.
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

_THREADS = 2  # For all looks together: the threads of requests are left to them.
_REST = 10  # How much longer than a look the pause behind it is, at least.
_PING = 15  # Seconds; proxies close connections that are silent for longer, 60 of them as a rule.
_SEND = 30  # Seconds that a browser may take to read what it is sent.
_GRACE = 2  # Seconds for streams to end by themselves when the Backend does.
_HEADERS = {"Cache-Control": "no-store, no-transform"}  # No proxy is to pack it, and wait for more.

Part = Mapping[str, str | None]
"""An element of a page: its attributes, none where one is not there, and what is in it as ``text`` or as ``html``."""
Parts = Mapping[str, Part]
"""Elements by their ids."""


@frozen
class Look:
    """What a thing looks like at one moment.

    Attributes:
        parts: The elements that may have changed.
        is_over: Whether nothing will change any more.
        last_sequence: The newest update of a job, whose output is to be read from the store; 0 for other things.
    """

    parts: Parts
    is_over: bool = False
    last_sequence: int = 0


More = Callable[[Position, int], Piece | None]
"""From where output ends, and the sequence of the newest update, to what was added; see `JobLogs.more`."""


@define(eq=False)
class _Feed:
    """A thing that is looked at for as long as somebody follows it."""

    followers: int = 0
    look: Look | None = None
    is_over: bool = False
    changes: dict[int, str] = field(factory=dict)  # By the looks that followers have seen.
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
        most: How many there may be at once: each has a connection, and Workers need some, too.
        pause: How many seconds pass between two looks at a thing, at least.
    """

    def __init__(self, *, most: int, pause: float) -> None:
        self._most = most
        self._pause = pause
        self._open: set[_EventStream] = set()
        self._feeds: dict[Hashable, _Feed] = {}
        self._threads = CapacityLimiter(_THREADS)

    @property
    def watched(self) -> int:
        """How many things are looked at."""
        return len(self._feeds)

    def respond(self, request: Request, key: Hashable, look: Callable[[], Look], more: More | None = None) -> Response:
        """Answer with a stream of what changes.

        Args:
            request: The request.
            key: Says what is looked at, the same for all who look at it.
            look: Looks at it, in a thread.
            more: Reads the output of a job, in a thread. It goes on where the browser says that it has stopped.

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
                read = more if found.parts else None  # There is no output of what is not there any more.
                if changes:
                    yield ServerSentEvent(changes, event="parts")
                while read and (piece := await self._in_thread(partial(read, end, found.last_sequence))):
                    end = piece.end
                    lines = {"line": piece.line, "is_anew": piece.is_anew, "lines": piece.lines}
                    yield ServerSentEvent(json.dumps(lines), event="log", id=str(end))
                if found.is_over:
                    yield ServerSentEvent("-", event="over")
        except StoreError:
            log.debug("the store does not answer")  # The browser comes again, and says where it stopped.

    async def _in_thread(self, ask: Callable[[], Piece | None]) -> Piece | None:
        return await to_thread.run_sync(ask, limiter=self._threads)

    async def _follow(
        self, key: Hashable, look: Callable[[], Look], ending: anyio.Event
    ) -> AsyncIterator[tuple[Look, str]]:
        """What a thing looks like, each time that has changed, and how. Who is slow misses what came in between."""
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
                feed.show(Look({}, is_over=True), is_over=True)  # It is not there any more.
            except StoreError:
                log.debug("the store does not answer")  # Those who look wait, as they do when nothing changes.
            except Exception:
                log.exception("a page cannot be made")
                feed.show(feed.look, is_over=True)
            await asyncio.sleep(max(self._pause, _REST * (monotonic() - began)))


class _EventStream(EventSourceResponse):
    """A stream to a browser, which may have stopped to read: that is no fault of the Backend.

    Args:
        open_ones: Where it is for as long as it is open.
        events: What it sends.
        options: Those of `EventSourceResponse`.
    """

    def __init__(self, open_ones: set[_EventStream], events: AsyncIterator[ServerSentEvent], **options: Any) -> None:
        super().__init__(events, **options)
        self._open_ones = open_ones

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until there are no more, or nobody takes them."""
        self._open_ones.add(self)  # Nothing has happened since the others were counted.
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
