"""The Backend as a Worker sees it: asked until it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from threading import Event
from typing import Any, TypeVar
from uuid import UUID

import httpx
from attrs import evolve
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
)
from tenacity.wait import wait_exponential, wait_random

from cicd_common import ContractError, converter
from cicd_common.api.request import Artifact, ArtifactUploadRequest, ExecutionLogUpload, JobStatusUpdate
from cicd_common.api.response import ArtifactsResponse, JobExecutionResponse
from cicd_common.artifacts import ContentMismatchError, save
from cicd_common.logging import get_logger

from ..clock import BackendClock

__all__ = ["BackendClient", "DeniedError", "GivenUpError", "RefusedError"]

T = TypeVar("T")
_CHUNK = 1024 * 1024
_JSON = {"Content-Type": "application/json"}
log = get_logger(__name__)

# Who answers so may answer otherwise a little later.
_DENIED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


class RefusedError(Exception):
    """The Backend answered, and will not answer otherwise: the request is wrong, or the job is not known."""


class DeniedError(Exception):
    """The Backend does not let this Worker in: its token is wrong, and so it is for every other job."""


class GivenUpError(Exception):
    """The Worker is to end before the Backend has answered, or does not wait for it."""


class _Passing(Exception):
    """There was no answer, or none that lasts."""


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
        self._clock = BackendClock()
        hooks: dict[str, list[Any]] = {"response": [self._clock.heed]}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, event_hooks=hooks)
        self._ending = ending
        self._longest_pause = longest_pause

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def set_clock(self) -> None:
        """Learn the Backend's time, once. As long as the Backend does not answer, the time of this machine counts."""
        if self._clock.ahead is None:
            with suppress(httpx.HTTPError):
                self._http.get("/health")

    def report(self, update: JobStatusUpdate, *, patient: bool = True) -> JobExecutionResponse:
        """Report how a job is doing. The Backend is told the time by its own clock.

        Args:
            update: How it is doing, with the time by the clock of this machine.
            patient: Whether to ask again until there is an answer.

        Raises:
            RefusedError: The Backend refuses it.
            DeniedError: The Backend does not let this Worker in.
            GivenUpError: There is no answer.
        """
        update = evolve(update, occurred_at=self._clock.at(update.occurred_at))
        return self._ask("POST", "/api/job/status", JobExecutionResponse, update, patient=patient)

    def upload(self, request: ArtifactUploadRequest) -> None:
        """Tell what files a job left.

        Args:
            request: The files.

        Raises:
            RefusedError: The Backend refuses it.
            DeniedError: The Backend does not let this Worker in.
            GivenUpError: The Worker is to end.
        """
        self._ask("POST", "/api/job/artifact/upload", JobExecutionResponse, request)

    def add_logs(self, logs: ExecutionLogUpload) -> None:
        """Send what was logged about executions, with times by the Backend's clock. It asks once.

        Args:
            logs: The lines, with times by the clock of this machine.

        Raises:
            RefusedError: The Backend refuses it.
            DeniedError: The Backend does not let this Worker in.
            GivenUpError: There is no answer.
        """
        told = tuple(evolve(log, timestamp=self._clock.at(log.timestamp)) for log in logs.logs)
        content = converter.dumps(evolve(logs, logs=told))
        self._again(lambda: self._try("POST", "/api/execution/logs", content, _JSON), patient=False)

    def put(self, artifact: Artifact, file: Path, go_on: Callable[[], None]) -> None:
        """Store the content of an artifact, read in chunks.

        Args:
            artifact: The artifact.
            file: Where its content is.
            go_on: Called before each chunk; it raises if the job is halted.

        Raises:
            RefusedError: The Backend refuses it: it is no longer what was described, or is too large.
            DeniedError: The Backend does not let this Worker in.
            GivenUpError: The Worker is to end.
            HaltedError: The job is halted.
            OSError: The file cannot be read.
        """
        path = f"/api/artifact/{artifact.sha256}"
        if file.stat().st_size != artifact.size:
            raise RefusedError("the file is no longer what was described")

        def put() -> None:
            with file.open("rb") as content:
                headers = {"Content-Length": str(artifact.size)}
                chunks = iter(lambda: content.read(_CHUNK), b"")
                self._try("PUT", path, _watched(go_on, chunks), headers)

        self._again(put, patient=True)

    def artifacts(self, job_execution_id: UUID) -> ArtifactsResponse:
        """What a job left.

        Args:
            job_execution_id: The job.

        Raises:
            RefusedError: The Backend does not know the job.
            DeniedError: The Backend does not let this Worker in.
            GivenUpError: The Worker is to end.
        """
        return self._ask("GET", f"/api/job/artifacts/{job_execution_id}", ArtifactsResponse)

    def fetch(self, artifact: Artifact, target: Path, go_on: Callable[[], None]) -> None:
        """Write the content of an artifact to a file, which appears only once it is whole and verified.

        Args:
            artifact: The artifact.
            target: The file. Its directory must exist.
            go_on: Called before each chunk; it raises if the job is halted.

        Raises:
            RefusedError: The Backend does not have it.
            DeniedError: The Backend does not let this Worker in.
            GivenUpError: The Worker is to end.
            HaltedError: The job is halted.
            OSError: The file cannot be written.
        """
        path = f"/api/artifact/{artifact.sha256}"

        def fetch() -> None:
            try:
                with self._http.stream("GET", path) as response:
                    _expect_success(response, "GET", path)
                    save(_watched(go_on, response.iter_bytes()), target, sha256=artifact.sha256, size=artifact.size)
            except (httpx.TransportError, httpx.DecodingError, ContentMismatchError) as error:
                log.warning("the content of an artifact did not come whole", error=type(error).__name__)
                raise _Passing from None

        self._again(fetch, patient=True)

    def status(self, job_execution_id: UUID) -> JobExecutionResponse:
        """How a job is doing, and whether it is to be stopped. It asks once.

        Args:
            job_execution_id: The job.

        Raises:
            RefusedError: The Backend does not know the job.
            DeniedError: The Backend does not let this Worker in.
            GivenUpError: There is no answer.
        """
        return self._ask("GET", f"/api/job/status/{job_execution_id}", JobExecutionResponse, patient=False)

    def _ask(self, method: str, path: str, answer: type[T], message: Any = None, *, patient: bool = True) -> T:
        content = None if message is None else converter.dumps(message)
        headers = {} if message is None else _JSON

        def ask() -> T:
            return _read(self._try(method, path, content, headers), answer)

        return self._again(ask, patient=patient)

    def _again(self, ask: Callable[[], T], *, patient: bool) -> T:
        """Ask until there is an answer, with growing pauses."""
        retrying = Retrying(
            retry=retry_if_exception_type(_Passing),
            wait=wait_exponential(multiplier=0.1, max=self._longest_pause) + wait_random(0, 0.1),
            sleep=sleep_using_event(self._ending),
            stop=stop_when_event_set(self._ending) if patient else stop_after_attempt(1),
        )
        try:
            return retrying(ask)
        except RetryError:
            raise GivenUpError("the Backend has not answered") from None

    def _try(
        self, method: str, path: str, content: bytes | Iterator[bytes] | None, headers: dict[str, str]
    ) -> httpx.Response:
        try:
            response = self._http.request(method, path, content=content, headers=headers)
        except (httpx.TransportError, httpx.DecodingError) as error:
            log.warning("the Backend does not answer", error=type(error).__name__)
            raise _Passing from None
        _expect_success(response, method, path)
        return response


def _watched(go_on: Callable[[], None], chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        go_on()
        yield chunk


def _expect_success(response: httpx.Response, method: str, path: str) -> None:
    if response.is_success:
        return
    if response.is_server_error or response.status_code in _PASSING:
        log.warning("the Backend cannot answer", status=response.status_code)
        raise _Passing
    kind = DeniedError if response.status_code in _DENIED else RefusedError
    raise kind(f"the Backend answers {response.status_code} to {method} {path.partition('?')[0]}")


def _read(response: httpx.Response, type: type[T]) -> T:
    try:
        return converter.loads(response.content, type)
    except ContractError as error:
        # Somebody between here and the Backend answers in its place.
        log.warning("the answer is none of the Backend", problems=len(error.problems))
        raise _Passing from None
