"""The tables of version 0.1, which made them without Alembic."""

from typing import Any

from alembic import op
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Enum,
    ForeignKey,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

revision = "1"
down_revision = None

_STATUS = Enum(
    *("PENDING", "RUNNING", "SUCCESS", "FAILED", "CANCELED"), create_constraint=True, name="execution_status", length=8
)
_NAME = Text().with_variant(Text(collation="C"), "postgresql")
_INDEXES: dict[str, dict[str, tuple[str, ...]]] = {
    "pipelines": {"pipelines_by_name": ("name", "id")},
    "stages": {"stages_by_name": ("name_key",)},
    "jobs": {"jobs_by_name": ("name_key",)},
    "dependencies": {"dependencies_by_dependency": ("dependency_id",)},
    "pipeline_executions": {
        "pipeline_executions_by_name": ("name_key", "run_number", "id"),
        "pipeline_executions_by_status": ("name_key", "status", "run_number", "id"),
    },
    "stage_executions": {
        "stage_executions_by_name": ("name_key", "run_number", "pipeline_execution_id"),
        "stage_executions_by_status": ("name_key", "status", "run_number", "pipeline_execution_id"),
    },
    "job_executions": {
        "job_executions_by_name": ("name_key", "run_number", "pipeline_execution_id"),
        "job_executions_by_status": ("name_key", "status", "run_number", "pipeline_execution_id"),
    },
}
_PARTIAL_INDEXES = {
    "stage_executions_open": ("stage_executions", ("pipeline_execution_id", "execution_order"), "status != 'SUCCESS'"),
    "job_executions_waiting": (
        "job_executions",
        ("stage_execution_id", "waits"),
        "status = 'PENDING' AND queued_at IS NULL",
    ),
    "job_executions_unheard": (
        "job_executions",
        ("queued_at", "id"),
        "status = 'PENDING' AND queued_at IS NOT NULL",
    ),
}


def _needed(name: str, type_: Any, *more: Any) -> Column[Any]:
    return Column(name, type_, *more, nullable=False)


def _to(table: str) -> ForeignKey:
    return ForeignKey(f"{table}.id")


def _progress() -> list[Column[Any]]:
    return [_needed("status", _STATUS), Column("start_time", BigInteger), Column("completion_time", BigInteger)]


def _span() -> list[Column[Any]]:
    counts = ("pending", "running", "success", "failed", "canceled")
    return [Column("end_time", BigInteger), *(_needed(count, Integer) for count in counts)]


def _made() -> list[Column[Any]]:
    return [_needed("created_at", BigInteger), _needed("updated_at", BigInteger)]


def upgrade() -> None:
    """Make the tables."""
    _make_definitions()
    _make_executions()
    for table, indexes in _INDEXES.items():
        for name, columns in indexes.items():
            op.create_index(name, table, columns)
    for name, (table, columns, condition) in _PARTIAL_INDEXES.items():
        op.create_index(name, table, columns, sqlite_where=text(condition), postgresql_where=text(condition))


def _make_definitions() -> None:
    op.create_table("cicd_common_schema", Column("version", Integer, primary_key=True, autoincrement=False))
    op.create_table(
        "pipelines",
        Column("id", Uuid, primary_key=True),
        _needed("name", _NAME),
        _needed("repo_url", JSON),
        _needed("branch", _NAME),
        Column("commit_hash", JSON),
        *_made(),
        _needed("last_run_number", BigInteger),
    )
    op.create_table(
        "stages",
        Column("id", Uuid, primary_key=True),
        _needed("pipeline_id", Uuid, _to("pipelines")),
        _needed("name", _NAME),
        _needed("execution_order", Integer),
        *_made(),
        _needed("name_key", Uuid),
        UniqueConstraint("pipeline_id", "execution_order"),
    )
    op.create_table(
        "jobs",
        Column("id", Uuid, primary_key=True),
        _needed("stage_id", Uuid, _to("stages")),
        _needed("name", _NAME),
        _needed("place", Integer),
        _needed("script", JSON),
        Column("docker_image", JSON),
        Column("working_dir", JSON),
        _needed("allow_failure", Boolean),
        _needed("artifacts", JSON),
        *_made(),
        _needed("name_key", Uuid),
        UniqueConstraint("stage_id", "place"),
    )
    op.create_table(
        "dependencies",
        Column("job_id", Uuid, _to("jobs"), primary_key=True),
        Column("position", Integer, primary_key=True, autoincrement=False),
        _needed("dependency_id", Uuid, _to("jobs")),
    )


def _make_executions() -> None:
    op.create_table(
        "pipeline_executions",
        Column("id", Uuid, primary_key=True),
        _needed("pipeline_id", Uuid, _to("pipelines")),
        _needed("run_number", BigInteger),
        Column("commit_hash", JSON),
        _needed("is_local", Boolean),
        Column("canceled_at", BigInteger),
        *_progress(),
        *_span(),
        _needed("name_key", Uuid),
        UniqueConstraint("pipeline_id", "run_number"),
    )
    op.create_table(
        "stage_executions",
        Column("id", Uuid, primary_key=True),
        _needed("stage_id", Uuid, _to("stages")),
        _needed("pipeline_execution_id", Uuid, _to("pipeline_executions")),
        _needed("execution_order", Integer),
        *_progress(),
        *_span(),
        _needed("name_key", Uuid),
        _needed("run_number", BigInteger),
        UniqueConstraint("pipeline_execution_id", "stage_id"),
    )
    op.create_table(
        "job_executions",
        Column("id", Uuid, primary_key=True),
        _needed("stage_execution_id", Uuid, _to("stage_executions")),
        _needed("job_id", Uuid, _to("jobs")),
        *_progress(),
        _needed("allow_failure", Boolean),
        Column("exit_code", BigInteger),
        Column("queued_at", BigInteger),
        _needed("last_sequence", BigInteger),
        _needed("waits", Integer),
        _needed("name_key", Uuid),
        _needed("run_number", BigInteger),
        _needed("pipeline_execution_id", Uuid, _to("pipeline_executions")),
        UniqueConstraint("stage_execution_id", "job_id"),
    )
    op.create_table(
        "logs",
        Column("job_execution_id", Uuid, _to("job_executions"), primary_key=True),
        Column("sequence", BigInteger, primary_key=True, autoincrement=False),
        _needed("text", LargeBinary),
    )
    op.create_table(
        "artifacts",
        Column("job_execution_id", Uuid, _to("job_executions"), primary_key=True),
        Column("path_key", Uuid, primary_key=True),
        _needed("path", Text),
        _needed("size", BigInteger),
        _needed("sha256", Text),
    )
    op.create_table(
        "requests",
        Column("id", Uuid, primary_key=True),
        _needed(
            "pipeline_execution_id", Uuid, ForeignKey("pipeline_executions.id", deferrable=True, initially="DEFERRED")
        ),
    )
