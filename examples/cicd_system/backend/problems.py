"""Errors as problem documents (RFC 9457), with a table of their statuses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from cicd_common import ContractError
from cicd_common.store import (
    BusyError,
    FullError,
    UnavailableError,
)

__all__ = ["ERROR", "HANDLERS", "answer_to", "problem"]

ERROR = "cicd.error"
"""The key of the scope of a request under which its error is, if the answer is 5xx."""

# The first row that matches counts. The status is None if the error has its own.
_TABLE: Mapping[type[Exception], tuple[HTTPStatus | None, str, Mapping[str, str]]] = {
    ContractError: (None, "", {}),
    BusyError: (HTTPStatus.SERVICE_UNAVAILABLE, "The store is busy; try again.", {"Retry-After": "1"}),
    UnavailableError: (HTTPStatus.SERVICE_UNAVAILABLE, "The store does not answer; try again.", {"Retry-After": "1"}),
    FullError: (HTTPStatus.INSUFFICIENT_STORAGE, "The store has no room left.", {}),
    ClientDisconnect: (HTTPStatus.BAD_REQUEST, "The body has broken off.", {}),
    Exception: (HTTPStatus.INTERNAL_SERVER_ERROR, "The Backend has failed. Its log says why.", {}),
}


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A problem document with one sentence.

    Args:
        status: The HTTP status.
        detail: The sentence. It must not repeat text from the request.
        headers: Further headers.
    """
    phrase = HTTPStatus(status).phrase
    return _document({"type": "about:blank", "title": phrase, "status": status, "detail": detail}, headers)


def answer_to(error: Exception) -> Response:
    """The problem document for an error.

    Args:
        error: Any error. An unexpected one gets 500 without details.
    """
    if isinstance(error, HTTPException):
        return problem(error.status_code, error.detail, error.headers)
    status, detail, headers = next(row for kind, row in _TABLE.items() if isinstance(error, kind))
    if isinstance(error, ContractError):
        return _document(error.to_problem())
    assert status is not None
    return problem(status, detail, headers)


def _document(content: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(content), content["status"], headers, media_type="application/problem+json")


async def _handle(request: Request, error: Exception) -> Response:
    answer = answer_to(error)
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        request.scope[ERROR] = error
    return answer


# Unexpected errors are handled by `AccessLog`, which logs their traceback.
HANDLERS = dict.fromkeys([HTTPException, *(kind for kind in _TABLE if kind is not Exception)], _handle)
"""The exception handlers for `Starlette`."""
