"""Move executions in the database, by the rules of the model.

Whoever moves a run first locks the row of its pipeline execution. So there is one at a time for each run, and no two
wait for each other. Where the database can lock, compare and write in one statement, an update is joined with what was
seen without a lock, and written if that is still so: of a job seldom two report at once.
"""

from __future__ import annotations

from datetime import datetime

from attrs import frozen
from sqlalchemy import Connection

from ..api.request import JobExecutionRequest, JobStatusUpdate
from ..enums import ExecutionStatus
from ..model import UpdateOutcome
from .batch import can_put_unlocked, put_all, put_all_unlocked
from .engine import Database
from .halting import halt
from .handing_out import hand_out, release
from .outputs import chunk_of, is_stored
from .state import State, Step, lock, see
from .tables import logs

__all__ = ["Applied", "apply"]


@frozen(kw_only=True)
class Applied:
    """What became of an update.

    Attributes:
        outcome: What became of it.
        status: How the job stands with it.
        stop: Whether the job's Worker is to be told to stop: its run was canceled, and the job is not at its end.
        clashes: Whether another text was stored for its sequence before, so that someone else reports on the job too.
        jobs: The jobs that became ready by it, handed out: each is for one Worker, and is never handed out again.
    """

    outcome: UpdateOutcome
    status: ExecutionStatus
    stop: bool
    clashes: bool
    jobs: tuple[JobExecutionRequest, ...] = ()


def apply(database: Database, update: JobStatusUpdate, at: datetime) -> Applied:
    """Join an update with what is known, and do what follows from it.

    Args:
        database: The database.
        update: The update.
        at: When the jobs that become ready are handed out.

    Raises:
        UnknownJobExecutionError: There is no such job.
    """
    if can_put_unlocked(database.dialect) and (applied := _apply_to_seen(database, update, at)):
        return applied
    with database.write() as connection:
        step = Step.of(lock(connection, update.job_execution_id), update)
        applied = _take(connection, step, update, at)
    assert applied is not None  # What is locked stays as it was read.
    return applied


def _apply_to_seen(database: Database, update: JobStatusUpdate, at: datetime) -> Applied | None:
    """Do it without a lock; nothing is done if somebody else changes the same at the same time."""
    with database.look() as connection:
        step = Step.of(see(connection, update.job_execution_id), update)
        if not step.is_followed:
            return _take(connection, step, update, at)
    with database.write() as connection:
        return _take(connection, step, update, at)


def _take(connection: Connection, step: Step, update: JobStatusUpdate, at: datetime) -> Applied | None:
    """Write a step and do what follows; nothing is done if what was seen is not so any more."""
    grounds, changes, chunk = step.grounds, step.changes(), chunk_of(update)
    if grounds:
        is_new = put_all_unlocked(connection, grounds, changes, logs, chunk)
    else:
        is_new = put_all(connection, changes, logs, chunk)
    if is_new is None:
        return None
    now = step.now
    return Applied(
        outcome=step.outcome,
        status=now.job.status,
        stop=now.canceled_at is not None and not now.job.status.is_terminal,
        clashes=not (is_new or is_stored(connection, update)),
        jobs=_follow(connection, now, at) if step.is_followed else (),
    )


def _follow(connection: Connection, now: State, at: datetime) -> tuple[JobExecutionRequest, ...]:
    """Do what follows from a job's end: hand out what waited for it, or cancel what is not to run any more."""
    if now.counted is not ExecutionStatus.SUCCESS:
        halt(connection, now.run_id, now.run, now.canceled_at)
        return ()
    if now.is_needed:
        release(connection, now.run_id, now.job.job_id)
    return hand_out(connection, now.run_id, at)
