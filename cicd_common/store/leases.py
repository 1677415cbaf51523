"""Hand out the jobs of silent Workers again, and end jobs that were lost too often."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from attrs import frozen
from sqlalchemy import Connection, bindparam, case, or_, select

from ..api.request import JobExecutionRequest
from ..api.response import JobExecutionResponse
from ..model.job_execution import is_waiting, lost
from ..model.status import is_halting, shifted
from .columns import Time
from .dispatch import StoreRules, hand_out, requests, send
from .rows import insert_for
from .states import JobRow, RunStates
from .tables import IS_CLAIMED, IS_UNCLAIMED, job_executions, pipeline_executions, watch

__all__ = ["TakenOver", "take_over"]

_LIMIT = 1000
"""How many jobs one call takes over."""


@frozen(kw_only=True)
class TakenOver:
    """The jobs that were taken over.

    Attributes:
        jobs: The requests to send: of lost jobs, with their next attempt; of jobs that no Worker claimed; and of jobs
            that became ready because another job ended.
        ended: The status of each job that was ended, since it was lost too often or its run was canceled.
    """

    jobs: tuple[JobExecutionRequest, ...]
    ended: tuple[JobExecutionResponse, ...]


@cache
def _note_call(dialect: str) -> Any:
    at, lease_end, last_call = (bindparam(name, type_=Time) for name in ("at", "lease_end", "last_call"))
    first = insert_for(dialect, watch).values(id=1, asked_at=at, since=at)
    return first.on_conflict_do_update(
        index_elements=[watch.c.id],
        set_={
            "asked_at": case((watch.c.asked_at.between(at, lease_end), watch.c.asked_at), else_=at),
            "since": case((watch.c.asked_at.between(last_call, lease_end), watch.c.since), else_=at),
        },
    ).returning(watch.c.since)


_DUE = (
    select(job_executions.c.id)
    .join(pipeline_executions, job_executions.c.pipeline_execution_id == pipeline_executions.c.id)
    .limit(_LIMIT)
)
_LOST = _DUE.where(IS_CLAIMED, job_executions.c.heard_at <= bindparam("lease_start"))
_UNCLAIMED = _DUE.where(
    IS_UNCLAIMED,
    job_executions.c.send_at <= bindparam("at"),
    or_(pipeline_executions.c.canceled_at.is_(None), bindparam("ends_leases")),
).order_by(job_executions.c.send_at)


def take_over(connection: Connection, at: datetime, rules: StoreRules) -> TakenOver:
    """Take over the jobs whose Workers were silent for a lease.

    This is to be called every few seconds. After a break of more than a third of a lease every lease starts anew, since
    no update may have been received in the break. The same holds if the time lies more than a lease before that of an
    earlier call: the clock of that call was wrong, and breaks would go unnoticed until that time.

    Args:
        connection: A connection in a transaction that writes.
        at: The time.
        rules: The store's rules.
    """
    # If two processes call at once, the second waits here for the first, and finds no job left.
    times = {"at": at, "last_call": shifted(at, -rules.lease / 3), "lease_end": shifted(at, rules.lease)}
    since = connection.execute(_note_call(connection.dialect.name), times).scalar_one()
    lease_start = shifted(at, -rules.lease)
    ends_leases = since <= lease_start
    ids = list(connection.execute(_UNCLAIMED, {"at": at, "ends_leases": ends_leases}).scalars())
    if ends_leases:
        ids += connection.execute(_LOST, {"lease_start": lease_start}).scalars()
    return _take_over(connection, ids, at, rules) if ids else TakenOver(jobs=(), ended=())


def _take_over(connection: Connection, ids: list[UUID], at: datetime, rules: StoreRules) -> TakenOver:
    states = RunStates(connection, at if rules.has_outbox else None)
    states.load_jobs(ids)
    ended: list[JobRow] = []
    sent: list[UUID] = []
    succeeded: list[JobRow] = []
    for job in [states.jobs[each] for each in ids if each in states.jobs]:
        if not _is_due(job, at, rules):
            continue  # It was updated or skipped before its run was locked.
        if job.state.worker is not None:
            job.losses += 1
            job.sendings = 0
        is_canceled = job.stage.run.canceled_at is not None
        states.move(job, lost(job.state, at, losses=job.losses, is_canceled=is_canceled, max_losses=rules.max_losses))
        states.touch(job)
        if not job.state.status.is_terminal:
            send(job, at, rules)
            sent.append(job.id)
            continue
        ended.append(job)
        if is_halting(job.counted):
            states.skip_waiting(job.stage.run)
        else:
            succeeded.append(job)
    states.write()
    ready = hand_out(connection, states, succeeded, at, rules)
    return TakenOver(
        jobs=(*requests(connection, sent, rules), *ready),
        ended=tuple(JobExecutionResponse(job_execution_id=job.id, status=job.state.status) for job in ended),
    )


def _is_due(job: JobRow, at: datetime, rules: StoreRules) -> bool:
    if job.state.status.is_terminal or is_waiting(job.state):
        return False
    if job.state.worker is None:
        return job.send_at is not None and job.send_at <= at
    return job.heard_at is not None and job.heard_at <= shifted(at, -rules.lease)
