"""Cancel runs."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, bindparam, select, update

from ..api.response import JobExecutionResponse
from ..model.status import shifted
from .dispatch import StoreRules
from .errors import unknown_execution
from .states import RunStates
from .tables import IS_GOING, IS_UNCLAIMED, job_executions, jobs

__all__ = ["cancel"]

_OF_RUN = job_executions.c.pipeline_execution_id == bindparam("run_id")
_TO_STOP = (
    select(job_executions.c.id, job_executions.c.status)
    .join(jobs, job_executions.c.job_id == jobs.c.id)
    .where(_OF_RUN, IS_GOING)
    .order_by(jobs.c.place)
)
# A job that was handed out ends if no Worker claims it within a lease from now on.
_LOOK_AGAIN = (
    update(job_executions)
    .where(_OF_RUN, IS_UNCLAIMED, job_executions.c.send_at > bindparam("lease_end"))
    .values(send_at=bindparam("lease_end"))
)


def cancel(
    connection: Connection, execution_id: UUID, at: datetime, rules: StoreRules
) -> tuple[JobExecutionResponse, ...]:
    """Cancel the jobs of a run that were not handed out, unless the run has ended.

    Args:
        connection: A connection in a transaction that writes.
        execution_id: The pipeline execution.
        at: The time.
        rules: The store's rules.

    Returns:
        The jobs whose Workers must stop, in the order of definition.

    Raises:
        UnknownExecutionError: There is no execution of this id.
    """
    states = RunStates(connection, at if rules.has_outbox else None)
    run = states.load_run(execution_id)
    if run is None:
        raise unknown_execution(execution_id)
    if run.span.counts.status.is_terminal:
        return ()
    if run.canceled_at is None:
        states.cancel(run, at)
        states.skip_waiting(run)
        states.write()
        connection.execute(_LOOK_AGAIN, {"run_id": execution_id, "lease_end": shifted(at, rules.lease)})
    return tuple(
        JobExecutionResponse(job_execution_id=row.id, status=row.status, is_cancel_requested=True)
        for row in connection.execute(_TO_STOP, {"run_id": execution_id})
    )
