"""What goes wrong as problem documents (RFC 9457), each kind of error with its status in one table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from cicd_common import ContractError
from cicd_common.logging import get_logger
from cicd_common.store import BusyError, DefinitionError, FullError, UnavailableError
from cicd_common.store import errors as store_errors

__all__ = ["HANDLERS", "problem"]

log = get_logger(__name__)

# What asks for something that is not there is no unsound message: another status than that of a ContractError.
_CONTRACT: Mapping[type[ContractError], HTTPStatus] = {
    DefinitionError: HTTPStatus.CONFLICT,
    store_errors.UnknownPipelineError: HTTPStatus.NOT_FOUND,
    store_errors.UnknownExecutionError: HTTPStatus.NOT_FOUND,
    store_errors.UnknownJobExecutionError: HTTPStatus.NOT_FOUND,
    store_errors.UnknownReportNameError: HTTPStatus.NOT_FOUND,
}
_STORE: Mapping[type[Exception], tuple[HTTPStatus, str, dict[str, str]]] = {
    BusyError: (HTTPStatus.SERVICE_UNAVAILABLE, "The store is busy; try again.", {"Retry-After": "1"}),
    UnavailableError: (HTTPStatus.SERVICE_UNAVAILABLE, "The store does not answer; try again.", {"Retry-After": "1"}),
    FullError: (HTTPStatus.INSUFFICIENT_STORAGE, "The store has no room left.", {}),
}


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A problem document that has no more to say than one sentence.

    Args:
        status: The HTTP status.
        detail: The sentence. It must not repeat what was sent.
        headers: More headers.
    """
    phrase = HTTPStatus(status).phrase
    return _document(status, {"type": "about:blank", "title": phrase, "status": status, "detail": detail}, headers)


def _document(status: int, content: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(content), status, headers, media_type="application/problem+json")


def _contract(_: Request, error: Exception) -> Response:
    assert isinstance(error, ContractError)
    content = error.to_problem()
    status = _CONTRACT.get(type(error))
    if status is not None:
        content |= {"status": status.value, "title": status.phrase}
    return _document(content["status"], content)


def _store(_: Request, error: Exception) -> Response:
    status, detail, headers = _STORE[type(error)]
    log.warning(detail, exc_info=error)
    return problem(status, detail, headers)


def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, error.detail, error.headers)


def _unexpected(_: Request, error: Exception) -> Response:
    log.error("a request failed", exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The Backend has failed. Its log says why.")


HANDLERS = {
    ContractError: _contract,
    HTTPException: _http,
    Exception: _unexpected,
    **dict.fromkeys(_STORE, _store),
}
"""For `Starlette`: what becomes of each kind of error."""
