"""Apply many updates in one transaction, with the results of applying them one after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from attrs import evolve, frozen
from sqlalchemy import Connection

from ..api.request import JobExecutionRequest, JobStatusUpdate
from ..api.response import JobExecutionResponse
from ..enums import ExecutionStatus
from ..model.job_execution import JobState
from ..model.status import is_halting
from ..model.update import UpdateOutcome, join
from .dispatch import StoreRules, hand_out, requests, send
from .errors import UnknownJobExecutionError, unknown_job
from .logs import put_chunks
from .states import JobRow, RunStates

__all__ = ["Applied", "apply_all"]


@frozen(kw_only=True)
class Applied:
    """The result of an update.

    Attributes:
        outcome: The effect of the update.
        response: The response to the Worker: the job's status, whether the Worker is to stop the job, and whether the
            Worker has lost the job to another attempt.
        jobs: The requests of the jobs that became ready, or of the job itself if the update released it: each is for
            one Worker.
    """

    outcome: UpdateOutcome
    response: JobExecutionResponse
    jobs: tuple[JobExecutionRequest, ...] = ()


def apply_all(
    connection: Connection, updates: Sequence[JobStatusUpdate], at: datetime, rules: StoreRules
) -> tuple[Applied | UnknownJobExecutionError, ...]:
    """Apply updates one after the other, in one transaction.

    Args:
        connection: A connection in a transaction that writes.
        updates: The updates.
        at: When the updates came, and when the jobs that become ready are handed out.
        rules: The store's rules.

    Returns:
        The result of each update, or the error if its job does not exist.
    """
    batch = _Batch(connection, at, rules)
    batch.load(updates)
    for update in updates:
        batch.fold(update)
    batch.finish()
    return tuple(batch.results)


class _Batch:
    """Updates that are applied together: folded in memory, then written."""

    def __init__(self, connection: Connection, at: datetime, rules: StoreRules) -> None:
        self._connection = connection
        self._at = at
        self._rules = rules
        self._states = RunStates(connection, at if rules.has_outbox else None)
        self._chunks: dict[tuple[UUID, int], str] = {}
        self._succeeded: dict[JobRow, int] = {}  # With the index of the update.
        self._released: list[tuple[int, UUID, JobState]] = []  # With the index of the update.
        self._requests: defaultdict[int, list[JobExecutionRequest]] = defaultdict(list)  # By the index of the update.
        self.results: list[Applied | UnknownJobExecutionError] = []

    def load(self, updates: Sequence[JobStatusUpdate]) -> None:
        self._states.load_jobs(update.job_execution_id for update in updates)

    def fold(self, update: JobStatusUpdate) -> None:
        """Apply an update and its consequences in memory."""
        place = len(self.results)
        job = self._states.jobs.get(update.job_execution_id)
        if job is None:
            self.results.append(unknown_job(update.job_execution_id))
            return
        if job.state.queued_at is None:
            # It may have become ready before this update, which then cannot come from a Worker that was asked.
            self._hand_out()
        was, attempt = job.counted, job.state.attempt
        state, outcome = join(job.state, update)
        self._states.move(job, state)
        if outcome is not UpdateOutcome.SUPERSEDED:
            self._chunks.setdefault((job.id, update.sequence), update.logs)
            if not state.status.is_terminal:
                self._states.hear(job, self._at)
        if state.attempt != attempt:
            job.sendings = 0
            send(job, self._at, self._rules)
            self._released.append((place, job.id, state))
        self._follow(place, job, was)
        self.results.append(Applied(outcome=outcome, response=self._response(job, outcome)))

    def _follow(self, place: int, job: JobRow, was: ExecutionStatus) -> None:
        """If the job's counted status changed, note that dependents may be ready, or halt the run."""
        if job.counted is was:
            return
        if job.counted is ExecutionStatus.SUCCESS:
            self._succeeded[job] = place
        elif is_halting(job.counted):
            # Hand out the jobs that became ready before this update, since the halt must not cancel them.
            self._hand_out()
            self._states.skip_waiting(job.stage.run)

    def _response(self, job: JobRow, outcome: UpdateOutcome) -> JobExecutionResponse:
        is_over = job.state.status.is_terminal
        return JobExecutionResponse(
            job_execution_id=job.id,
            status=job.state.status,
            is_cancel_requested=job.stage.run.canceled_at is not None and not is_over,
            is_superseded=outcome in (UpdateOutcome.SUPERSEDED, UpdateOutcome.CONFLICT),
        )

    def finish(self) -> None:
        """Hand out the jobs that became ready, write all changes, and add the requests to the results."""
        self._hand_out()
        self._states.write()
        put_chunks(self._connection, self._chunks)
        ids = {job_id for _, job_id, _ in self._released}
        found = {request.job_execution_id: request for request in requests(self._connection, ids, self._rules)}
        for place, job_id, state in self._released:
            # A later update of the batch may have changed the job: its request has the state of the release.
            request = evolve(found[job_id], attempt=state.attempt, last_sequence=state.last_sequence)
            self._requests[place].append(request)
        for place, jobs in self._requests.items():
            applied = self.results[place]
            assert isinstance(applied, Applied)
            self.results[place] = evolve(applied, jobs=tuple(jobs))

    def _hand_out(self) -> None:
        """Hand out the jobs that became ready, each by the last success of a dependency or of another stage."""
        of_jobs: dict[UUID, int] = {}
        of_stages: defaultdict[UUID, dict[UUID, int]] = defaultdict(dict)
        for job, place in self._succeeded.items():
            of_jobs[job.id] = of_stages[job.stage.run.id][job.stage.id] = place
        for request in hand_out(self._connection, self._states, self._succeeded, self._at, self._rules):
            places = [of_jobs[job] for job in request.inputs if job in of_jobs]
            stages = of_stages[request.pipeline_execution_id]
            places += [place for stage, place in stages.items() if stage != request.stage_execution_id]
            self._requests[max(places, default=max(stages.values()))].append(request)
        self._succeeded = {}
