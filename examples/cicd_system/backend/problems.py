"""What goes wrong as problem documents (RFC 9457): each kind of error with its status, in one table."""

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
"""Where in the scope of a request its error is, if the Backend could not do what it was asked to."""

# Of errors that are of several kinds, the first row counts. None: the error says it by itself.
_TABLE: Mapping[type[Exception], tuple[HTTPStatus | None, str, Mapping[str, str]]] = {
    ContractError: (None, "", {}),
    BusyError: (HTTPStatus.SERVICE_UNAVAILABLE, "The store is busy; try again.", {"Retry-After": "1"}),
    UnavailableError: (HTTPStatus.SERVICE_UNAVAILABLE, "The store does not answer; try again.", {"Retry-After": "1"}),
    FullError: (HTTPStatus.INSUFFICIENT_STORAGE, "The store has no room left.", {}),
    ClientDisconnect: (HTTPStatus.BAD_REQUEST, "The body has broken off.", {}),
    Exception: (HTTPStatus.INTERNAL_SERVER_ERROR, "The Backend has failed. Its log says why.", {}),
}


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A problem document that has no more to say than one sentence.

    Args:
        status: The HTTP status.
        detail: The sentence. It must not repeat what was sent.
        headers: More headers.
    """
    phrase = HTTPStatus(status).phrase
    return _document({"type": "about:blank", "title": phrase, "status": status, "detail": detail}, headers)


def answer_to(error: Exception) -> Response:
    """The problem document that an error is answered with.

    Args:
        error: Any error; one that is not expected gets 500, and nothing is told of it.
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


# What is not expected goes on to `AccessLog`, which logs it with its traceback.
HANDLERS = dict.fromkeys([HTTPException, *(kind for kind in _TABLE if kind is not Exception)], _handle)
"""For `Starlette`: what becomes of each kind of error."""
