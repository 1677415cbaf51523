"""The Backend as a Worker sees it: asked until it answers."""

from __future__ import annotations

from http import HTTPStatus
from threading import Event
from typing import Any, TypeVar
from uuid import UUID

import httpx
from attrs import frozen
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
)
from tenacity.wait import wait_exponential, wait_random

from cicd_common import ContractError, ExecutionStatus, converter
from cicd_common.api.request import ArtifactUploadRequest, JobStatusUpdate
from cicd_common.api.response import JobExecutionResponse
from cicd_common.dto import JobExecutionDTO
from cicd_common.logging import get_logger

__all__ = ["Answer", "BackendClient", "GivenUpError", "RefusedError"]

T = TypeVar("T")
log = get_logger(__name__)

# Who answers so may answer otherwise a little later.
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


class RefusedError(Exception):
    """The Backend answered, and will not answer otherwise: the request is wrong, or the job is not known."""


class GivenUpError(Exception):
    """The Worker is to end before the Backend has answered, or does not wait for it."""


class _Passing(Exception):
    """There was no answer, or none that lasts."""


@frozen(kw_only=True)
class Answer:
    """What became of an update.

    Attributes:
        status: How the job stands, or is to end: a terminal one tells the Worker to stop.
        clashes: Whether another attempt has reported under the same sequence. A repeat does not clash with itself.
    """

    status: ExecutionStatus
    clashes: bool


class BackendClient:
    """Asks the Backend, again and again with growing pauses, until it answers. For many threads at once.

    Args:
        url: Where the Backend is.
        token: The bearer token; none if it asks for none.
        ending: When it is set, nothing is tried again.
        timeout: For how many seconds to wait for one answer.
        longest_pause: How many seconds there are between two tries at most.
    """

    def __init__(
        self, url: str, token: str | None, *, ending: Event, timeout: float = 10, longest_pause: float = 5
    ) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout)
        self._ending = ending
        self._longest_pause = longest_pause

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def report(self, update: JobStatusUpdate) -> Answer:
        """Report how a job is doing.

        Args:
            update: The update.

        Raises:
            RefusedError: The Backend does not take it.
            GivenUpError: The Worker is to end.
        """
        answer, headers = self._ask("POST", "/api/job/status", JobExecutionResponse, update)
        return Answer(status=answer.status, clashes=headers.get("Update-Clash") == "true")

    def upload(self, request: ArtifactUploadRequest) -> None:
        """Tell what files a job left.

        Args:
            request: The files.

        Raises:
            RefusedError: The Backend does not take it.
            GivenUpError: The Worker is to end.
        """
        self._ask("POST", "/api/job/artifact/upload", JobExecutionResponse, request)

    def status(self, job_execution_id: UUID, *, patient: bool = True) -> ExecutionStatus:
        """How a job stands, or is to end.

        Args:
            job_execution_id: The job.
            patient: Whether to ask again until there is an answer.

        Raises:
            RefusedError: There is no such job.
            GivenUpError: There is no answer.
        """
        answer, _ = self._ask("GET", f"/api/job/status/{job_execution_id}", JobExecutionResponse, patient=patient)
        return answer.status

    def last_sequence(self, job_execution_id: UUID, after: int = 0, *, patient: bool = True) -> int:
        """The last sequence under which output of a job is stored.

        Args:
            job_execution_id: The job.
            after: One that is known to be stored.
            patient: Whether to ask again until there is an answer.

        Raises:
            RefusedError: There is no such job.
            GivenUpError: There is no answer.
        """
        while True:
            path = f"/api/job/logs/{job_execution_id}?after={after}"
            last = self._ask("GET", path, JobExecutionDTO, patient=patient)[0].last_sequence
            if last == after:
                return last
            after = last

    def _ask(
        self, method: str, path: str, answer: type[T], message: Any = None, *, patient: bool = True
    ) -> tuple[T, httpx.Headers]:
        content = None if message is None else converter.dumps(message)
        headers = {} if message is None else {"Content-Type": "application/json"}
        retrying = Retrying(
            retry=retry_if_exception_type(_Passing),
            wait=wait_exponential(multiplier=0.1, max=self._longest_pause) + wait_random(0, 0.1),
            sleep=sleep_using_event(self._ending),
            stop=stop_when_event_set(self._ending) if patient else stop_after_attempt(1),
        )

        def ask() -> tuple[T, httpx.Headers]:
            response = self._try(method, path, content, headers)
            return _read(response, answer), response.headers

        try:
            return retrying(ask)
        except RetryError:
            raise GivenUpError("the Backend has not answered") from None

    def _try(self, method: str, path: str, content: bytes | None, headers: dict[str, str]) -> httpx.Response:
        try:
            response = self._http.request(method, path, content=content, headers=headers)
        except (httpx.TransportError, httpx.DecodingError) as error:
            log.warning("the Backend does not answer", error=type(error).__name__)
            raise _Passing from None
        if response.is_success:
            return response
        if response.is_server_error or response.status_code in _PASSING:
            log.warning("the Backend cannot answer", status=response.status_code)
            raise _Passing
        raise RefusedError(f"the Backend answers {response.status_code} to {method} {path.partition('?')[0]}")


def _read(response: httpx.Response, type: type[T]) -> T:
    try:
        return converter.loads(response.content, type)
    except ContractError as error:
        # Somebody between here and the Backend answers in its place.
        log.warning("the answer is none of the Backend", problems=len(error.problems))
        raise _Passing from None
