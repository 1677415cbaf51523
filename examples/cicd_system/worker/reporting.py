"""Report an attempt at a job to the Backend, and learn from the answers whether the job has to stop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event, Thread
from time import monotonic

from attrs import evolve, frozen

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobExecutionRequest, JobStatusUpdate
from cicd_common.api.response import JobExecutionResponse
from cicd_common.enums import EndReason
from cicd_common.logging import MaskingStream, get_logger, propagate_context

from ..connection import BackendError, DeniedError
from .backend_client import BackendClient

__all__ = ["POLL_INTERVAL", "End", "NotRunnableError", "Reporter", "masked"]

POLL_INTERVAL = 1.0
"""Seconds between two requests whether the job has to stop."""

log = get_logger(__name__)


class NotRunnableError(Exception):
    """The job cannot be run. The text says why, for the job's log."""


@frozen
class End:
    """How an attempt has ended.

    Attributes:
        status: The last status of the job; ``RUNNING`` if the job is given back.
        reason: Why the job ended; None if it is given back.
        exit_code: Its exit code; None if it never ran.
        output: The last part of its output, masked.
        notes: Lines of the Worker for the job's log.
    """

    status: ExecutionStatus
    reason: EndReason | None = None
    exit_code: int | None = None
    output: str = ""
    notes: tuple[str, ...] = ()


class Reporter:
    """Reports an attempt with numbered updates. After another attempt has got the job, nothing more is reported.

    The methods raise a `BackendError` if the Backend does not accept the report.

    Args:
        worker: The name with which the job is claimed.

    Attributes:
        is_canceled: Whether the Backend asks to stop the job.
        is_superseded: Whether another attempt has the job, or the job has ended.
        denial: The error of a heartbeat if the Backend refuses this Worker.
    """

    def __init__(self, request: JobExecutionRequest, client: BackendClient, worker: str) -> None:
        self.is_canceled = False
        self.is_superseded = False
        self.denial: DeniedError | None = None
        self._request = request
        self._client = client
        self._worker = masked(worker)
        self._sequence = request.last_sequence
        self._last: JobStatusUpdate | None = None  # The last update that was answered.
        self._is_in_line = False  # Whether the last line of the log is unfinished.

    def running(self, output: str = "", *notes: str) -> None:
        """Report that the job runs, with new output, which is masked. The first report claims the job."""
        self._send(End(ExecutionStatus.RUNNING, output=output, notes=notes))

    def ended(self, end: End) -> None:
        """Report the end of the job, or give the job back."""
        self._send(end, is_released=not end.status.is_terminal)

    @contextmanager
    def heartbeats(self) -> Iterator[None]:
        """Renew the lease in the block, and ask whether the job has to stop. The job must be claimed."""
        over = Event()
        thread = Thread(target=propagate_context(self._beat), args=(over,), name="heartbeats", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _beat(self, over: Event) -> None:
        interval = self._request.lease_seconds / 3
        beaten = monotonic()
        while not over.wait(min(POLL_INTERVAL, interval)):
            try:
                # A canceled job has one lease to stop, so that its run ends even if this Worker cannot stop it.
                if self._last is not None and not self.is_canceled and monotonic() - beaten >= interval:
                    beaten = monotonic()
                    # The last update without its output renews the lease and changes nothing else.
                    self._heed(self._client.report(evolve(self._last, logs=""), patient=False))
                else:
                    self._heed(self._client.status(self._request.job_execution_id))
            except DeniedError as error:
                self.denial = error
                return
            except BackendError as error:
                log.warning("the Backend does not say whether the job has to stop", reason=str(error))

    def _send(self, end: End, *, is_released: bool = False) -> None:
        if self.is_superseded:
            return
        self._sequence += 1
        has_ended = end.status.is_terminal
        update = JobStatusUpdate(
            job_execution_id=self._request.job_execution_id,
            sequence=self._sequence,
            status=end.status,
            occurred_at=datetime.now(UTC),
            logs=self._log_text(end.output, end.notes),
            exit_code=end.exit_code if has_ended else None,
            reason=end.reason,
            attempt=self._request.attempt,
            worker=self._worker,
            is_released=is_released,
        )
        self._heed(self._client.report(update), has_ended=has_ended)
        self._last = update

    def _heed(self, answer: JobExecutionResponse, *, has_ended: bool = False) -> None:
        if answer.is_cancel_requested:
            self.is_canceled = True
        if answer.is_superseded or (answer.status.is_terminal and not has_ended):
            self.is_superseded = True

    def _log_text(self, output: str, notes: Iterable[str]) -> str:
        """The output, followed by the notes on separate lines."""
        lines = "".join(masked(f"[cicd] {note}\n") for note in notes)
        self._is_in_line = not output.endswith("\n") if output else self._is_in_line
        line_end = "\n" if lines and self._is_in_line else ""
        self._is_in_line = self._is_in_line and not lines
        return output + line_end + lines


def masked(text: str) -> str:
    """A text with masks in place of the secrets."""
    parts: list[str] = []
    with MaskingStream[str](parts.append) as stream:
        stream.write(text)
    return "".join(parts)
