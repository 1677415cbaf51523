"""Strategies for executions under way, for the updates of their Workers, and for the order of delivery."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from attrs import frozen
from hypothesis import strategies as st

from ...api.request import JobStatusUpdate
from ...enums import EndReason, ExecutionStatus
from ...model import JobExecution, Pipeline, PipelineExecution
from ...model.status import counted_status, is_halting
from .leaves import integers, uuids
from .types import pipelines

__all__ = ["History", "deliveries", "executions", "histories", "job_histories"]

_DAY = datetime(2026, 1, 31, tzinfo=UTC)
_SOME_JOB = UUID(int=1)
_ENDS = [status for status in ExecutionStatus if status.is_terminal]


@st.composite
def job_histories(draw: st.DrawFn, job_execution_id: UUID = _SOME_JOB) -> list[JobStatusUpdate]:
    """Draw the true history of an attempt: one Worker, sequences rising by one, statuses never going back, one end.

    Args:
        draw: Given by hypothesis.
        job_execution_id: The execution of the job.
    """
    return _updates_until(draw, job_execution_id, draw(st.sampled_from(_ENDS)))


def _updates_until(draw: st.DrawFn, job_execution_id: UUID, end: ExecutionStatus) -> list[JobStatusUpdate]:
    pending, running = draw(st.integers(0, 1)), draw(st.integers(0, 3))
    statuses = [ExecutionStatus.PENDING] * pending + [ExecutionStatus.RUNNING] * running + [end]
    seconds = draw(st.lists(st.integers(0, 86_399), min_size=len(statuses), max_size=len(statuses)))
    return [
        JobStatusUpdate(
            job_execution_id=job_execution_id,
            sequence=sequence,
            status=status,
            # Clocks may be set back, so times need not be in the order of the sequences.
            occurred_at=_DAY + timedelta(seconds=second),
            logs=draw(st.text(max_size=3)),
            exit_code=draw(st.integers(0, 255)) if status.is_terminal else None,
            reason=draw(st.none() | st.sampled_from(EndReason)) if status.is_terminal else None,
            worker="worker",
        )
        for sequence, (status, second) in enumerate(zip(statuses, seconds, strict=True), 1)
    ]


@frozen
class History:
    """The updates of a run's Workers, from its start to its end.

    Attributes:
        execution: The run before its first jobs are handed out.
        rounds: For each round the updates of its jobs, which are under way together, in the order in which they
            happened. The jobs of a round are handed out once all updates of the rounds before it were applied.
    """

    execution: PipelineExecution
    rounds: tuple[tuple[JobStatusUpdate, ...], ...]

    @property
    def updates(self) -> tuple[JobStatusUpdate, ...]:
        """All updates, in the order in which they happened."""
        return tuple(update for updates in self.rounds for update in updates)


@st.composite
def histories(draw: st.DrawFn, pipeline: Pipeline) -> History:
    """Draw true histories of all jobs of a run.

    Either all jobs of a round halt the run or none does, so any order of delivery leads to the same run.

    Args:
        draw: Given by hypothesis.
        pipeline: The pipeline that runs.
    """
    start = execution = PipelineExecution.of(pipeline, run_number=1, id=draw(uuids()))
    rounds = []
    while not execution.status.is_terminal:
        execution, jobs = execution.hand_out(_DAY)
        halts = draw(st.integers(0, 4)) == 4
        updates = [_updates_until(draw, job.id, draw(st.sampled_from(_ends_of(job, halts)))) for job in jobs]
        rounds.append(tuple(_interleaved(draw, updates)))
        for update in rounds[-1]:
            execution, _ = execution.apply(update)
    return History(execution=start, rounds=tuple(rounds))


def _ends_of(job: JobExecution, halts: bool) -> list[ExecutionStatus]:
    return [end for end in _ENDS if is_halting(counted_status(end, job.job.allow_failure)) is halts]


def _interleaved(draw: st.DrawFn, histories: list[list[JobStatusUpdate]]) -> list[JobStatusUpdate]:
    """Mix the updates of several jobs, and keep the order of each job's updates."""
    order = draw(st.permutations([at for at, updates in enumerate(histories) for _ in updates]))
    left = [iter(updates) for updates in histories]
    return [next(left[at]) for at in order]


@st.composite
def deliveries(draw: st.DrawFn, history: History) -> tuple[JobStatusUpdate, ...]:
    """Draw how a network delivers a history: it repeats, delays and reorders updates, and loses none.

    Args:
        draw: Given by hypothesis.
        history: The history.

    Returns:
        The updates in the order in which they arrive. Those of a round come before those of the next, whose jobs are
        handed out because of them; repeats come at any time.
    """
    arrived: list[JobStatusUpdate] = []
    for updates in history.rounds:
        repeats = draw(st.lists(st.sampled_from([*arrived, *updates]), max_size=3))
        arrived += draw(st.permutations([*updates, *repeats]))
    return tuple(arrived)


@st.composite
def executions(draw: st.DrawFn, of: st.SearchStrategy[Pipeline] | None = None) -> PipelineExecution:
    """Draw executions in a state that they reach by the rules.

    Args:
        draw: Given by hypothesis.
        of: The strategy for their pipelines; any pipelines by default.
    """
    pipeline = draw(pipelines() if of is None else of)
    execution = PipelineExecution.of(pipeline, run_number=draw(integers(1, 2**31)), id=draw(uuids()))
    for step in range(draw(st.integers(0, 8))):
        execution, jobs = execution.hand_out(_DAY + timedelta(hours=step))
        for job in jobs:
            history = draw(job_histories(job.id))
            for update in history[: draw(st.integers(0, len(history)))]:
                execution, _ = execution.apply(update)
        if draw(st.integers(0, 9)) == 9:
            execution, _ = execution.cancel(_DAY)
    return execution
