"""The tables of the store.

Definitions never change once they are stored; executions do. A stage and a run hold counts and times of their children,
so that their status is read and updated without the rows of all children.

The conditions of partial indexes have literals, since no database uses such an index for a condition with parameters.

A change here needs a script in `migrations`, which makes the same change in existing databases.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    and_,
    literal_column,
    or_,
)

from ..values import Environment
from .columns import FreeText, JsonText, Reason, Status, Time

__all__ = [
    "IS_CLAIMED",
    "IS_GOING",
    "IS_UNCLAIMED",
    "IS_WAITING",
    "artifacts",
    "dependencies",
    "execution_logs",
    "job_executions",
    "jobs",
    "logs",
    "metadata",
    "name_key",
    "outbox",
    "pipeline_executions",
    "pipeline_names",
    "pipelines",
    "requests",
    "stage_executions",
    "stages",
    "watch",
]

metadata = MetaData()
# A text of a definition, as a JSON string: it may hold a NUL, which PostgreSQL refuses in a text.
Word = JSON(none_as_null=True)
# Names in the order of their characters, as in Python, whatever the language of the database.
Name = Text().with_variant(Text(collation="C"), "postgresql")

_NAMES = UUID("7d9f3f0e-5c1b-4c0e-9d51-0f6b7f1c3a52")


def name_key(*names: str) -> UUID:
    """Return the key for the name of a pipeline, a stage or a job: a name-based UUID (RFC 9562, version 5).

    Reports treat all pipelines of one name as one. The key finds their executions by one index, however long the names
    are.

    Args:
        names: The names of the pipeline, of the stage, and of the job, down to the one in question.
    """
    return uuid5(_NAMES, "\0".join(names))  # No name holds a control character.


def _table(name: str, *parts: Any) -> Table:
    return Table(name, metadata, *parts)


def _id() -> Column[UUID]:
    return Column("id", Uuid, primary_key=True)


def _needed(name: str, type_: Any, *more: Any) -> Column[Any]:
    return Column(name, type_, *more, nullable=False)


def _progress() -> list[Column[Any]]:
    """Make the columns of an execution's status and times."""
    return [_needed("status", Status), Column("start_time", Time), Column("completion_time", Time)]


def _span() -> list[Column[Any]]:
    """Make the columns of the latest completion among the children, and of their number for each status."""
    statuses = ("pending", "running", "success", "failed", "canceled")
    return [Column("end_time", Time), *(_needed(status, Integer) for status in statuses)]


def _made() -> list[Column[Any]]:
    return [_needed("created_at", Time), _needed("updated_at", Time)]


# --- definitions -----------------------------------------------------------------------------------------------

pipelines = _table(
    "pipelines",
    _id(),
    _needed("name", Name),
    _needed("repo_url", Word),
    _needed("branch", Name),
    Column("commit_hash", Word),
    _needed("kind", Text),
    _needed("parameters", JsonText()),
    _needed("environment", JsonText(Environment)),
    *_made(),
    Index("pipelines_by_name", "name", "id"),
)
# All pipelines of one name share their run numbers.
pipeline_names = _table(
    "pipeline_names",
    Column("name_key", Uuid, primary_key=True),
    _needed("last_run_number", BigInteger),
)
stages = _table(
    "stages",
    _id(),
    _needed("pipeline_id", Uuid, ForeignKey("pipelines.id")),
    _needed("name", Name),
    _needed("execution_order", Integer),
    *_made(),
    _needed("name_key", Uuid),
    UniqueConstraint("pipeline_id", "execution_order"),
    Index("stages_by_name", "name_key"),
)
jobs = _table(
    "jobs",
    _id(),
    _needed("stage_id", Uuid, ForeignKey("stages.id")),
    _needed("name", Name),
    _needed("place", Integer),  # in the order of definition
    _needed("kind", Text),
    _needed("parameters", JsonText()),
    _needed("environment", JsonText(Environment)),
    _needed("secrets", JSON),
    _needed("script", JSON),
    Column("docker_image", Word),
    Column("working_dir", Word),
    _needed("allow_failure", Boolean),
    Column("timeout_seconds", BigInteger),
    _needed("retries", Integer),
    _needed("artifacts", JSON),
    *_made(),
    _needed("name_key", Uuid),
    UniqueConstraint("stage_id", "place"),
    Index("jobs_by_name", "name_key"),
)
dependencies = _table(
    "dependencies",
    Column("job_id", Uuid, ForeignKey("jobs.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    _needed("dependency_id", Uuid, ForeignKey("jobs.id")),
    Index("dependencies_by_dependency", "dependency_id"),
)

# --- executions ------------------------------------------------------------------------------------------------

pipeline_executions = _table(
    "pipeline_executions",
    _id(),
    _needed("pipeline_id", Uuid, ForeignKey("pipelines.id")),
    _needed("run_number", BigInteger),
    _needed("branch", Name),
    Column("commit_hash", Word),
    _needed("environment", JsonText(Environment)),
    _needed("is_local", Boolean),
    Column("canceled_at", Time),
    *_progress(),
    *_span(),
    _needed("name_key", Uuid),
    UniqueConstraint("name_key", "run_number"),
    Index("pipeline_executions_by_status", "name_key", "status", "run_number", "id"),
    Index("pipeline_executions_by_end", "completion_time"),
)
stage_executions = _table(
    "stage_executions",
    _id(),
    _needed("stage_id", Uuid, ForeignKey("stages.id")),
    _needed("pipeline_execution_id", Uuid, ForeignKey("pipeline_executions.id")),
    _needed("execution_order", Integer),
    *_progress(),
    *_span(),
    _needed("name_key", Uuid),
    _needed("run_number", BigInteger),
    UniqueConstraint("pipeline_execution_id", "stage_id"),
    Index("stage_executions_by_name", "name_key", "run_number", "pipeline_execution_id"),
    Index("stage_executions_by_status", "name_key", "status", "run_number", "pipeline_execution_id"),
)
job_executions = _table(
    "job_executions",
    _id(),
    _needed("stage_execution_id", Uuid, ForeignKey("stage_executions.id")),
    _needed("job_id", Uuid, ForeignKey("jobs.id")),
    *_progress(),
    Column("reason", Reason),
    _needed("allow_failure", Boolean),
    Column("exit_code", BigInteger),
    Column("queued_at", Time),
    _needed("last_sequence", BigInteger),
    _needed("attempt", BigInteger),
    Column("worker", Name),
    Column("heard_at", Time),
    _needed("losses", Integer),
    _needed("sendings", Integer),  # how often the request of this attempt was sent
    Column("send_at", Time),  # when it is sent again if no Worker claims it
    _needed("name_key", Uuid),
    _needed("run_number", BigInteger),
    _needed("pipeline_execution_id", Uuid, ForeignKey("pipeline_executions.id")),
    UniqueConstraint("stage_execution_id", "job_id"),
    Index("job_executions_by_job", "pipeline_execution_id", "job_id"),
    Index("job_executions_by_name", "name_key", "run_number", "pipeline_execution_id"),
    Index("job_executions_by_status", "name_key", "status", "run_number", "pipeline_execution_id"),
)
logs = _table(
    "logs",
    Column("job_execution_id", Uuid, ForeignKey("job_executions.id"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    _needed("text", FreeText),
)
artifacts = _table(
    "artifacts",
    Column("job_execution_id", Uuid, ForeignKey("job_executions.id"), primary_key=True),
    Column("path_key", Uuid, primary_key=True),  # since an index has no room for a long path
    _needed("path", Text),
    _needed("size", BigInteger),
    _needed("sha256", Text),
)
execution_logs = _table(
    "execution_logs",
    _id(),
    Column("pipeline_execution_id", Uuid),
    Column("stage_execution_id", Uuid),
    Column("job_execution_id", Uuid),
    _needed("sequence", BigInteger),
    _needed("timestamp", Time),
    _needed("log_text", FreeText),
    # The run and the stage of the log, also if it names only the stage or the job.
    _needed("run_id", Uuid, ForeignKey("pipeline_executions.id")),
    Column("stage_id", Uuid, ForeignKey("stage_executions.id")),
    Index("execution_logs_of_run", "run_id", "timestamp", "sequence", "id"),
    Index("execution_logs_of_stage", "stage_id", "timestamp", "sequence", "id"),
    Index("execution_logs_of_job", "job_execution_id", "timestamp", "sequence", "id"),
)
# The row of a request is written first, so that a second request of the same id waits for the first.
requests = _table(
    "requests",
    _id(),
    _needed("pipeline_execution_id", Uuid, ForeignKey("pipeline_executions.id", deferrable=True, initially="DEFERRED")),
    Index("requests_of_run", "pipeline_execution_id"),
)
# One row for each noted run, until its last change is delivered.
outbox = _table(
    "outbox",
    Column("pipeline_execution_id", Uuid, ForeignKey("pipeline_executions.id"), primary_key=True),
    _needed("version", BigInteger),  # how often the run changed
    Column("told", LargeBinary),  # the records of the run as it was delivered last
    _needed("attempts", Integer),  # since the last delivery
    Column("due_at", Time),  # when it may be claimed; NULL if there is nothing to deliver, or it was given up
    Column("claim", Uuid),  # the id of the last claim that was neither confirmed nor failed
    Index("outbox_due", "due_at"),
)
# One row: when `take_over` was called last, and since when it has been called without a break.
watch = _table(
    "watch",
    Column("id", Integer, primary_key=True, autoincrement=False),
    _needed("asked_at", Time),
    _needed("since", Time),
)

# --- conditions, each with its index ---------------------------------------------------------------------------

_PENDING = job_executions.c.status == literal_column("'PENDING'", Status)

IS_GOING = or_(_PENDING, job_executions.c.status == literal_column("'RUNNING'", Status))
"""The job has not ended."""

IS_WAITING = and_(_PENDING, job_executions.c.queued_at.is_(None))
"""The job has not started, and was not handed out."""

IS_CLAIMED = and_(IS_GOING, job_executions.c.worker.is_not(None))
"""A Worker has the job."""

IS_UNCLAIMED = and_(IS_GOING, job_executions.c.send_at.is_not(None), job_executions.c.worker.is_(None))
"""The job's request was sent, and no Worker has claimed the attempt."""


def _partial(name: str, condition: Any, *columns: Any) -> None:
    Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


_partial("job_executions_waiting", IS_WAITING, job_executions.c.pipeline_execution_id, job_executions.c.id)
# No index has ``heard_at``: PostgreSQL then writes to no index for an update that only appends output.
_partial("job_executions_claimed", IS_CLAIMED, job_executions.c.id)
_partial("job_executions_unclaimed", IS_UNCLAIMED, job_executions.c.send_at, job_executions.c.id)
