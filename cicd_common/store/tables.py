"""The tables of the store.

Definitions never change once they are stored; executions do. What a parent needs of its children, it has as counts and
times, so that a change costs the rows that it changes and a look at a parent costs one row.

Indexes that a filter of reads or writes rests on name its condition with literals, since no database takes a partial
index for a condition whose values it learns later.
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
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    and_,
    literal_column,
    or_,
)

from .columns import FreeText, Status, Time

__all__ = [
    "IS_GOING",
    "IS_OPEN",
    "IS_UNHEARD",
    "IS_WAITING",
    "SCHEMA_VERSION",
    "artifacts",
    "dependencies",
    "job_executions",
    "jobs",
    "logs",
    "metadata",
    "name_key",
    "pipeline_executions",
    "pipelines",
    "requests",
    "schema",
    "stage_executions",
    "stages",
]

SCHEMA_VERSION = 2

metadata = MetaData()
# A word of the definition, as a JSON string: it may hold a NUL, which a text of PostgreSQL cannot.
Word = JSON(none_as_null=True)
# Names in the order of their characters, as in Python, whatever the language of the database.
Name = Text().with_variant(Text(collation="C"), "postgresql")

_NAMES = UUID("7d9f3f0e-5c1b-4c0e-9d51-0f6b7f1c3a52")


def name_key(*names: str) -> UUID:
    """The key of a pipeline's name, a stage's in it, or a job's in that: a name-based UUID (RFC 9562, version 5).

    All pipelines of one name report as one. The key finds their executions by one index, however long the names are.

    Args:
        names: The name of the pipeline; then that of the stage; then that of the job.
    """
    return uuid5(_NAMES, "\0".join(names))  # No name holds a control character.


def _table(name: str, *parts: Any) -> Table:
    return Table(name, metadata, *parts)


def _id() -> Column[UUID]:
    return Column("id", Uuid, primary_key=True)


def _needed(name: str, type_: Any, *more: Any) -> Column[Any]:
    return Column(name, type_, *more, nullable=False)


def _progress() -> list[Column[Any]]:
    """How far an execution has come."""
    return [_needed("status", Status), Column("start_time", Time), Column("completion_time", Time)]


def _span() -> list[Column[Any]]:
    """How many children have which status, and the latest completion among them, whether all are at their end."""
    statuses = ("pending", "running", "success", "failed", "canceled")
    return [Column("end_time", Time), *(_needed(status, Integer) for status in statuses)]


def _made() -> list[Column[Any]]:
    return [_needed("created_at", Time), _needed("updated_at", Time)]


# --- definitions -----------------------------------------------------------------------------------------------

schema = _table("cicd_common_schema", Column("version", Integer, primary_key=True, autoincrement=False))

pipelines = _table(
    "pipelines",
    _id(),
    _needed("name", Name),
    _needed("repo_url", Word),
    _needed("branch", Name),
    Column("commit_hash", Word),
    *_made(),
    _needed("last_run_number", BigInteger),
    Index("pipelines_by_name", "name", "id"),
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
    _needed("script", JSON),
    Column("docker_image", Word),
    Column("working_dir", Word),
    _needed("allow_failure", Boolean),
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
    Column("commit_hash", Word),
    _needed("is_local", Boolean),
    Column("canceled_at", Time),
    *_progress(),
    *_span(),
    _needed("name_key", Uuid),
    UniqueConstraint("pipeline_id", "run_number"),
    Index("pipeline_executions_by_name", "name_key", "run_number", "id"),
    Index("pipeline_executions_by_status", "name_key", "status", "run_number", "id"),
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
    _needed("allow_failure", Boolean),
    Column("exit_code", BigInteger),
    Column("queued_at", Time),
    _needed("last_sequence", BigInteger),
    _needed("waits", Integer),  # for how many other jobs of its stage it still waits: earlier stages are done by then
    _needed("name_key", Uuid),
    _needed("run_number", BigInteger),
    _needed("pipeline_execution_id", Uuid, ForeignKey("pipeline_executions.id")),
    UniqueConstraint("stage_execution_id", "job_id"),
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
    Column("path_key", Uuid, primary_key=True),  # An index has no room for a path of any length.
    _needed("path", Text),
    _needed("size", BigInteger),
    _needed("sha256", Text),
)
# A request is the first thing that is written, so that of two of one id the second waits for the first.
requests = _table(
    "requests",
    _id(),
    _needed("pipeline_execution_id", Uuid, ForeignKey("pipeline_executions.id", deferrable=True, initially="DEFERRED")),
)

# --- conditions, each with its index ---------------------------------------------------------------------------

_PENDING = job_executions.c.status == literal_column("'PENDING'", Status)

IS_GOING = or_(_PENDING, job_executions.c.status == literal_column("'RUNNING'", Status))
"""It is not at its end."""

IS_OPEN = stage_executions.c.status != literal_column("'SUCCESS'", Status)
"""The first such stage of a run is the one whose jobs may start."""

IS_WAITING = and_(_PENDING, job_executions.c.queued_at.is_(None))
"""It has not started, and was not handed out."""

_IS_QUEUED = and_(_PENDING, job_executions.c.queued_at.is_not(None))

IS_UNHEARD = and_(_IS_QUEUED, job_executions.c.last_sequence == literal_column("0"))
"""It was handed out, and never heard of."""


def _partial(name: str, condition: Any, *columns: Any) -> None:
    Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


_partial("stage_executions_open", IS_OPEN, stage_executions.c.pipeline_execution_id, stage_executions.c.execution_order)
_partial("job_executions_waiting", IS_WAITING, job_executions.c.stage_execution_id, job_executions.c.waits)
# Its condition leaves out the sequence: PostgreSQL writes an entry to every index of a row in which a column changes
# that any index speaks of, and more output changes nothing but the sequence.
_partial("job_executions_unheard", _IS_QUEUED, job_executions.c.queued_at, job_executions.c.id)
