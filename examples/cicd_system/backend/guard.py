"""Access control by a token."""

from __future__ import annotations

from hmac import compare_digest
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .middleware import problem

__all__ = ["TOKEN_COOKIE", "TokenGuard", "is_by_https", "is_loopback"]

TOKEN_COOKIE = "cicd_token"
"""The cookie with the token of a browser that has signed in."""

_OPEN = ("/health", "/sign-in", "/style.css")
_SAFE = ("GET", "HEAD")
_ELSEWHERE = "Expected a request from a page of this Backend."


class TokenGuard:
    """Accepts only requests with the token, in a header (RFC 6750) or in a cookie, except for a few paths.

    Browsers are redirected to the page for signing in. A request with a cookie that changes something must come from a
    page of this Backend.

    If there is no token, only requests whose header ``Host`` is a name of the loopback are accepted. So a web site
    whose name resolves to the loopback (DNS rebinding) cannot start jobs.
    """

    def __init__(self, app: ASGIApp, *, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        if scope["path"] in _OPEN:
            return None
        is_safe = scope["method"] in _SAFE
        if self._token is None:
            if not is_loopback(_name(_only(scope, b"host"))):
                return problem(421, "Without a token the Backend answers to the name localhost alone.")
            # Only browsers send these headers.
            is_browser = any(name in (b"sec-fetch-site", b"origin") for name, _ in scope["headers"])
            return problem(403, _ELSEWHERE) if is_browser and not is_safe and not _is_from_here(scope) else None
        scheme, _, given = _only(scope, b"authorization").partition(b" ")
        # These comparisons take the same time for each value, so that the time of a refusal does not reveal the token.
        if scheme.lower() == b"bearer" and compare_digest(given.strip(b" "), self._token.encode()):
            return None
        cookies = cookie_parser(_only(scope, b"cookie").decode("latin-1"))
        if compare_digest(cookies.get(TOKEN_COOKIE, "").encode(), self._token.encode()):
            return None if is_safe or _is_from_here(scope) else problem(403, _ELSEWHERE)
        if not scope["path"].startswith("/api/"):
            return RedirectResponse("/sign-in", 303)
        return problem(401, "Expected the Backend's bearer token.", {"WWW-Authenticate": "Bearer"})


def _is_from_here(scope: Scope) -> bool:
    """Whether the headers of a browser say that the request comes from a page of this Backend."""
    site, origin = _only(scope, b"sec-fetch-site"), _only(scope, b"origin")
    if site:
        return site == b"same-origin"
    # Without TLS, browsers send only this. A proxy with TLS may change the host.
    return origin.partition(b"://")[2] == _only(scope, b"host") != b""


def is_by_https(scope: Scope) -> bool:
    """Whether a browser uses https, also through a proxy."""
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


def is_loopback(host: str) -> bool:
    """Whether an address is one of the loopback interface, or ``localhost``."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
