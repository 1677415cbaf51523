"""The outbox: the changed runs to deliver to other systems, at least once and in order for each run.

A transaction that changes a run notes the run and not the change: there is one row for each run. A claim of the row
gives the run as it was delivered last and as it is now; several changes may lie in between. A run has one claim at a
time. A claim expires, so that the run of a killed process is claimed again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID, uuid4

from attrs import frozen
from sqlalchemy import BindParameter, Connection, and_, bindparam, case, delete, func, select, update

from ..converter import converter
from ..mapping import ExecutionRecords, execution_from_records, execution_to_records
from ..model import PipelineExecution
from ..model.status import shifted
from .arguments import Arguments, expect, now
from .columns import is_one_of
from .engine import Database
from .executions import load_execution
from .rows import execute_all, insert_for
from .tables import outbox

__all__ = ["Outbox", "OutboxCounts", "RunChange", "note"]

_LONGEST_WAIT = 300
"""How many seconds a run waits at most after a failed delivery."""


@frozen(kw_only=True)
class RunChange:
    """A change of a run to deliver: the run as it was delivered last, and as it is now.

    Attributes:
        before: The run as it was delivered last; None if it never was.
        after: The run as it is now.
        attempt: How often the run was claimed since the last delivery, from 1.
        claim: The id of the claim.
        version: How often the run had changed when it was claimed.
    """

    before: PipelineExecution | None
    after: PipelineExecution
    attempt: int
    claim: UUID
    version: int


@frozen(kw_only=True)
class OutboxCounts:
    """The numbers of runs with changes to deliver.

    Attributes:
        waiting: The runs that are claimed or will be.
        given_up: The runs that failed too often. They are not claimed unless they change again.
    """

    waiting: int
    given_up: int


# --- notes -----------------------------------------------------------------------------------------------------


@cache
def _note(dialect: str) -> Any:
    statement = insert_for(dialect, outbox)
    return statement.on_conflict_do_update(
        index_elements=[outbox.c.pipeline_execution_id],
        set_={
            "version": outbox.c.version + 1,
            # A change makes a run that was given up due again, but shortens no wait after a failure.
            "attempts": case((outbox.c.due_at.is_(None), 0), else_=outbox.c.attempts),
            "due_at": func.coalesce(outbox.c.due_at, statement.excluded.due_at),
        },
    )


def note(connection: Connection, run_ids: Iterable[UUID], at: datetime) -> None:
    """Note that runs have changed.

    Args:
        connection: A connection in the transaction that changes the runs, and has locked or inserted them.
        run_ids: The ids of the pipeline executions. There may be none.
        at: The time.
    """
    rows = [{"pipeline_execution_id": run_id, "version": 1, "attempts": 0, "due_at": at} for run_id in sorted(run_ids)]
    execute_all(connection, _note(connection.dialect.name), rows)


# --- claims ----------------------------------------------------------------------------------------------------

_RUN_ID: BindParameter[UUID] = bindparam("run_id")
_IDS = is_one_of(outbox.c.pipeline_execution_id)
_IS_GIVEN_UP = and_(outbox.c.due_at.is_(None), outbox.c.attempts > 0)
_IS_CLAIMED = and_(outbox.c.pipeline_execution_id == _RUN_ID, outbox.c.claim == bindparam("of_claim"))
_DUE = (
    select(outbox.c.pipeline_execution_id)
    .where(outbox.c.due_at <= bindparam("at"))
    .order_by(outbox.c.due_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_CLAIM = (
    update(outbox)
    .where(_IDS)
    .values(claim=bindparam("new_claim"), due_at=bindparam("end"), attempts=outbox.c.attempts + 1)
)
_CLAIMED = select(outbox.c.told, outbox.c.attempts, outbox.c.version).where(_IS_CLAIMED)
_DELETE = delete(outbox).where(_IS_CLAIMED, outbox.c.version == bindparam("seen"))
_CONFIRM = (
    update(outbox)
    .where(_IS_CLAIMED)
    .values(
        told=bindparam("records"),
        attempts=0,
        claim=None,
        due_at=case((outbox.c.version != bindparam("seen"), bindparam("at", type_=outbox.c.due_at.type))),
    )
)
_FAIL = update(outbox).where(_IS_CLAIMED).values(claim=None, due_at=bindparam("next"))
# A run whose row is locked is changing, and so becomes due anyway.
_GIVEN_UP = select(outbox.c.pipeline_execution_id).where(_IS_GIVEN_UP).with_for_update(skip_locked=True)
_RETRY = update(outbox).where(_IDS).values(attempts=0, due_at=bindparam("at"))
_COUNT = select(func.count(outbox.c.due_at), func.count(case((_IS_GIVEN_UP, 1))))


class Outbox:
    """The changed runs to deliver to other systems: the attribute `ExecutionStore.outbox`.

    Stores that were opened with ``outbox=True`` note runs. Any number of threads and processes may claim them.

    Args:
        database: The database of the store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, *, limit: int = 10, seconds: int = 60, at: datetime | None = None) -> tuple[RunChange, ...]:
        """Claim changed runs, those first that have waited longest.

        The caller delivers each change, then confirms or fails it. If the claim expires before that, as when the
        process is killed, the run is claimed again.

        Args:
            limit: How many runs to claim at most, 1 to 1000; 10 by default.
            seconds: After how many seconds the claims expire, from 1; 60 by default.
            at: The time, with an offset; now by default.

        Returns:
            The changes of the claimed runs; empty if there is nothing to deliver.
        """
        given = Arguments(limit=limit, claim_seconds=seconds, at=at)
        claimed_at = given.at or now()
        claim = uuid4()
        with self._database.write() as connection:
            due = connection.execute(_DUE, {"at": claimed_at, "limit": given.limit}).scalars().all()
            if not due:
                return ()
            end = shifted(claimed_at, timedelta(seconds=given.claim_seconds))
            connection.execute(_CLAIM, {"ids": due, "new_claim": claim, "end": end})
        # The runs are read in a transaction of their own, so that their Workers wait for no lock.
        with self._database.read() as connection:
            changes = [_change(connection, run_id, claim) for run_id in due]
        return tuple(change for change in changes if change is not None)

    def confirm(self, change: RunChange, *, at: datetime | None = None) -> None:
        """Note that a change was delivered. This does nothing if the claim has expired and the run has another claim.

        Args:
            change: The claimed change.
            at: The time, with an offset; now by default.
        """
        given = Arguments(at=at)
        key = _key(change) | {"seen": change.version}
        with self._database.write() as connection:
            if change.after.status.is_terminal and connection.execute(_DELETE, key).rowcount:
                return  # A run that ended changes no more. If it did, its next change would have no ``before``.
            records = converter.dumps(execution_to_records(change.after))
            connection.execute(_CONFIRM, key | {"records": records, "at": given.at or now()})

    def fail(self, change: RunChange, *, max_attempts: int = 100, at: datetime | None = None) -> bool:
        """Note that a change could not be delivered. The run is claimed again, unless it failed too often.

        The run waits for a second after its first failure, and twice as long after each further one, but for 5 minutes
        at most: 100 attempts take about 8 hours. Its later changes wait with it.

        Args:
            change: The claimed change.
            max_attempts: After how many attempts to give up, from 1; 100 by default.
            at: The time, with an offset; now by default.

        Returns:
            Whether the run is claimed again; false if it was given up.
        """
        given, key = Arguments(max_attempts=max_attempts, at=at), _key(change)
        is_left = change.attempt < given.max_attempts
        # The exponent is bounded: a ``timedelta`` has no room for larger numbers.
        wait = timedelta(seconds=min(_LONGEST_WAIT, 2 ** min(change.attempt - 1, 20)))
        next_time = shifted(given.at or now(), wait) if is_left else None
        with self._database.write() as connection:
            connection.execute(_FAIL, key | {"next": next_time})
        return is_left

    def retry(self, *, at: datetime | None = None) -> int:
        """Make the runs that were given up due again, with their attempts counted anew.

        Args:
            at: The time, with an offset; now by default.

        Returns:
            The number of these runs.
        """
        given = Arguments(at=at)
        with self._database.write() as connection:
            ids = connection.execute(_GIVEN_UP).scalars().all()
            if ids:
                connection.execute(_RETRY, {"ids": ids, "at": given.at or now()})
        return len(ids)

    def counts(self) -> OutboxCounts:
        """Count the runs with changes to deliver."""
        with self._database.read() as connection:
            waiting, given_up = connection.execute(_COUNT).one()
        return OutboxCounts(waiting=waiting, given_up=given_up)


def _key(change: RunChange) -> dict[str, Any]:
    return {"run_id": expect(change, RunChange).after.id, "of_claim": change.claim}


def _change(connection: Connection, run_id: UUID, claim: UUID) -> RunChange | None:
    """Read the change of a claimed run; None if the run was deleted or has another claim now."""
    row = connection.execute(_CLAIMED, {"run_id": run_id, "of_claim": claim}).one_or_none()
    if row is None:
        return None
    after = load_execution(connection, run_id)
    before = None
    if row.told is not None:
        records = converter.loads(row.told, ExecutionRecords)
        before = execution_from_records(after.pipeline, records.execution, records.stages, records.jobs)
    return RunChange(
        before=before,
        after=after,
        attempt=row.attempts,
        claim=claim,
        version=row.version,
    )
