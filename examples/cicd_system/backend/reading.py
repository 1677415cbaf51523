"""Read requests: their bodies, with limits for their size and for slow clients, and their queries and names."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from cicd_common import ContractError, converter
from cicd_common.errors import Problem

__all__ = ["announced_size", "chunks_of", "read_body", "read_message", "read_query", "report_names"]

T = TypeVar("T")

MAX_BODY = 8 * 1024**2
"""The largest body with JSON, in bytes."""
PATIENCE = 10.0
"""The most seconds between two chunks of a body. After that the client is disconnected."""
WHOLE = 60.0
"""The most seconds that a whole body with JSON or a form may take to arrive."""

# Bytes. Reading a smaller body takes less than a millisecond, so it needs no thread.
_SMALL_BODY = 64 * 1024
_REPORT = re.compile(
    "/api/report/pipeline/(?P<pipeline_name>[^/]*)(?:/stage/(?P<stage_name>[^/]*)(?:/job/(?P<job_name>[^/]*))?)?"
)
_NUMBERS = ("run_number", "limit", "after", "tail")
# As in JSON, with no more digits than a 64-bit integer has.
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)


async def read_message(request: Request, type: type[T]) -> T:
    """Read a message of the contract; 415 if its type is not JSON."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "Expected a body of the type application/json.")
    body = await read_body(request, MAX_BODY)
    if len(body) < _SMALL_BODY:
        return converter.loads(body, type)
    return await run_in_threadpool(converter.loads, body, type)


def announced_size(request: Request, limit: int) -> int | None:
    """The size of a body in bytes, if the client announces it; 413 if it is over the limit."""
    size = request.headers.get("content-length")
    if size is None:
        return None
    if int(size) > limit:  # The server has checked that it is a number.
        raise _too_large(limit)
    return int(size)


async def read_body(request: Request, limit: int) -> bytes:
    """Read a body of at most `limit` bytes, whatever size the client announces; 413 if it is over the limit.

    The answer is 408 if the body does not arrive in time, however small its chunks are.
    """
    announced_size(request, limit)
    body = bytearray()
    async for chunk in chunks_of(request, within=WHOLE):
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


async def chunks_of(request: Request, *, within: float = inf) -> AsyncIterator[bytes]:
    """The body of a request in chunks; 408 if the next chunk or the whole body does not arrive in time."""
    end = monotonic() + within
    more = True
    while more:
        try:
            async with asyncio.timeout(min(PATIENCE, end - monotonic())):
                message = await request.receive()
        except TimeoutError:
            raise HTTPException(408, "Expected the body sooner.", {"Connection": "close"}) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        yield message.get("body", b"")


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"Expected a body of at most {limit} bytes.", {"Connection": "close"})


def report_names(request: Request) -> dict[str, str]:
    """The names in the path of a report; 404 if it is another path."""
    path = _REPORT.fullmatch(request.scope["raw_path"].decode("ascii", "replace"))
    with suppress(UnicodeDecodeError):
        if path is not None:
            # Each is decoded separately, because a name may contain a slash.
            return {key: unquote(name, errors="strict") for key, name in path.groupdict().items() if name is not None}
    raise HTTPException(404, "Expected /api/report/pipeline/{name}[/stage/{name}[/job/{name}]].")


def read_query(request: Request, *known: str) -> dict[str, Any]:
    """The parameters of a query, with numbers as integers; unknown, repeated and malformed ones are refused."""
    problems, values = [], {}
    for name, text in request.query_params.multi_items():
        pointer = "/" + name.replace("~", "~0").replace("/", "~1")
        if name not in known:
            problems.append(Problem(pointer, "unknown", f"expected no parameters but {', '.join(known)}"))
        elif name in values:
            problems.append(Problem(pointer, "value", "expected it once"))
        elif name in _NUMBERS and not _INTEGER.fullmatch(text):
            problems.append(Problem(pointer, "type", "expected an integer"))
        else:
            values[name] = int(text) if name in _NUMBERS else text
    if problems:
        raise ContractError(QueryParams, problems)
    return values
