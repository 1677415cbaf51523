"""Send the events of runs to a receiver, and the trace of each run that ended to a collector.

A thread sends both from the outbox of the store, so no request waits for a receiver. Events are sent at least once and
in order for each run, even if the Backend is killed, and are sent again until the receiver accepts them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any, Self
from uuid import UUID

from cicd_common.api.request import ArtifactUploadRequest
from cicd_common.logging import execution_context, get_logger
from cicd_common.model import JobExecution, PipelineExecution
from cicd_common.store import ExecutionStore, RunChange, StoreError

from .traces import Traces

__all__ = ["Publisher", "SendChange", "sending_events"]

log = get_logger(__name__)

SendChange = Callable[[RunChange, Iterable[ArtifactUploadRequest]], None]
"""Sends a change of a run, and the artifacts of the jobs that ended. Raises an `OSError` if they were not accepted."""

_TIMEOUT = 5.0
# If a Backend is killed, the events of the run that it has claimed wait this long.
_CLAIM_SECONDS = 30
_REMEMBERED = 1000


@contextmanager
def sending_events(url: str | None, *, source: str, token: str | None = None) -> Iterator[SendChange | None]:
    """Connect to a receiver of CDEvents during a block.

    Args:
        url: The URL of the receiver; None if there is no receiver.
        source: The source of the events, as a URI reference. All Backends of a store use the same.
        token: The bearer token for the receiver; none by default.

    Yields:
        A function that sends a change; None if there is no receiver.

    Raises:
        ValueError: The URL is not one of ``http`` or ``https``.
        ImportError: The extra ``cdevents`` is not installed.
    """
    if url is None:
        yield None
        return
    from cicd_common.integrations.cdevents import EventSender, artifact_events, events  # It needs an extra.

    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    # The outbox tries again.
    sender = EventSender(url, headers=headers, attempts=1, timeout=_TIMEOUT)

    def send(change: RunChange, uploads: Iterable[ArtifactUploadRequest]) -> None:
        at = datetime.now(UTC)
        for event in events(change.before, change.after, source=source, at=at):
            sender.send(event)
        for upload in uploads:
            for event in artifact_events(upload, change.after, source=source, at=at):
                sender.send(event)

    try:
        yield send
    finally:
        sender.close()


class Publisher:
    """Sends the changes of runs from the outbox of a store.

    Within its context a thread runs, if there is a receiver or a collector.

    Args:
        store: The store. It has an outbox if there is a receiver or a collector.
        send: Sends a change to the receiver; None if there is none.
        traces: Records the traces of runs that ended; None if there is no collector.
        interval: The seconds between two looks at the outbox.
        max_attempts: After how many attempts a change is given up.
    """

    def __init__(
        self,
        store: ExecutionStore,
        *,
        send: SendChange | None = None,
        traces: Traces | None = None,
        interval: float = 1.0,
        max_attempts: int = 100,
    ) -> None:
        self._store = store
        self._send = send
        self._traces = traces
        self._interval = interval
        self._max_attempts = max_attempts
        self._recorded: deque[UUID] = deque(maxlen=_REMEMBERED)
        self._fails = False  # Whether the receiver did not accept the last change.
        self._told = ""  # The last error of the store that was logged.
        self._stop = Event()
        self._thread = Thread(target=self._run, name="publisher", daemon=True)

    def state(self) -> Mapping[str, Any]:
        """The number of runs whose events wait or were given up, and of spans that were given up."""
        state: dict[str, Any] = {}
        if self._send is not None:
            counts = self._store.outbox.counts()
            state["events"] = {"waiting": counts.waiting, "given_up": counts.given_up}
        if self._traces is not None:
            state["traces"] = {"given_up": self._traces.given_up()}
        return state

    def __enter__(self) -> Self:
        if self._send is not None or self._traces is not None:
            # The Backend may have been restarted because the receiver works again.
            if runs := self._store.outbox.retry():
                log.info("events that were given up are sent once more", runs=runs)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            # Do not wait for a receiver that hangs: unconfirmed changes are sent after the next start.
            self._thread.join(_TIMEOUT)

    def _run(self) -> None:
        while not self._stop.is_set():
            found = False
            try:
                found = self.look()
                self._told = ""
            except StoreError as error:
                self._tell(str(error))
            except Exception:
                log.exception("looking for changes of runs has failed")
            if not found:
                self._stop.wait(self._interval)

    def _tell(self, reason: str) -> None:
        """Log an error of the store, unless it is the same as before."""
        if reason != self._told:
            log.warning("the store does not tell which runs have changed", reason=reason)
        self._told = reason

    def look(self) -> bool:
        """Send the change that has waited for the longest time.

        Returns:
            Whether there was one.
        """
        changes = self._store.outbox.claim(limit=1, seconds=_CLAIM_SECONDS)
        for change in changes:
            self._record_trace(change)
            with execution_context(pipeline_execution_id=change.after.id):
                self._publish(change)
        return bool(changes)

    def _record_trace(self, change: RunChange) -> None:
        """Record the trace of a run that ended, once even if its events are sent several times."""
        run = change.after
        had_ended = change.before is not None and change.before.status.is_terminal
        if self._traces is None or had_ended or not run.status.is_terminal or run.id in self._recorded:
            return
        self._recorded.append(run.id)
        try:
            self._traces.record(run)
        except Exception:
            log.exception("the trace of a run could not be recorded")

    def _publish(self, change: RunChange) -> None:
        outbox = self._store.outbox
        try:
            # When the Backend shuts down, the claim fails at once, so that another Backend need not wait for its end.
            is_sent = not self._stop.is_set() and self._is_sent(change)
        except Exception:
            log.exception("the events of a run could not be made")
            is_sent = False
        if is_sent:
            outbox.confirm(change)
        elif not outbox.fail(change, max_attempts=self._max_attempts):
            log.error("the events of a run were given up", attempts=change.attempt)

    def _uploads(self, change: RunChange) -> Iterator[ArtifactUploadRequest]:
        """Yield the artifacts of the jobs that ended with a change. A Worker uploads them before it reports the end."""
        before = {} if change.before is None else {job.id: job.status for job in _jobs(change.before)}
        for job in _jobs(change.after):
            if job.status.is_terminal and not (job.id in before and before[job.id].is_terminal):
                path = None
                while files := self._store.artifacts(job.id, after=path):
                    path = files[-1].path
                    yield ArtifactUploadRequest(job_execution_id=job.id, artifacts=files)

    def _is_sent(self, change: RunChange) -> bool:
        try:
            if self._send is not None:
                self._send(change, self._uploads(change))
        except OSError as error:
            if not self._fails:
                log.warning("the receiver does not take events; they are sent later", reason=str(error))
            self._fails = True
            return False
        if self._fails:
            log.info("the receiver takes events again")
        self._fails = False
        return True


def _jobs(run: PipelineExecution) -> Iterator[JobExecution]:
    for stage in run.stages:
        yield from stage.jobs
