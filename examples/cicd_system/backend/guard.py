"""Access control by a token, and limits for bodies."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import AsyncIterator, Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request, cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .problems import problem

__all__ = [
    "PATIENCE",
    "TOKEN_COOKIE",
    "TokenGuard",
    "arriving",
    "is_by_https",
    "is_loopback",
    "is_token",
    "matches",
    "read_json",
]

PATIENCE = 10.0
"""The most seconds between two chunks of a body."""

_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*", re.ASCII)


TOKEN_COOKIE = "cicd_token"
"""The cookie with the token of a browser that has signed in."""

_SAFE = ("GET", "HEAD")
_API = "/api/"
_ELSEWHERE = "Expected a request from a page of this Backend."


class TokenGuard:
    """Accepts only requests with the token, in a header (RFC 6750) or in a cookie, except for a few paths.

    Browsers are redirected to the page for signing in. A request with a cookie that changes something must come from a
    page of this Backend.

    If there is no token, only requests whose header ``Host`` is a name of the loopback are accepted. So a web site
    whose name resolves to the loopback (DNS rebinding) cannot start jobs.

    Args:
        app: The guarded application.
        token: The token; None if there is none.
        open_paths: Paths that need no token.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, open_paths: Iterable[str] = ()) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._open = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        if scope["path"] in self._open:
            return None
        if self._token is None:
            asked = _only(scope, b"host")
            if not is_loopback(_name(asked)):
                return problem(421, "Without a token the Backend answers to the name localhost alone.")
            return problem(403, _ELSEWHERE) if _may_be_from_elsewhere(scope) else None
        scheme, _, given = _only(scope, b"authorization").partition(b" ")
        if scheme.lower() == b"bearer" and matches(given.strip(b" "), self._token):
            return None
        cookies = cookie_parser(_only(scope, b"cookie").decode("latin-1"))
        if matches(cookies.get(TOKEN_COOKIE, "").encode(), self._token):
            if scope["method"] in _SAFE or _is_from_here(scope):
                return None
            return problem(403, _ELSEWHERE)
        if scope["method"] in _SAFE and not scope["path"].startswith(_API):
            return RedirectResponse("/sign-in", 303)
        return problem(401, "Expected the Backend's bearer token.", {"WWW-Authenticate": "Bearer"})


def matches(given: bytes, token: bytes) -> bool:
    """Compare a token in constant time, so that the time of a refusal does not reveal it.

    Args:
        given: The value to compare.
        token: The token.
    """
    return hmac.compare_digest(given, token)


def _is_from_here(scope: Scope) -> bool:
    """Whether the headers of a browser say that the request comes from a page of this Backend."""
    site, origin = _only(scope, b"sec-fetch-site"), _only(scope, b"origin")
    if site:
        return site == b"same-origin"
    # Without TLS, browsers send only this. A proxy with TLS may change the host.
    return origin.partition(b"://")[2] == _only(scope, b"host") != b""


def _may_be_from_elsewhere(scope: Scope) -> bool:
    """Whether a request that changes something may come from another site. Programs do not send these headers."""
    said = any(name in (b"sec-fetch-site", b"origin") for name, _ in scope["headers"])
    return scope["method"] not in _SAFE and said and not _is_from_here(scope)


def is_by_https(scope: Scope) -> bool:
    """Whether a browser uses https, also through a proxy.

    Args:
        scope: The request.
    """
    return scope["scheme"] == "https" or _only(scope, b"origin").startswith(b"https://")


def _only(scope: Scope, header: bytes) -> bytes:
    """The value of a header; empty if the header is missing or repeated."""
    found: list[bytes] = [value for name, value in scope["headers"] if name == header]
    return found[0] if len(found) == 1 else b""


def _name(host: bytes) -> str:
    try:
        return urlsplit("//" + host.decode("ascii")).hostname or ""
    except ValueError:
        return ""


def is_token(text: str) -> bool:
    """Whether a text can be a bearer token (RFC 6750): letters, digits and ``-._~+/``, with ``=`` at the end.

    Args:
        text: The text.
    """
    return _TOKEN.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """Whether an address is one of the loopback interface.

    Args:
        host: The address, or ``localhost``.
    """
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def read_json(request: Request, limit: int) -> bytes:
    """Read the body of a request whose type must be JSON.

    Args:
        request: The request.
        limit: The largest body in bytes, whatever its ``Content-Length`` says.

    Raises:
        HTTPException: 408 if the body does not arrive in time, 413 if it is too large, 415 if its type is not JSON.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "Expected a body of the type application/json.")
    too_large = HTTPException(413, f"Expected a body of at most {limit} bytes.", {"Connection": "close"})
    announced = request.headers.get("content-length", "0")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
        raise too_large
    body = bytearray()
    async for chunk in arriving(request):
        body += chunk
        if len(body) > limit:
            raise too_large
    return bytes(body)


async def arriving(request: Request) -> AsyncIterator[bytes]:
    """The body of a request in chunks. A client that sends nothing for `PATIENCE` seconds is disconnected.

    Args:
        request: The request.

    Raises:
        HTTPException: 408 if the next chunk does not arrive in time.
    """
    more = True
    while more:
        try:
            async with asyncio.timeout(PATIENCE):
                message = await request.receive()
        except TimeoutError:
            raise HTTPException(408, "Expected the body sooner.", {"Connection": "close"}) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        yield message.get("body", b"")
