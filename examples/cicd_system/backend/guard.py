"""Who may ask, and how much: the token and the bound of bodies."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from ipaddress import ip_address

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from .problems import problem

__all__ = ["TokenGuard", "is_loopback", "read_json"]


class TokenGuard:
    """Lets through only who has the token (RFC 6750), but for a few paths.

    Args:
        app: What is guarded.
        token: The token; none guards nothing.
        open_paths: What everybody may ask.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, open_paths: Iterable[str] = ()) -> None:
        self._app = app
        self._expected = None if token is None else f"Bearer {token}".encode()
        self._open = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with 401."""
        if scope["type"] != "http" or self._is_welcome(scope):
            await self._app(scope, receive, send)
            return
        refusal = problem(401, "Expected the Backend's bearer token.", {"WWW-Authenticate": "Bearer"})
        await refusal(scope, receive, send)

    def _is_welcome(self, scope: Scope) -> bool:
        if self._expected is None or scope["path"] in self._open:
            return True
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        # In constant time, so that nobody learns the token from how long its refusal takes.
        return len(given) == 1 and hmac.compare_digest(given[0], self._expected)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there.

    Args:
        host: The address, or ``localhost``.
    """
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def read_json(request: Request, limit: int) -> bytes:
    """The body of a request that has to be JSON, as it came.

    Args:
        request: The request.
        limit: How many bytes it may have; counted as they come, whatever was announced.

    Raises:
        HTTPException: 413 if it is larger, 415 if it is said to be something else.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "Expected a body of the type application/json.")
    too_large = HTTPException(413, f"Expected a body of at most {limit} bytes.", {"Connection": "close"})
    announced = request.headers.get("content-length", "0")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large
    return bytes(body)
