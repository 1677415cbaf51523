"""A run of a pipeline: what follows from its jobs, and what moves it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cached_property
from operator import is_
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from attrs import Factory, evolve, frozen

from .._fields import checked, in_utc
from .._rules import Ordinal, Refusal
from ..enums import ExecutionStatus
from ..errors import ContractError, Problem, UnknownJobError
from .definition import Pipeline
from .explanation import Explanation, explain
from .parts import JobExecution, StageExecution
from .run import Run
from .span import between
from .update import UpdateOutcome, join

if TYPE_CHECKING:
    from ..api.request import JobStatusUpdate

__all__ = ["PipelineExecution"]


@frozen(kw_only=True)
@checked
class PipelineExecution:
    """A run of a pipeline. Its status and its times follow from its stages.

    It is a value: what moves it returns another one, which shares with it whatever did not change.

    Attributes:
        id: Its id; a new one by default.
        pipeline: The pipeline that runs.
        run_number: Its number among the runs of the pipeline, from 1.
        commit_hash: The commit it runs on, if it is known.
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
    commit_hash: str | None = None
    is_local: bool = False
    canceled_at: datetime | None = None
    stages: tuple[StageExecution, ...]

    def __attrs_post_init__(self) -> None:
        if problems := [*_mismatches(self), *_shared_ids(self)]:
            raise ContractError(type(self), problems)

    # --- what follows from the jobs -----------------------------------------------------------------------------

    @cached_property
    def _run(self) -> Run:
        """All that follows from the jobs; looked at once, then kept up with by what moves the execution."""
        return Run.of(self.pipeline._graph, self.stages, is_halted=self.canceled_at is not None)

    @cached_property
    def _origin(self) -> tuple[StageExecution, ...]:
        """The stages of the execution that this one came from by moving."""
        return self.stages

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # A moved execution makes its stages when they are first asked for.
            if name != "stages":
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            stages = _stages_of(_SLOTS["_run"].__get__(self), _SLOTS["_origin"].__get__(self))
            object.__setattr__(self, "stages", stages)
            return stages

    @property
    def status(self) -> ExecutionStatus:
        """How far it has come."""
        return self._run.whole.counts.status

    @property
    def start_time(self) -> datetime | None:
        """When its first job started; none if none did."""
        return self._run.whole.start

    @property
    def completion_time(self) -> datetime | None:
        """When its last job ended, or when it was canceled, if no job ever ran; none if it has not ended."""
        if not self.status.is_terminal:
            return None
        return self._run.whole.completion or self.canceled_at

    @property
    def duration(self) -> timedelta | None:
        """From its start to its completion; none if either is not known."""
        return between(self.start_time, self.completion_time)

    def job(self, job_execution_id: UUID) -> JobExecution:
        """One of its jobs.

        Args:
            job_execution_id: The id of the job's execution.

        Raises:
            UnknownJobError: It has no such job.
        """
        return self._run.jobs[self._place(job_execution_id)]

    def stage_execution_id(self, job_execution_id: UUID) -> UUID:
        """The id of the stage execution that one of its jobs is part of.

        Args:
            job_execution_id: The id of the job's execution.

        Raises:
            UnknownJobError: It has no such job.
        """
        return self._origin[self._run.graph.stage_of[self._place(job_execution_id)]].id

    def ready_jobs(self) -> tuple[JobExecution, ...]:
        """What may start now, in the order of definition.

        A job is ready when it is ``PENDING`` and was not handed out yet, every earlier stage is in ``SUCCESS``, every
        dependency counts as ``SUCCESS``, and the run is not halted: no job failed that is not allowed to, none was
        canceled, and canceling was not asked for.
        """
        run = self._run
        return tuple(run.jobs[place] for place in run.ready())

    def explain(self) -> Explanation:
        """Why it is in its status: the rule that decided, and the jobs that this rests on."""
        return explain(self)

    # --- what moves it ------------------------------------------------------------------------------------------

    def apply(self, update: JobStatusUpdate) -> tuple[PipelineExecution, UpdateOutcome]:
        """Join what an update tells with what is known.

        When a job fails that is not allowed to, or is canceled, every job that was not handed out becomes ``CANCELED``.

        Args:
            update: An update, in any order with others, and any number of times.

        Returns:
            The execution after it, and what became of the update. If nothing changed, it is this execution.

        Raises:
            UnknownJobError: The update is about a job that is not in this execution.
        """
        place = self._place(update.job_execution_id)
        known = self._run.jobs[place]
        job, outcome = join(known, update)
        return (self if job is known else self._moved(self._run.with_job(place, job))), outcome

    def hand_out(self, at: datetime) -> tuple[PipelineExecution, tuple[JobExecution, ...]]:
        """Hand all that is ready to Workers.

        Args:
            at: The time, with an offset.

        Returns:
            The execution after it, and the jobs, with their ``queued_at``, in the order of definition.

        Raises:
            ContractError: The time has no offset.
        """
        places = tuple(self._run.ready())
        if not places:
            return self, ()
        moved = self._moved(self._run.handed_out(_utc(at)))
        return moved, tuple(moved._run.jobs[place] for place in places)

    def cancel(self, at: datetime) -> tuple[PipelineExecution, tuple[JobExecution, ...]]:
        """Cancel what was not handed out. Asked again, or too late, it changes nothing.

        Jobs that were handed out are never canceled behind their Worker's back: it is to be told to stop, and reports
        how they ended.

        Args:
            at: The time, with an offset.

        Returns:
            The execution after it, and the jobs of which the Workers are to be told to stop.

        Raises:
            ContractError: The time has no offset.
        """
        if self.status.is_terminal:
            return self, ()
        moved = self
        if self.canceled_at is None:
            moved = self._moved(self._run.halted(), canceled_at=_utc(at))
        return moved, tuple(job for job in moved._run.jobs if not job.status.is_terminal)

    def _place(self, job_execution_id: UUID) -> int:
        place = self._run.places.get(job_execution_id)
        if place is None:
            message = (
                f"expected a job of the pipeline execution {self.id}, which has no job execution {job_execution_id}"
            )
            raise UnknownJobError(type(self), [Problem("/job_execution_id", "value", message)])
        return place

    def _moved(self, run: Run, **changes: Any) -> PipelineExecution:
        """This execution with other jobs. What is known to be right is not checked again, and its stages not made."""
        moved = object.__new__(PipelineExecution)
        for name in ("id", "pipeline", "run_number", "commit_hash", "is_local", "canceled_at", "_origin"):
            object.__setattr__(moved, name, changes.get(name, getattr(self, name)))
        object.__setattr__(moved, "_run", run)
        return moved


_SLOTS = vars(PipelineExecution)


def _utc(at: datetime) -> datetime:
    try:
        return in_utc(at)
    except Refusal as refusal:
        raise ContractError(PipelineExecution, [refusal.problem("at")]) from None


def _stages_of(run: Run, origin: tuple[StageExecution, ...]) -> tuple[StageExecution, ...]:
    """Stages with the jobs of a run; those of which no job changed are the stages of the origin."""
    jobs = tuple(run.jobs)
    stages = []
    for stage, start, end in zip(origin, run.graph.starts, run.graph.starts[1:], strict=False):
        now = jobs[start:end]
        is_same = all(map(is_, now, stage.jobs))
        stages.append(stage if is_same else evolve(stage, jobs=now))
    return tuple(stages)


def _mismatches(execution: PipelineExecution) -> Iterable[Problem]:
    """Where the stages of a run are not those of its pipeline."""
    stages, runs = execution.pipeline.stages, execution.stages
    if len(stages) != len(runs):
        yield Problem("/stages", "value", "expected the stages of the pipeline, one for one")
        return
    for at, (stage, run) in enumerate(zip(stages, runs, strict=True)):
        if stage.name != run.name:
            yield Problem(f"/stages/{at}/name", "value", f"expected the name of the pipeline's stage, {stage.name}")
        jobs = [execution.job for execution in run.jobs]
        if len(jobs) != len(stage.jobs) or any(a is not b and a != b for a, b in zip(stage.jobs, jobs, strict=True)):
            yield Problem(f"/stages/{at}/jobs", "value", f"expected the jobs of the pipeline's stage {stage.name}")


def _shared_ids(execution: PipelineExecution) -> Iterable[Problem]:
    stages: set[UUID] = set()
    jobs: set[UUID] = set()
    for at, stage in enumerate(execution.stages):
        if stage.id in stages:
            yield Problem(f"/stages/{at}/id", "value", "expected an id of its own, found that of another stage")
        stages.add(stage.id)
        for place, job in enumerate(stage.jobs):
            if job.id in jobs:
                message = "expected an id of its own, found that of another job execution"
                yield Problem(f"/stages/{at}/jobs/{place}/id", "value", message)
            jobs.add(job.id)
