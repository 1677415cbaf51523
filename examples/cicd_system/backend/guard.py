"""Who may ask, and how much: the token and the bound of bodies."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .problems import problem

__all__ = ["TokenGuard", "is_loopback", "is_token", "read_json"]

_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*", re.ASCII)


class TokenGuard:
    """Lets through only who has the token (RFC 6750), but for a few paths.

    Without a token it lets everybody through who asks for this machine by its own name. A web page that has made its
    own name mean the loopback (DNS rebinding) does not, and could start jobs otherwise.

    Args:
        app: What is guarded.
        token: The token; None if there is none.
        open_paths: What everybody may ask.
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
            named = is_loopback(_name(asked))
            return None if named else problem(421, "Without a token the Backend answers to the name localhost alone.")
        scheme, _, given = _only(scope, b"authorization").partition(b" ")
        # In constant time, so that nobody learns the token from how long its refusal takes.
        if scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(b" "), self._token):
            return None
        return problem(401, "Expected the Backend's bearer token.", {"WWW-Authenticate": "Bearer"})


def _only(scope: Scope, header: bytes) -> bytes:
    """The value of a header; nothing if it is there twice, so that there is no question of which one counts."""
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
