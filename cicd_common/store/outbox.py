"""The outbox: which runs have changed since others were told of them, at least once and in order for each run.

A transaction that changes a run notes the run, and not the change: there is one row for each run. A claim of the row
gives the run as it was when it was told of last, and as it is now; several changes may lie between the two. A run has
one claim at a time. Claims run out, so that the run of a process that was killed is claimed again.
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
from .arguments import Arguments, now
from .engine import Database
from .executions import load_execution
from .rows import execute_all, insert_for
from .tables import outbox

__all__ = ["Outbox", "OutboxCounts", "RunChange", "note"]

_LONGEST_WAIT = 300
"""How many seconds pass at most until a run that could not be told of is claimed again."""


@frozen(kw_only=True)
class RunChange:
    """What is to be told of a run: all that happened to it between two states.

    Attributes:
        before: The run when it was told of last; none if it never was.
        after: The run as it is.
        attempt: How often this or an earlier change was claimed since then, from 1.
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
    """How many runs are in the outbox with something that was not told.

    Attributes:
        waiting: Those that are claimed, or will be.
        given_up: Those that are not claimed any more, unless they change again.
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
            # A run that was given up is tried again; one that failed does not come sooner because it changes.
            "attempts": case((outbox.c.due_at.is_(None), 0), else_=outbox.c.attempts),
            "due_at": func.coalesce(outbox.c.due_at, statement.excluded.due_at),
        },
    )


def note(connection: Connection, run_ids: Iterable[UUID], at: datetime) -> None:
    """Note that runs have changed.

    Args:
        connection: In the transaction that changes them, and has locked or made them.
        run_ids: The pipeline executions. There may be none.
        at: The time.
    """
    rows = [{"pipeline_execution_id": run_id, "version": 1, "attempts": 0, "due_at": at} for run_id in sorted(run_ids)]
    execute_all(connection, _note(connection.dialect.name), rows)


# --- claims ----------------------------------------------------------------------------------------------------

_RUN_ID: BindParameter[UUID] = bindparam("run_id")
_IDS = outbox.c.pipeline_execution_id.in_(bindparam("ids", expanding=True))
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
# A run that just changes is tried again anyway.
_GIVEN_UP = select(outbox.c.pipeline_execution_id).where(_IS_GIVEN_UP).with_for_update(skip_locked=True)
_RETRY = update(outbox).where(_IDS).values(attempts=0, due_at=bindparam("at"))
_COUNT = select(func.count(outbox.c.due_at), func.count(case((_IS_GIVEN_UP, 1))))


class Outbox:
    """The runs that have changed since others were told of them: the attribute `ExecutionStore.outbox`.

    Runs are noted by stores that were opened with ``outbox=True``. Any number of threads and processes may claim them.

    Args:
        database: The database of the store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, *, limit: int = 10, seconds: int = 60, at: datetime | None = None) -> tuple[RunChange, ...]:
        """Claim runs that have changed, those first that wait for the longest time.

        What is claimed is told to others, and then confirmed or failed. If it is neither before the claim runs out, as
        when the process is killed, the run is claimed again.

        Args:
            limit: How many runs to claim at most, 1 to 1000; 10 by default.
            seconds: After how many seconds the claims run out, from 1; 60 by default.
            at: The time, with an offset; now by default.

        Returns:
            What changed, for each run that was claimed. None if nothing is to be told.
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
        # The runs are read afterwards, so that their Workers wait for no lock; and in one state of the database.
        with self._database.read() as connection:
            changes = [_change(connection, run_id, claim) for run_id in due]
        return tuple(change for change in changes if change is not None)

    def confirm(self, change: RunChange, *, at: datetime | None = None) -> None:
        """Note that others were told of a change. Nothing happens if the claim ran out and another one has the run.

        Args:
            change: What was claimed.
            at: The time, with an offset; now by default.
        """
        given = Arguments(at=at)
        key = _key(change) | {"seen": change.version}
        with self._database.write() as connection:
            if change.after.status.is_terminal and connection.execute(_DELETE, key).rowcount:
                return  # Nothing more is to come. Should it come all the same, everything is told once more.
            records = converter.dumps(execution_to_records(change.after))
            connection.execute(_CONFIRM, key | {"records": records, "at": given.at or now()})

    def fail(self, change: RunChange, *, max_attempts: int = 100, at: datetime | None = None) -> bool:
        """Note that others could not be told of a change. The run is claimed again, unless it failed too often.

        It is claimed again after a second, and after twice as long each time more, but after 5 minutes at most: 100
        attempts take about 8 hours. Changes that come meanwhile wait with it.

        Args:
            change: What was claimed.
            max_attempts: After how many attempts to give up, from 1; 100 by default.
            at: The time, with an offset; now by default.

        Returns:
            Whether it is claimed again; false if it was given up.
        """
        given = Arguments(max_attempts=max_attempts, at=at)
        is_left = change.attempt < given.max_attempts
        # The exponent is bounded: the number would be too large for a time.
        wait = timedelta(seconds=min(_LONGEST_WAIT, 2 ** min(change.attempt - 1, 20)))
        following = shifted(given.at or now(), wait) if is_left else None
        with self._database.write() as connection:
            connection.execute(_FAIL, _key(change) | {"next": following})
        return is_left

    def retry(self, *, at: datetime | None = None) -> int:
        """Have the runs that were given up be claimed again, from their first attempt on.

        Args:
            at: The time, with an offset; now by default.

        Returns:
            How many runs these are.
        """
        given = Arguments(at=at)
        with self._database.write() as connection:
            ids = connection.execute(_GIVEN_UP).scalars().all()
            if ids:
                connection.execute(_RETRY, {"ids": ids, "at": given.at or now()})
        return len(ids)

    def counts(self) -> OutboxCounts:
        """How many runs have something that was not told."""
        with self._database.read() as connection:
            waiting, given_up = connection.execute(_COUNT).one()
        return OutboxCounts(waiting=waiting, given_up=given_up)


def _key(change: RunChange) -> dict[str, Any]:
    return {"run_id": change.after.id, "of_claim": change.claim}


def _change(connection: Connection, run_id: UUID, claim: UUID) -> RunChange | None:
    """What changed of a run; none if the run was forgotten, or the claim has run out and another one has the run."""
    row = connection.execute(_CLAIMED, {"run_id": run_id, "of_claim": claim}).one_or_none()
    if row is None:
        return None
    after = load_execution(connection, run_id)
    return RunChange(
        before=None if row.told is None else _run_of(after, row.told),
        after=after,
        attempt=row.attempts,
        claim=claim,
        version=row.version,
    )


def _run_of(after: PipelineExecution, told: bytes) -> PipelineExecution:
    records = converter.loads(told, ExecutionRecords)
    return execution_from_records(after.pipeline, records.execution, records.stages, records.jobs)
