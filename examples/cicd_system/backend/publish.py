"""Send the events of runs to a receiver, and the trace of each run that ended to a collector.

Both are sent from the outbox of the store, so no request waits for a receiver. Events are sent at least once and in
order for each run, even if the Backend is killed, and are sent again until the receiver accepts them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cicd_common.api.request import ArtifactUploadRequest
from cicd_common.logging import execution_context, get_logger
from cicd_common.store import ExecutionStore, RunChange, StoreError

from .repeating import Outage
from .traces import Traces

__all__ = ["Publisher", "SendChange", "sending_events"]

log = get_logger(__name__)

SendChange = Callable[[RunChange, Iterable[ArtifactUploadRequest]], None]
"""Sends a change of a run, and the artifacts of the jobs that ended. Raises an `OSError` if they were not accepted."""

MAX_ATTEMPTS = 100
"""After how many attempts the events of a run are given up."""

_TIMEOUT = 5.0
# If a Backend is killed, the events of the run that it has claimed wait this long.
_CLAIM_SECONDS = 30
_REMEMBERED = 1000


@contextmanager
def sending_events(url: str | None, *, source: str, token: str | None = None) -> Iterator[SendChange | None]:
    """Connect to a receiver of CDEvents during a block; without a URL there is none.

    All Backends of a store use the same source, a URI reference.

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
    """Sends the changes of runs from the outbox of a store to a receiver and to a collector, if there are any.

    What was given up before is sent once more: the Backend may have been restarted because the receiver works again.
    """

    def __init__(self, store: ExecutionStore, send: SendChange | None, traces: Traces | None) -> None:
        self._store = store
        self._send = send
        self._traces = traces
        self._recorded: deque[UUID] = deque(maxlen=_REMEMBERED)
        self._receiver = Outage("the receiver of events")
        self._claimed: RunChange | None = None
        self._is_needed = send is not None or traces is not None
        if self._is_needed and (runs := store.outbox.retry()):
            log.info("events that were given up are sent once more", runs=runs)

    def close(self) -> None:
        """Give back a change that is still being sent, so that other Backends need not wait until its claim ends."""
        if self._claimed is not None:
            with suppress(StoreError):
                self._store.outbox.fail(self._claimed)

    def state(self) -> Mapping[str, Any]:
        """The number of runs whose events wait or were given up, and of spans that were given up."""
        state: dict[str, Any] = {}
        if self._send is not None:
            counts = self._store.outbox.counts()
            state["events"] = {"waiting": counts.waiting, "given_up": counts.given_up}
        if self._traces is not None:
            state["traces"] = {"given_up": self._traces.given_up()}
        return state

    def look(self) -> bool:
        """Send the change that has waited for the longest time; return whether there was one."""
        changes = self._store.outbox.claim(limit=1, seconds=_CLAIM_SECONDS) if self._is_needed else ()
        for change in changes:
            self._claimed = change
            self._publish(change)
            self._claimed = None
        return bool(changes)

    def _publish(self, change: RunChange) -> None:
        with execution_context(pipeline_execution_id=change.after.id):
            self._record_trace(change)
            if self._is_sent(change):
                self._store.outbox.confirm(change)
            elif not self._store.outbox.fail(change, max_attempts=MAX_ATTEMPTS):
                log.error("the events of a run were given up", attempts=change.attempt)

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

    def _is_sent(self, change: RunChange) -> bool:
        try:
            if self._send is not None:
                self._send(change, self._uploads(change))
        except OSError as error:
            self._receiver.begin(str(error))
        except Exception:
            log.exception("the events of a run could not be made")
        else:
            self._receiver.end()
            return True
        return False

    def _uploads(self, change: RunChange) -> Iterator[ArtifactUploadRequest]:
        """Yield the artifacts of the jobs that ended with a change. A Worker uploads them before it reports the end."""
        for job in (job for stage in change.after.stages for job in stage.jobs if job.status.is_terminal):
            if change.before is None or not change.before.job(job.id).status.is_terminal:
                path = None
                while files := self._store.artifacts(job.id, after=path):
                    path = files[-1].path
                    yield ArtifactUploadRequest(job_execution_id=job.id, artifacts=files)
