"""One line in the log for each request, and headers for every answer."""

from __future__ import annotations

from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cicd_common.logging import execution_context, get_logger

__all__ = ["AccessLog"]

log = get_logger(__name__)

# Answers change from one moment to the next, and are for programs alone.
_HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class AccessLog:
    """Logs who asked for what and how that went; never a body, a query or a header, which may hold secrets.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and log how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        began = perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            # The route alone and its ids: a path may hold whatever somebody sends.
            with execution_context(**_ids(scope)):
                log.debug(
                    "answered",
                    method=scope["method"],
                    route=getattr(scope.get("route"), "path", None),
                    status=status,
                    milliseconds=round((perf_counter() - began) * 1000, 1),
                )


def _ids(scope: Scope) -> dict[str, object]:
    found = scope.get("path_params", {})
    return {
        "pipeline_execution_id": found.get("execution_id"),
        "job_execution_id": found.get("job_execution_id"),
    }
