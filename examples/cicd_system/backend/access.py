"""Middleware that logs each request, adds headers to each answer, and answers 500 after an unexpected error."""

from __future__ import annotations

import logging
from time import perf_counter
from uuid import UUID

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cicd_common.logging import execution_context, get_logger

from .problems import ERROR, answer_to

__all__ = ["AccessLog", "about"]

log = get_logger(__name__)

_IDS = "cicd.execution_ids"
# Answers change all the time, and browsers must not guess their type.
_HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


def about(request: Request, **ids: UUID) -> execution_context:
    """Add the ids of an execution to the log line of a request, and to all lines that are logged in the block.

    Args:
        request: The request.
        ids: The ids, by their names in `execution_context`.
    """
    request.scope[_IDS] = ids
    return execution_context(**ids)


class AccessLog:
    """Logs the method, route and status of each request, but no body, query, path or header: they may hold secrets.

    Successful requests are logged at ``DEBUG``, refused ones at ``INFO``, failures of the store at ``WARNING``, and
    unexpected errors at ``ERROR`` with their traceback.

    Args:
        app: The application. Exceptions that it raises are answered with 500.
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


def _level(status: int) -> int:
    if status < 400:
        return logging.DEBUG
    if status < 500:
        return logging.INFO
    return logging.ERROR if status == 500 else logging.WARNING


def _log(scope: Scope, status: int, seconds: float, failure: Exception | None) -> None:
    level = logging.ERROR if failure else _level(status)
    if not log.isEnabledFor(level):
        return
    reason = scope.get(ERROR)
    with execution_context(**scope.get(_IDS, {})):
        log.log(
            level,
            "answered",
            exc_info=failure,
            method=scope["method"],
            # The pattern of the route: the path itself may contain any text of the client.
            route=getattr(scope.get("route"), "path", None),
            status=status or None,
            milliseconds=round(seconds * 1000, 1),
            **({} if reason is None else {"reason": str(reason)}),
        )
