"""What every request gets: an answer, also to an error, headers, and a line in the log."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from time import perf_counter
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cicd_common import ContractError
from cicd_common.logging import execution_context, get_logger
from cicd_common.store import BusyError, FullError, UnavailableError

__all__ = ["AccessLog", "answer_to", "log_ids", "problem"]

log = get_logger(__name__)

_IDS = "cicd.execution_ids"
# Answers change all the time, and browsers must not guess their type.
_HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_AGAIN = {"Retry-After": "1"}
# The first row that matches counts.
_ERRORS: tuple[tuple[type[Exception], int, str, Mapping[str, str]], ...] = (
    (BusyError, 503, "The store is busy; try again.", _AGAIN),
    (UnavailableError, 503, "The store does not answer; try again.", _AGAIN),
    (FullError, 507, "The store has no room left.", {}),
    (ClientDisconnect, 400, "The body has broken off.", {}),
    (Exception, 500, "The Backend has failed. Its log says why.", {}),
)


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A problem document (RFC 9457) with one sentence, which must not repeat text from the request."""
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(json.dumps(content), status, headers, media_type="application/problem+json")


def answer_to(error: Exception) -> Response:
    """The problem document for an error. An unexpected error gets 500 without details."""
    if isinstance(error, ContractError):
        content = error.to_problem()
        return Response(json.dumps(content), content["status"], media_type="application/problem+json")
    if isinstance(error, HTTPException):
        return problem(error.status_code, error.detail, error.headers)
    _, status, detail, headers = next(row for row in _ERRORS if isinstance(error, row[0]))
    return problem(status, detail, headers)


def log_ids(request: Request, **ids: UUID) -> None:
    """Add ids from the body of a request to its line in the log; those in its path are added anyway."""
    request.scope[_IDS] = ids


class AccessLog:
    """Logs the method, route and status of each request, but no body, query, path or header: they may hold secrets.

    Successful requests are logged at ``DEBUG``, refused ones at ``INFO``, failures of the store at ``WARNING``, and
    unexpected errors at ``ERROR`` with their traceback. Errors are answered with problem documents.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and log its result."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        status, failure = 0, None

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            failure = error
            if status:
                raise  # The answer has begun, so the server closes the connection.
            await answer_to(error)(scope, receive, send_with_headers)
        finally:
            _log(scope, status, perf_counter() - began, failure)
            if failure is not None:
                # It is part of reference cycles, and its frames have the bodies of requests, which would pile up.
                failure.__traceback__ = None


def _log(scope: Scope, status: int, seconds: float, failure: Exception | None) -> None:
    is_flaw = failure is not None and (status < 400 or status == 500)
    level = logging.DEBUG if status < 400 else logging.INFO if status < 500 else logging.WARNING
    level = logging.ERROR if is_flaw else level
    if not log.isEnabledFor(level):
        return
    ids = {name: value for name, value in scope.get("path_params", {}).items() if isinstance(value, UUID)}
    with execution_context(**scope.get(_IDS, ids)):
        log.log(
            level,
            "answered",
            exc_info=failure if is_flaw else None,
            method=scope["method"],
            # The pattern of the route: the path itself may contain any text of the client.
            route=getattr(scope.get("route"), "path", None),
            status=status or None,
            milliseconds=round(seconds * 1000, 1),
            **({"reason": str(failure)} if failure and level == logging.WARNING else {}),
        )
