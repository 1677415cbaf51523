"""One line in the log for each request, headers for every answer, and an answer whatever goes wrong."""

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
# Answers change from one moment to the next, and are for programs alone.
_HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


def about(request: Request, **ids: UUID) -> execution_context:
    """Say which execution a request is about: in its line in the log, and in all that is logged in the block.

    Args:
        request: The request.
        ids: The ids, by the names that `execution_context` has for them.
    """
    request.scope[_IDS] = ids
    return execution_context(**ids)


class AccessLog:
    """Logs who asked for what and how that went; never a body, a query, a path or a header, which may hold secrets.

    What was answered as asked is told at ``DEBUG``, what was refused at ``INFO``, what the store did not do at
    ``WARNING``, and what is a flaw of the Backend at ``ERROR``, with its traceback.

    Args:
        app: What answers. What it raises is answered with 500.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and log how it went."""
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
                raise  # It is too late for another answer: the server closes the connection.
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
            # What the path was matched with: a path itself may hold whatever somebody sends.
            route=getattr(scope.get("route"), "path", None),
            status=status or None,
            milliseconds=round(seconds * 1000, 1),
            **({} if reason is None else {"reason": str(reason)}),
        )
