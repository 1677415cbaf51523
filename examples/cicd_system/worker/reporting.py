"""The reports of an attempt to the Backend, with their numbers and with secrets masked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

from attrs import evolve, frozen

from cicd_common import ExecutionStatus
from cicd_common.api.request import Artifact, ArtifactUploadRequest, JobExecutionRequest, JobStatusUpdate
from cicd_common.api.response import ArtifactsResponse, JobExecutionResponse
from cicd_common.enums import EndReason
from cicd_common.logging.masking import process_masker

from .artifacts import left_out
from .backend_client import RefusedError
from .settings import Settings

__all__ = ["Backend", "End", "Reporter"]

_FILES = 1000  # Files in one request.


class Backend(Protocol):
    """The requests of an attempt to the Backend; see `BackendClient`."""

    def report(self, update: JobStatusUpdate, *, patient: bool = True) -> JobExecutionResponse:
        """Report the status of a job."""

    def put(self, artifact: Artifact, file: Path, go_on: Callable[[], None]) -> None:
        """Store the content of an artifact."""

    def upload(self, request: ArtifactUploadRequest) -> None:
        """Send the list of the artifacts of a job."""

    def artifacts(self, job_execution_id: UUID) -> ArtifactsResponse:
        """The artifacts of another job."""

    def fetch(self, artifact: Artifact, target: Path, go_on: Callable[[], None]) -> None:
        """Write the content of an artifact to a file."""

    def status(self, job_execution_id: UUID) -> JobExecutionResponse:
        """The status of a job, and whether it has to stop. The request is sent once."""


@frozen
class End:
    """How a job has ended.

    Attributes:
        status: Its last status.
        reason: Why it ended.
        exit_code: Its exit code; None if it never ran.
        output: The last part of its output.
        notes: Lines of the Worker for the job's log.
    """

    status: ExecutionStatus
    reason: EndReason
    exit_code: int | None = None
    output: str = ""
    notes: tuple[str, ...] = ()


class Reporter:
    """Reports one attempt at a job to the Backend, and masks secrets.

    The output of the job is masked before, as a stream, because a piece may end within a secret.

    Args:
        request: The job.
        backend: The Backend.
        settings: Those of the Worker.
    """

    def __init__(self, request: JobExecutionRequest, backend: Backend, settings: Settings) -> None:
        self._request = request
        self._backend = backend
        self._worker = process_masker.mask(settings.worker)
        self._sequence = request.last_sequence
        self._last: JobStatusUpdate | None = None  # The last update that was answered.
        self._is_in_line = False  # Whether the last line of the log is unfinished.

    def running(self, output: str = "", *notes: str, is_released: bool = False) -> JobExecutionResponse:
        """Report that the job runs. The first report claims it.

        Args:
            output: Its output, masked.
            *notes: Lines of the Worker for the job's log.
            is_released: Whether the job is given back.

        Raises:
            RefusedError: The Backend refuses it.
            DeniedError: The Backend does not let this Worker in.
            GivenUpError: The Worker is to end.
        """
        return self._send(ExecutionStatus.RUNNING, output, notes, is_released=is_released)

    def ended(self, end: End) -> JobExecutionResponse:
        """Report the end of the job.

        Args:
            end: How it has ended.

        Raises:
            RefusedError: The Backend refuses it.
            DeniedError: The Backend does not let this Worker in.
            GivenUpError: The Worker is to end.
        """
        return self._send(end.status, end.output, end.notes, exit_code=end.exit_code, reason=end.reason)

    def beat(self) -> JobExecutionResponse | None:
        """Renew the lease: send the last update again, without its output, which changes nothing.

        Raises:
            RefusedError: The Backend refuses it.
            DeniedError: The Backend does not let this Worker in.
            GivenUpError: There is no answer.
        """
        return None if self._last is None else self._backend.report(evolve(self._last, logs=""), patient=False)

    def look(self) -> JobExecutionResponse:
        """Ask whether the job has to stop.

        Raises:
            RefusedError: The Backend does not know the job.
            DeniedError: The Backend does not let this Worker in.
            GivenUpError: There is no answer.
        """
        return self._backend.status(self._request.job_execution_id)

    def left(self, artifacts: Iterable[Artifact], root: Path, go_on: Callable[[], None]) -> tuple[str, ...]:
        """Upload the artifacts of the job, except those whose names contain a secret. Contents are not masked.

        Args:
            artifacts: The files.
            root: Where they are.
            go_on: Called before each request and each chunk; it raises if the job is halted.

        Returns:
            Notes about the files that are left out or that the Backend does not accept.

        Raises:
            RefusedError: The Backend refuses it.
            DeniedError: The Backend does not let this Worker in.
            GivenUpError: The Worker is to end.
            HaltedError: The job is halted.
        """
        names = {artifact: process_masker.mask(artifact.path) for artifact in artifacts}
        secret = [name for artifact, name in names.items() if name != artifact.path]
        kept, lost = [], []
        for artifact in (artifact for artifact, name in names.items() if name == artifact.path):
            try:
                self._backend.put(artifact, root / artifact.path, go_on)
                kept.append(artifact)
            except (RefusedError, OSError):
                lost.append(artifact.path)
        for first in range(0, len(kept), _FILES):
            go_on()
            some = tuple(kept[first : first + _FILES])
            self._backend.upload(ArtifactUploadRequest(job_execution_id=self._request.job_execution_id, artifacts=some))
        return (*left_out("its name holds a secret", secret), *left_out("the Backend does not keep it", lost))

    def _send(
        self,
        status: ExecutionStatus,
        output: str,
        notes: Iterable[str],
        *,
        exit_code: int | None = None,
        reason: EndReason | None = None,
        is_released: bool = False,
    ) -> JobExecutionResponse:
        self._sequence += 1
        update = JobStatusUpdate(
            job_execution_id=self._request.job_execution_id,
            sequence=self._sequence,
            status=status,
            occurred_at=datetime.now(UTC),
            logs=self._text(output, notes),
            exit_code=exit_code,
            reason=reason,
            attempt=self._request.attempt,
            worker=self._worker,
            is_released=is_released,
        )
        answer = self._backend.report(update)
        self._last = update
        return answer

    def _text(self, output: str, notes: Iterable[str]) -> str:
        """The output, followed by the notes on separate lines."""
        lines = "".join(process_masker.mask(f"[cicd] {note}\n") for note in notes)
        self._is_in_line = not output.endswith("\n") if output else self._is_in_line
        line_end = "\n" if lines and self._is_in_line else ""
        self._is_in_line = self._is_in_line and not lines
        return output + line_end + lines
