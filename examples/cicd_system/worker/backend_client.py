"""The client of a Worker for the Backend. It repeats requests until they are answered."""

from __future__ import annotations

import os
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
from ..endpoint import check_endpoint

__all__ = ["BackendClient", "DeniedError", "GivenUpError", "RefusedError"]

T = TypeVar("T")
_CHUNK = 1024 * 1024
_JSON = {"Content-Type": "application/json"}
log = get_logger(__name__)

# Statuses of a wrong token, and those after which a repeated request may succeed.
_DENIED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
# How a Backend's answer differs from that of another server, and from that to a wrong path.
_PROBLEM = b"urn:cicd-common:problem:"


class RefusedError(Exception):
    """The Backend refuses the request: it is wrong, or the job is unknown. A repeat would not help."""


class DeniedError(Exception):
    """The Backend refuses this Worker because its token is wrong, so every other job would fail, too."""


class GivenUpError(Exception):
    """There is no answer, and the Worker ends or does not repeat the request."""


class _Passing(Exception):
    """There was no answer, or an error after which a repeated request may succeed."""


class BackendClient:
    """Sends requests to the Backend, and repeats them with growing pauses until they are answered. It is thread-safe.

    Args:
        url: The URL of the Backend.
        token: The bearer token; None if the Backend needs none.
        ending: When it is set, requests are not repeated.
        timeout: The seconds to wait for one answer.
        longest_pause: The most seconds between two tries.

    Raises:
        ValueError: The URL is not an HTTP URL, or a header cannot contain the token.
    """

    def __init__(
        self, url: str, token: str | None, *, ending: Event, timeout: float = 10, longest_pause: float = 5
    ) -> None:
        check_endpoint(url, token)
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
        """Learn the Backend's time, once. Until the Backend answers, the time of this machine is used."""
        if self._clock.ahead is None:
            with suppress(httpx.HTTPError):
                self._http.get("/health")

    def report(self, update: JobStatusUpdate, *, patient: bool = True) -> JobExecutionResponse:
        """Report the status of a job, with the time converted to the Backend's clock.

        Args:
            update: The update, with a time of this machine.
            patient: Whether to repeat the request until there is an answer.

        Raises:
            RefusedError: The Backend refuses the request.
            DeniedError: The Backend refuses this Worker.
            GivenUpError: There is no answer.
        """
        update = evolve(update, occurred_at=self._clock.at(update.occurred_at))
        return self._ask("POST", "/api/job/status", JobExecutionResponse, update, patient=patient)

    def upload(self, request: ArtifactUploadRequest) -> None:
        """Send the list of the artifacts of a job.

        Args:
            request: The files.

        Raises:
            RefusedError: The Backend refuses the request.
            DeniedError: The Backend refuses this Worker.
            GivenUpError: The Worker ends.
        """
        self._ask("POST", "/api/job/artifact/upload", JobExecutionResponse, request)

    def add_logs(self, logs: ExecutionLogUpload) -> None:
        """Send logs of executions once, with times converted to the Backend's clock.

        Args:
            logs: The logs, with times of this machine.

        Raises:
            RefusedError: The Backend refuses the request.
            DeniedError: The Backend refuses this Worker.
            GivenUpError: There is no answer.
        """
        told = tuple(evolve(log, timestamp=self._clock.at(log.timestamp)) for log in logs.logs)
        content = converter.dumps(evolve(logs, logs=told))
        self._again(lambda: self._try("POST", "/api/execution/logs", content, _JSON), patient=False)

    def put(self, artifact: Artifact, file: Path, go_on: Callable[[], None]) -> None:
        """Store the content of an artifact, read in chunks.

        Args:
            artifact: The artifact.
            file: The file with its content.
            go_on: Called before each chunk; it raises if the job is halted.

        Raises:
            RefusedError: The Backend refuses it: it is no longer what was described, or is too large.
            DeniedError: The Backend refuses this Worker.
            GivenUpError: The Worker ends.
            HaltedError: The job is halted.
            OSError: The file cannot be read.
        """
        path = f"/api/artifact/{artifact.sha256}"
        if file.stat().st_size != artifact.size:
            raise RefusedError("the file is no longer what was described")

        def put() -> None:
            with open(file, "rb", opener=_open_at_once) as content:
                headers = {"Content-Length": str(artifact.size)}
                chunks = iter(lambda: content.read(_CHUNK), b"")
                self._try("PUT", path, _watched(go_on, chunks), headers)

        self._again(put, patient=True)

    def artifacts(self, job_execution_id: UUID) -> ArtifactsResponse:
        """The artifacts of a job.

        Args:
            job_execution_id: The job.

        Raises:
            RefusedError: The Backend does not know the job.
            DeniedError: The Backend refuses this Worker.
            GivenUpError: The Worker ends.
        """
        return self._ask("GET", f"/api/job/artifacts/{job_execution_id}", ArtifactsResponse)

    def fetch(self, artifact: Artifact, target: Path, go_on: Callable[[], None]) -> None:
        """Write the content of an artifact to a file, which appears when it is complete and verified.

        Args:
            artifact: The artifact.
            target: The file. Its directory must exist.
            go_on: Called before each chunk; it raises if the job is halted.

        Raises:
            RefusedError: The Backend does not have it.
            DeniedError: The Backend refuses this Worker.
            GivenUpError: The Worker ends.
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
        """The status of a job, and whether it has to stop. The request is sent once.

        Args:
            job_execution_id: The job.

        Raises:
            RefusedError: The Backend does not know the job.
            DeniedError: The Backend refuses this Worker.
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
        """Repeat a request with growing pauses until there is an answer."""
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


def _open_at_once(path: str, flags: int) -> int:
    """Open a file. A process that the job has left may have put a pipe in its place, which would wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


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
    if (response.is_redirect or response.status_code == HTTPStatus.NOT_FOUND) and _PROBLEM not in response.read():
        log.warning("what answers is no Backend", status=response.status_code)
        raise _Passing
    kind = DeniedError if response.status_code in _DENIED else RefusedError
    raise kind(f"the Backend answers {response.status_code} to {method} {path.partition('?')[0]}")


def _read(response: httpx.Response, type: type[T]) -> T:
    try:
        return converter.loads(response.content, type)
    except ContractError as error:
        # A proxy answers in place of the Backend.
        log.warning("the answer is none of the Backend", problems=len(error.problems))
        raise _Passing from None
