"""The requests of a Worker to the Backend."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event
from uuid import UUID

from attrs import evolve
from tenacity import RetryCallState, Retrying, retry_if_exception_type, sleep_using_event, stop_when_event_set
from tenacity.wait import wait_exponential, wait_random

from cicd_common import converter
from cicd_common.api.request import Artifact, ArtifactUploadRequest, ExecutionLogUpload, JobStatusUpdate
from cicd_common.api.response import JobExecutionResponse
from cicd_common.logging import get_logger

from ..connection import BackendError, Connection, NoAnswerError, RefusedError, watched

__all__ = ["BackendClient"]

log = get_logger(__name__)

_CHUNK = 1024 * 1024


class BackendClient(Connection):
    """Sends the requests of a Worker, and repeats them with growing pauses until there is an answer.

    Args:
        ending: When it is set, requests are not repeated.
        longest_pause: The most seconds between two tries.
    """

    def __init__(self, url: str, token: str | None, *, ending: Event, longest_pause: float = 5) -> None:
        retrying = Retrying(
            retry=retry_if_exception_type(NoAnswerError),
            wait=wait_exponential(multiplier=0.1, max=longest_pause) + wait_random(0, 0.1),
            sleep=sleep_using_event(ending),
            stop=stop_when_event_set(ending),
            before_sleep=_log_failure,
            reraise=True,
        )
        super().__init__(url, token, retrying)

    def set_clock(self) -> None:
        """Learn the Backend's time, once. Until the Backend answers, the time of this machine is used."""
        if self.ahead is None:
            with suppress(BackendError):
                self.send("GET", "/health")

    def report(self, update: JobStatusUpdate, *, patient: bool = True) -> JobExecutionResponse:
        """Report the status of a job with a time of this machine. If `patient`, repeat it until there is an answer."""
        update = evolve(update, occurred_at=self.backend_time(update.occurred_at))
        return self.ask("POST", "/api/job/status", JobExecutionResponse, update, is_repeated=patient)

    def status(self, job_execution_id: UUID) -> JobExecutionResponse:
        """The status of a job, and whether it has to stop. The request is sent once."""
        return self.ask("GET", f"/api/job/status/{job_execution_id}", JobExecutionResponse, is_repeated=False)

    def upload(self, request: ArtifactUploadRequest) -> None:
        """Send the list of the artifacts of a job."""
        self.ask("POST", "/api/job/artifact/upload", JobExecutionResponse, request)

    def add_logs(self, upload: ExecutionLogUpload) -> None:
        """Send logs of executions, with times of this machine. The request is sent once."""
        logs = tuple(evolve(each, timestamp=self.backend_time(each.timestamp)) for each in upload.logs)
        self.send("POST", "/api/execution/logs", converter.dumps(evolve(upload, logs=logs)))

    def put(self, artifact: Artifact, file: Path, go_on: Callable[[], None]) -> None:
        """Store the content of an artifact, read in chunks.

        Raises:
            RefusedError: The Backend refuses it: it is no longer what was described, or is too large.
            OSError: The file cannot be read.
        """
        if file.stat().st_size != artifact.size:
            raise RefusedError("the file is no longer what was described")
        self._retrying(self._put, artifact, file, go_on)

    def _put(self, artifact: Artifact, file: Path, go_on: Callable[[], None]) -> None:
        headers = {"Content-Length": str(artifact.size)}
        with open(file, "rb", opener=_open_at_once) as content:
            chunks = watched(go_on, iter(lambda: content.read(_CHUNK), b""))
            with self.stream("PUT", f"/api/artifact/{artifact.sha256}", content=chunks, headers=headers) as response:
                response.read()


def _open_at_once(path: str, flags: int) -> int:
    """Open a file. A process that the job has left may have put a pipe in its place, which would wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _log_failure(state: RetryCallState) -> None:
    if state.outcome is not None:
        log.warning("a request is sent again", reason=str(state.outcome.exception()))
