"""The tables of version 0.2: kinds, environments, leases, run numbers by name, and logs of executions.

New columns get the defaults of the contract. A job that is under way is unclaimed, and its request is sent again, since
Workers of version 0.1 know no leases. Names that version 0.2 refuses are changed to names that it accepts.
"""

import re
from typing import Any
from unicodedata import normalize
from uuid import UUID, uuid5

from alembic import op
from alembic.util import CommandError
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Integer,
    LargeBinary,
    Text,
    Uuid,
    bindparam,
    column,
    select,
    text,
    update,
)
from sqlalchemy import table as part_of

revision = "2"
down_revision = "1"

_NAME = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite has no names for constraints that were made without one: this is how PostgreSQL names them.
_NAMING = {"uq": "%(table_name)s_%(column_0_N_name)s_key"}

_GOING = "(status = 'PENDING' OR status = 'RUNNING')"
_DROPPED_INDEXES = {
    "pipeline_executions_by_name": "pipeline_executions",
    "stage_executions_open": "stage_executions",
    "job_executions_waiting": "job_executions",
    "job_executions_unheard": "job_executions",
}
_INDEXES = {
    "pipeline_executions_by_end": ("pipeline_executions", ("completion_time",)),
    "job_executions_by_job": ("job_executions", ("pipeline_execution_id", "job_id")),
    "execution_logs_of_run": ("execution_logs", ("run_id", "timestamp", "sequence", "id")),
    "execution_logs_of_stage": ("execution_logs", ("stage_id", "timestamp", "sequence", "id")),
    "execution_logs_of_job": ("execution_logs", ("job_execution_id", "timestamp", "sequence", "id")),
    "requests_of_run": ("requests", ("pipeline_execution_id",)),
}
_PARTIAL_INDEXES = {
    "job_executions_waiting": (("pipeline_execution_id", "id"), "status = 'PENDING' AND queued_at IS NULL"),
    "job_executions_claimed": (("id",), f"{_GOING} AND worker IS NOT NULL"),
    "job_executions_unclaimed": (("send_at", "id"), f"{_GOING} AND send_at IS NOT NULL AND worker IS NULL"),
}
# New columns by table, with the values for existing rows.
_NEW_COLUMNS: dict[str, tuple[tuple[str, Any, str], ...]] = {
    "pipelines": (("kind", Text(), "pipeline"), ("parameters", Text(), "{}"), ("environment", Text(), "{}")),
    "jobs": (
        ("kind", Text(), "script"),
        ("parameters", Text(), "{}"),
        ("environment", Text(), "{}"),
        ("secrets", JSON(), "[]"),
        ("retries", Integer(), "0"),
    ),
    "pipeline_executions": (("branch", _NAME, ""), ("environment", Text(), "{}")),
    "job_executions": (("attempt", BigInteger(), "1"), ("losses", Integer(), "0"), ("sendings", Integer(), "0")),
}
_NEW_OPTIONAL_COLUMNS: dict[str, tuple[tuple[str, Any], ...]] = {
    "jobs": (("timeout_seconds", BigInteger()),),
    "job_executions": (("reason", Text()), ("worker", _NAME), ("heard_at", BigInteger()), ("send_at", BigInteger())),
}
_DROPPED_COLUMNS = {"pipelines": "last_run_number", "job_executions": "waits"}

# Runs of one name are numbered together, in the order in which they were started: version 0.1 numbered those of each
# definition. Jobs are handed out when a run is started.
_NUMBER_RUNS = """
WITH started AS (
    SELECT pipeline_execution_id, min(queued_at) AS at FROM job_executions GROUP BY pipeline_execution_id
), shared AS (
    SELECT name_key FROM pipeline_executions GROUP BY name_key HAVING count(DISTINCT pipeline_id) > 1
), numbered AS (
    SELECT run.id, row_number() OVER (PARTITION BY run.name_key ORDER BY started.at, run.run_number, run.id) AS number
    FROM pipeline_executions AS run
    JOIN shared ON shared.name_key = run.name_key
    JOIN started ON started.pipeline_execution_id = run.id
)
UPDATE pipeline_executions SET run_number = numbered.number FROM numbered WHERE numbered.id = pipeline_executions.id
"""
_NUMBER_PARTS = """
UPDATE {table} SET run_number = run.run_number FROM pipeline_executions AS run
WHERE run.id = {table}.pipeline_execution_id AND run.run_number <> {table}.run_number
"""
_COUNT_RUNS = """
INSERT INTO pipeline_names (name_key, last_run_number)
SELECT name_key, max(run_number) FROM pipeline_executions GROUP BY name_key
"""
_SET_BRANCHES = """
UPDATE pipeline_executions SET branch = pipelines.branch FROM pipelines
WHERE pipelines.id = pipeline_executions.pipeline_id
"""
# Every request was sent once, and is sent again 5 minutes later. A job may have started without one.
_SEND_AGAIN = f"""
UPDATE job_executions SET sendings = 1, send_at = coalesce(queued_at, start_time) + 300000000
WHERE {_GOING} AND (queued_at IS NOT NULL OR start_time IS NOT NULL)
"""

_BIDIRECTIONAL = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# A visible character.
_SEEN = re.compile(
    r"[^ \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# The namespace of the keys by which executions are found: UUIDs of the names of a pipeline, a stage and a job.
_KEYS = UUID("7d9f3f0e-5c1b-4c0e-9d51-0f6b7f1c3a52")

_PIPELINES = part_of("pipelines", column("id", Uuid), column("name", Text), column("branch", Text))
_STAGES = part_of(
    "stages", column("id", Uuid), column("name", Text), column("pipeline_id", Uuid), column("name_key", Uuid)
)
_JOBS = part_of("jobs", column("id", Uuid), column("name", Text), column("stage_id", Uuid), column("name_key", Uuid))
_RUNS = part_of("pipeline_executions", column("id", Uuid), column("pipeline_id", Uuid), column("name_key", Uuid))
_SET_KEYS = """
UPDATE {part}_executions SET name_key = {part}s.name_key FROM {part}s
WHERE {part}s.id = {part}_executions.{part}_id AND {part}s.name_key <> {part}_executions.name_key
"""


def upgrade() -> None:
    """Change the tables of version 0.1 to those of version 0.2."""
    _change_names(op.get_bind())
    op.drop_table("cicd_common_schema")
    _make_tables()
    for name, table in _DROPPED_INDEXES.items():
        op.drop_index(name, table)
    _change_columns()
    for statement in (_NUMBER_RUNS, _COUNT_RUNS, _SET_BRANCHES, _SEND_AGAIN):
        op.execute(statement)
    for table in ("stage_executions", "job_executions"):
        op.execute(_NUMBER_PARTS.format(table=table))
    _finish_columns()
    for name, (table, columns) in _INDEXES.items():
        op.create_index(name, table, columns)
    for name, (columns, condition) in _PARTIAL_INDEXES.items():
        op.create_index(name, "job_executions", columns, sqlite_where=text(condition), postgresql_where=text(condition))


def _change_names(connection: Connection) -> None:
    """Change names that version 0.2 refuses, and the keys that are made of them.

    Names that differ now must differ afterwards: those of pipelines, of the stages of a pipeline, and of its jobs.
    """
    stages_of = _JOBS.join(_STAGES, _JOBS.c.stage_id == _STAGES.c.id)
    changed = [
        _change(connection, _PIPELINES, "branch", select(_PIPELINES.c.id, _PIPELINES.c.branch, _PIPELINES.c.id)),
        _change(connection, _PIPELINES, "name", select(_PIPELINES.c.id, _PIPELINES.c.name, text("0"))),
        _change(connection, _STAGES, "name", select(_STAGES.c.id, _STAGES.c.name, _STAGES.c.pipeline_id)),
        _change(
            connection, _JOBS, "name", select(_JOBS.c.id, _JOBS.c.name, _STAGES.c.pipeline_id).select_from(stages_of)
        ),
    ]
    if any(changed):
        pipeline_of = stages_of.join(_PIPELINES, _STAGES.c.pipeline_id == _PIPELINES.c.id)
        stage_names = (_PIPELINES.c.name, _STAGES.c.name)
        _set_keys(connection, _RUNS, "pipeline_id", select(_PIPELINES.c.id, _PIPELINES.c.name))
        _set_keys(
            connection,
            _STAGES,
            "id",
            select(_STAGES.c.id, *stage_names).join_from(_STAGES, _PIPELINES, _STAGES.c.pipeline_id == _PIPELINES.c.id),
        )
        _set_keys(connection, _JOBS, "id", select(_JOBS.c.id, *stage_names, _JOBS.c.name).select_from(pipeline_of))
        for part in ("stage", "job"):
            op.execute(_SET_KEYS.format(part=part))


def _change(connection: Connection, owner: Any, field: str, statement: Any) -> bool:
    """Change the names in a column. The statement reads ids, names, and the scopes in which the names are unique."""
    changes = []
    before: dict[tuple[Any, str], str] = {}
    for id_, name, scope in map(tuple, connection.execute(statement)):
        new = _valid(name)
        if new is None or before.setdefault((scope, new), name) != name:
            why = "would be that of another" if new else "cannot be made one"
            raise CommandError(f"expected names that version 0.2 takes: the {field} of {id_} in {owner.name} {why}")
        if new != name:
            changes.append({"key": id_, "new": new})
    if changes:
        connection.execute(
            update(owner).where(owner.c.id == bindparam("key")).values({field: bindparam("new")}), changes
        )
    return bool(changes)


def _valid(name: str) -> str | None:
    if name.isascii():
        return name
    new = normalize("NFC", _BIDIRECTIONAL.sub("\ufffd", name))
    return new if len(new) < 256 and _SEEN.search(new) else None


def _set_keys(connection: Connection, owner: Any, field: str, names: Any) -> None:
    changes = [{"key": row[0], "new": uuid5(_KEYS, "\0".join(row[1:]))} for row in connection.execute(names)]
    connection.execute(
        update(owner).where(owner.c[field] == bindparam("key")).values(name_key=bindparam("new")), changes
    )


def _make_tables() -> None:
    op.create_table(
        "pipeline_names",
        Column("name_key", Uuid, primary_key=True),
        Column("last_run_number", BigInteger, nullable=False),
    )
    op.create_table(
        "execution_logs",
        Column("id", Uuid, primary_key=True),
        Column("pipeline_execution_id", Uuid),
        Column("stage_execution_id", Uuid),
        Column("job_execution_id", Uuid),
        Column("sequence", BigInteger, nullable=False),
        Column("timestamp", BigInteger, nullable=False),
        Column("log_text", LargeBinary, nullable=False),
        Column("run_id", Uuid, ForeignKey("pipeline_executions.id"), nullable=False),
        Column("stage_id", Uuid, ForeignKey("stage_executions.id")),
    )
    op.create_table(
        "watch",
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("asked_at", BigInteger, nullable=False),
        Column("since", BigInteger, nullable=False),
    )


def _change_columns() -> None:
    for table, columns in _NEW_COLUMNS.items():
        with op.batch_alter_table(table, naming_convention=_NAMING) as batch:
            for name, type_, default in columns:
                batch.add_column(Column(name, type_, nullable=False, server_default=default))
            for name, type_ in _NEW_OPTIONAL_COLUMNS.get(table, ()):
                batch.add_column(Column(name, type_))
            if table in _DROPPED_COLUMNS:
                batch.drop_column(_DROPPED_COLUMNS[table])
            if table == "pipeline_executions":
                batch.drop_constraint("pipeline_executions_pipeline_id_run_number_key")


def _finish_columns() -> None:
    """Drop the defaults, which were for existing rows, and make the numbers of runs unique."""
    for table, columns in _NEW_COLUMNS.items():
        with op.batch_alter_table(table, naming_convention=_NAMING) as batch:
            for name, type_, _ in columns:
                batch.alter_column(name, existing_type=type_, existing_nullable=False, server_default=None)
            if table == "pipeline_executions":
                batch.create_unique_constraint(
                    "pipeline_executions_name_key_run_number_key", ["name_key", "run_number"]
                )
