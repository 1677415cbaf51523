"""A run of a pipeline: the state that follows from its jobs, and the operations that change it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Self, TypeVar
from uuid import UUID, uuid4, uuid5

from attrs import Factory, evolve, frozen

from ..api.request import JobStatusUpdate
from ..enums import ExecutionStatus
from ..errors import ContractError, Problem, UnknownJobError
from ..fields import Name, Ordinal, Refusal, Time, checked, in_utc
from ..values import MAX_BYTES, Environment
from .definition import Job, Pipeline, job_environment
from .explanation import Explanation, explain
from .job_execution import MAX_LOSSES, JobExecution, handed_out, is_ready, lost, skipped
from .status import StatusCounts, duration_between, earliest, is_halting, latest, open_stage
from .update import UpdateOutcome, join

__all__ = ["PipelineExecution", "StageExecution"]

T = TypeVar("T")
# The bytes of the longest character of UTF-8.
_MAX_CHARACTER = 4


@frozen(kw_only=True)
@checked
class StageExecution:
    """A run of a stage. Its status and its times follow from its jobs.

    Attributes:
        id: Its id; a new one by default.
        name: The name of the stage.
        jobs: Its jobs, in the order of their definition.

    Raises:
        ContractError: A field is refused.
    """

    id: UUID = Factory(uuid4)
    name: Name
    jobs: tuple[JobExecution, ...]

    @cached_property
    def counts(self) -> StatusCounts:
        """The number of its jobs that count as each status."""
        return StatusCounts.of(job.counted_status for job in self.jobs)

    @property
    def status(self) -> ExecutionStatus:
        """How far it has come."""
        return self.counts.status

    @property
    def start_time(self) -> datetime | None:
        """When its first job started; none if none did."""
        return earliest(*(job.start_time for job in self.jobs))

    @property
    def completion_time(self) -> datetime | None:
        """When its last job ended; none if it has not, or if no job ran."""
        return latest(*(job.completion_time for job in self.jobs)) if self.status.is_terminal else None

    @property
    def duration(self) -> timedelta | None:
        """From its start to its completion; none if either is not known, never negative."""
        return duration_between(self.start_time, self.completion_time)

    @cached_property
    def _places(self) -> dict[int, int]:
        """The place of each job by its id, as an integer, which hashes faster than a UUID."""
        return {job.id.int: place for place, job in enumerate(self.jobs)}

    @cached_property
    def _ids(self) -> frozenset[int]:
        return frozenset(self._places)

    @cached_property
    def _definitions(self) -> tuple[Job, ...]:
        return tuple([execution.job for execution in self.jobs])

    def _with_jobs(self, changes: Mapping[int, JobExecution]) -> Self:
        """Return this stage with the jobs at some places replaced. Cached values that stay the same are kept."""
        if not changes:
            return self
        jobs = list(self.jobs)
        counts = self.counts
        for place, job in changes.items():
            counts = counts.moved(jobs[place].counted_status, job.counted_status)
            jobs[place] = job
        moved = evolve(self, jobs=tuple(jobs))
        carried = {"counts": counts, "_places": self._places, "_ids": self._ids, "_definitions": self._definitions}
        for name, value in carried.items():
            object.__setattr__(moved, name, value)
        return moved


@frozen(kw_only=True)
@checked
class PipelineExecution:
    """A run of a pipeline. Its status and its times follow from its stages.

    It is immutable: an operation returns another execution, which shares the stages and jobs that did not change.

    Attributes:
        id: Its id; a new one by default.
        pipeline: The pipeline that runs.
        run_number: Its number among the runs of pipelines of this name, from 1.
        branch: The branch it runs on.
        commit_hash: The commit it runs on, if it is known.
        environment: Environment variables of the run, which overlay those of the pipeline and its jobs; empty by
            default.
        is_local: Whether it is for the caller's own machine; false by default.
        canceled_at: When canceling was asked for; none if it was not.
        stages: Its stages with their jobs: those of the pipeline, in the same order.

    Raises:
        ContractError: A field is refused; the stages are not those of the pipeline; or two job executions, or two
            stage executions, have one id.
    """

    id: UUID = Factory(uuid4)
    pipeline: Pipeline
    run_number: Ordinal
    branch: Name
    commit_hash: str | None = None
    environment: Environment = Environment()
    is_local: bool = False
    canceled_at: Time | None = None
    stages: tuple[StageExecution, ...]

    def __attrs_post_init__(self) -> None:
        if problems := [*_mismatches(self), *_shared_ids(self)]:
            raise ContractError(type(self), problems)

    @classmethod
    def of(
        cls,
        pipeline: Pipeline,
        *,
        run_number: int,
        branch: str | None = None,
        commit_hash: str | None = None,
        environment: Environment = Environment(),
        is_local: bool = False,
        id: UUID | None = None,
    ) -> Self:
        """Make a run of a pipeline in which no job has started.

        Args:
            pipeline: The pipeline.
            run_number: Its number among the runs of pipelines of this name, from 1.
            branch: The branch it runs on; that of the pipeline by default.
            commit_hash: The commit it runs on; by default that of the pipeline, if it runs on the pipeline's branch.
            environment: Environment variables of the run; empty by default.
            is_local: Whether it is for the caller's own machine.
            id: Its id; a new one by default. Those of its stages and jobs follow from it: name-based UUIDs (RFC 9562,
                version 5), of its id and their own names.

        Raises:
            ContractError: An argument is refused, or the environment of a job is too long together with those of the
                pipeline and the run, so that the job could not be handed out.
        """
        if problems := list(_long_environments(pipeline, environment)):
            raise ContractError(cls, problems)
        if commit_hash is None and branch in (None, pipeline.branch):
            commit_hash = pipeline.commit_hash
        run_id = uuid4() if id is None else id
        return cls(
            id=run_id,
            pipeline=pipeline,
            run_number=run_number,
            branch=pipeline.branch if branch is None else branch,
            commit_hash=commit_hash,
            environment=environment,
            is_local=is_local,
            stages=tuple(
                StageExecution(
                    id=uuid5(run_id, f"stage {stage.name}"),
                    name=stage.name,
                    jobs=tuple(JobExecution(id=uuid5(run_id, f"job {job.name}"), job=job) for job in stage.jobs),
                )
                for stage in pipeline.stages
            ),
        )

    # --- derived from the jobs -----------------------------------------------------------------------------------

    @property
    def status(self) -> ExecutionStatus:
        """How far it has come."""
        return StatusCounts.of(stage.status for stage in self.stages).status

    @property
    def start_time(self) -> datetime | None:
        """When its first job started; none if none did."""
        return earliest(*(stage.start_time for stage in self.stages))

    @property
    def completion_time(self) -> datetime | None:
        """When its last job ended, or when it was canceled, if no job ever ran; none if it has not ended."""
        if not self.status.is_terminal:
            return None
        return latest(*(stage.completion_time for stage in self.stages)) or self.canceled_at

    @property
    def duration(self) -> timedelta | None:
        """From its start to its completion; none if either is not known, never negative."""
        return duration_between(self.start_time, self.completion_time)

    @property
    def is_halted(self) -> bool:
        """Whether no more jobs start: canceling was asked for, or a job halted the run (see `is_halting`)."""
        is_canceled = self.canceled_at is not None
        return is_canceled or any(stage.counts.failed or stage.counts.canceled for stage in self.stages)

    def job(self, job_execution_id: UUID) -> JobExecution:
        """Return one of its jobs.

        Args:
            job_execution_id: The id of the job's execution.

        Raises:
            UnknownJobError: It has no job of this id.
        """
        at, place = self._find(job_execution_id)
        return self.stages[at].jobs[place]

    def stage_of(self, job_execution_id: UUID) -> StageExecution:
        """Return the stage that one of its jobs is part of.

        Args:
            job_execution_id: The id of the job's execution.

        Raises:
            UnknownJobError: It has no job of this id.
        """
        return self.stages[self._find(job_execution_id)[0]]

    def ready_jobs(self) -> tuple[JobExecution, ...]:
        """Return the jobs that may start now, in the order of definition.

        A job is ready when it is ``PENDING`` and was not handed out yet, every earlier stage is in ``SUCCESS``, every
        dependency counts as ``SUCCESS``, and the run is not halted: no job failed without being allowed to, none was
        canceled, and canceling was not asked for.
        """
        at = self._open_stage()
        return () if at is None else tuple(self.stages[at].jobs[place] for place in _ready_places(self.stages[at]))

    def explain(self) -> Explanation:
        """Explain its status: the rule that decided it, and the jobs that led to it."""
        return explain(self.status, [job for stage in self.stages for job in stage.jobs], self.canceled_at)

    def _open_stage(self) -> int | None:
        """Return the place of the first stage that is not in ``SUCCESS``; None if all are, or if the run is halted."""
        at = open_stage([stage.status for stage in self.stages])
        return None if self.is_halted or at == len(self.stages) else at

    def _find(self, job_execution_id: UUID) -> tuple[int, int]:
        """Return the place of a job's stage, and the place of the job in the stage."""
        for at, stage in enumerate(self.stages):
            place = stage._places.get(job_execution_id.int)
            if place is not None:
                return at, place
        message = f"expected a job of the pipeline execution {self.id}, which has no job execution {job_execution_id}"
        raise UnknownJobError(type(self), [Problem("/job_execution_id", "value", message)])

    # --- operations ----------------------------------------------------------------------------------------------

    def apply(self, update: JobStatusUpdate) -> tuple[Self, UpdateOutcome]:
        """Join an update with the state of its job.

        If the job is canceled, or fails without being allowed to, every job that was not handed out becomes
        ``CANCELED``.

        Args:
            update: An update, in any order with others, and any number of times.

        Returns:
            The execution after the update, and the outcome of the update. If nothing changed, it is this execution.

        Raises:
            UnknownJobError: The update is about a job that is not in this execution.
        """
        at, place = self._find(update.job_execution_id)
        job, outcome = join(self.stages[at].jobs[place], update)
        return self._with_job(at, place, job), outcome

    def hand_out(self, at: datetime) -> tuple[Self, tuple[JobExecution, ...]]:
        """Hand all jobs that are ready to Workers.

        Args:
            at: The time, with an offset.

        Returns:
            The execution after it, and the jobs, with their ``queued_at``, in the order of definition.

        Raises:
            ContractError: The time has no offset.
        """
        time = _utc(at)
        open_stage = self._open_stage()
        if open_stage is None:
            return self, ()
        stage = self.stages[open_stage]
        ready = _ready_places(stage)
        if not ready:
            return self, ()
        changes = {place: handed_out(stage.jobs[place], time) for place in ready}
        stages = _replaced(self.stages, open_stage, stage._with_jobs(changes))
        return evolve(self, stages=stages), tuple(changes.values())

    def cancel(self, at: datetime) -> tuple[Self, tuple[JobExecution, ...]]:
        """Cancel the jobs that were not handed out. A second call, or one after the end, changes nothing.

        Jobs that were handed out are not canceled here: their Worker is told to stop, and reports how they ended.

        Args:
            at: The time, with an offset.

        Returns:
            The execution after it, and the jobs whose Workers are to be told to stop.

        Raises:
            ContractError: The time has no offset.
        """
        time = _utc(at)
        if self.status.is_terminal:
            return self, ()
        moved = self
        if self.canceled_at is None:
            moved = evolve(self, canceled_at=time, stages=_without_waiting(self.stages))
        return moved, tuple(job for stage in moved.stages for job in stage.jobs if not job.status.is_terminal)

    def lose(
        self, job_execution_id: UUID, at: datetime, *, losses: int, max_losses: int = MAX_LOSSES
    ) -> tuple[Self, JobExecution]:
        """Move a job whose Worker was silent for a lease: hand it out again, or end it.

        A job that nobody claimed stays as it is, unless canceling was asked for: its request is sent again.

        Args:
            job_execution_id: The id of the job's execution. The job was handed out.
            at: The time, with an offset.
            losses: How often the job was lost, this time included, from 1.
            max_losses: How often it may be lost before it ends as ``FAILED``, from 1; 3 by default.

        Returns:
            The execution after it, and the job. If the job has ended, or was not handed out, nothing changes.

        Raises:
            UnknownJobError: It has no job of this id.
            ContractError: The time has no offset.
        """
        time = _utc(at)
        stage, place = self._find(job_execution_id)
        job = self.stages[stage].jobs[place]
        if not job.status.is_terminal and not job.is_waiting:
            is_canceled = self.canceled_at is not None
            job = lost(job, time, losses=losses, is_canceled=is_canceled, max_losses=max_losses)
        return self._with_job(stage, place, job), job

    def _with_job(self, at: int, place: int, job: JobExecution) -> Self:
        """Return this execution with one job replaced. If that job halts the run, all waiting jobs are canceled."""
        stage = self.stages[at]
        known = stage.jobs[place]
        if job is known:
            return self
        stages = _replaced(self.stages, at, stage._with_jobs({place: job}))
        if job.counted_status is not known.counted_status and is_halting(job.counted_status) and not self.is_halted:
            stages = _without_waiting(stages)
        return evolve(self, stages=stages)


def _replaced(items: tuple[T, ...], place: int, item: T) -> tuple[T, ...]:
    return (*items[:place], item, *items[place + 1 :])


def _without_waiting(stages: tuple[StageExecution, ...]) -> tuple[StageExecution, ...]:
    """Return the stages with every job canceled that was not handed out."""
    return tuple(
        stage._with_jobs({place: skipped(job) for place, job in enumerate(stage.jobs) if job.is_waiting})
        for stage in stages
    )


def _ready_places(stage: StageExecution) -> list[int]:
    """Return the places of the ready jobs of an open stage. Dependencies in earlier stages count as ``SUCCESS``."""
    counted = {job.job.name: job.counted_status for job in stage.jobs}
    return [
        place
        for place, job in enumerate(stage.jobs)
        if is_ready(job, (counted[name] for name in job.job.dependencies if name in counted))
    ]


def _utc(at: datetime) -> datetime:
    try:
        return in_utc(at)
    except Refusal as refusal:
        raise ContractError(PipelineExecution, [refusal.problem("at")]) from None


def _long_environments(pipeline: Pipeline, run: Environment) -> Iterator[Problem]:
    """Yield a problem for each job whose environment does not fit into the request that hands it out."""
    for at, stage in enumerate(pipeline.stages):
        for place, job in enumerate(stage.jobs):
            parts = pipeline.environment, job.environment, run
            if _MAX_CHARACTER * sum(len(part.text) for part in parts) <= MAX_BYTES:
                continue
            try:
                job_environment(*parts)
            except ContractError:
                message = (
                    f"expected at most {MAX_BYTES:,} bytes together with the variables of the pipeline and the run"
                )
                yield Problem(f"/pipeline/stages/{at}/jobs/{place}/environment", "value", message)


def _mismatches(execution: PipelineExecution) -> Iterator[Problem]:
    """Yield a problem for each stage of a run that differs from that of its pipeline."""
    stages, runs = execution.pipeline.stages, execution.stages
    if len(stages) != len(runs):
        yield Problem("/stages", "value", "expected the stages of the pipeline, one for one")
        return
    for at, (stage, run) in enumerate(zip(stages, runs, strict=True)):
        if stage.name != run.name:
            yield Problem(f"/stages/{at}/name", "value", f"expected the name of the pipeline's stage, {stage.name}")
        if stage.jobs != run._definitions:
            yield Problem(f"/stages/{at}/jobs", "value", f"expected the jobs of the pipeline's stage {stage.name}")


@lru_cache(maxsize=32)
def _are_disjoint(*sets: frozenset[int]) -> bool:
    """Tell whether no two sets share an item. Operations keep the sets of a run, so that the cache has the answer."""
    return len(frozenset().union(*sets)) == sum(map(len, sets))


def _shared_ids(execution: PipelineExecution) -> Iterator[Problem]:
    stages = execution.stages
    each_once = all(len(stage._ids) == len(stage.jobs) for stage in stages)
    if each_once and len({stage.id for stage in stages}) == len(stages) and _are_disjoint(*(s._ids for s in stages)):
        return
    seen_stages: set[UUID] = set()
    seen_jobs: set[UUID] = set()
    for at, stage in enumerate(stages):
        if stage.id in seen_stages:
            yield Problem(f"/stages/{at}/id", "value", "expected an id that no other stage has")
        seen_stages.add(stage.id)
        for place, job in enumerate(stage.jobs):
            if job.id in seen_jobs:
                message = "expected an id that no other job execution has"
                yield Problem(f"/stages/{at}/jobs/{place}/id", "value", message)
            seen_jobs.add(job.id)
