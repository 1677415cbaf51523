"""Fill a database with a long history: copy the rows of runs that the store has written.

Only the ids and the run numbers of the copies are new.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import create_engine

from cicd_common.store.tables import metadata, name_key

Row = dict[str, Any]
Rows = dict[str, list[Row]]

# For each table, the condition that selects the rows of a run, and the columns with ids that each copy replaces.
_TABLES = {
    "pipeline_executions": ("WHERE id = {id}", ("id",)),
    "stage_executions": ("WHERE pipeline_execution_id = {id}", ("id", "pipeline_execution_id")),
    "job_executions": (
        "WHERE pipeline_execution_id = {id}",
        ("id", "stage_execution_id", "pipeline_execution_id"),
    ),
    "logs": (
        "WHERE job_execution_id IN (SELECT id FROM job_executions WHERE pipeline_execution_id = {id})",
        ("job_execution_id",),
    ),
}
_BATCH = 500


def fill(url: str, pipeline_id: UUID, runs: Sequence[UUID], total: int) -> None:
    """Copy the runs of a pipeline, in turn, until the pipeline has `total` runs.

    Args:
        url: The URL of the database. Nothing else may write to it.
        pipeline_id: The id of the pipeline.
        runs: The ids of all existing runs.
        total: The number of runs at the end.
    """
    engine = create_engine(url)
    kind = _KINDS[engine.dialect.name]
    connection = engine.raw_connection()
    driver: Any = connection.driver_connection
    cursor = connection.cursor()
    templates = [_rows_of(cursor, kind.literal(run)) for run in runs]
    for first in progress(range(len(runs) + 1, total + 1, _BATCH)):
        batch: Rows = {table: [] for table in _TABLES}
        for number in range(first, min(first + _BATCH, total + 1)):
            for table, rows in _copy(templates[number % len(templates)], number, kind.new_id).items():
                batch[table] += rows
        for table, rows in batch.items():
            kind.insert(cursor, table, rows)
        driver.commit()
    cursor.execute(f"SELECT name FROM pipelines WHERE id = {kind.literal(pipeline_id)}")
    key = kind.literal(name_key(cursor.fetchone()[0]))
    cursor.execute(f"UPDATE pipeline_names SET last_run_number = {max(total, len(runs))} WHERE name_key = {key}")
    driver.commit()
    connection.close()
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as tidy:
        tidy.exec_driver_sql(kind.tidy)
    engine.dispose()


def _rows_of(cursor: Any, run: str) -> Rows:
    found = {}
    for table, (condition, _) in _TABLES.items():
        cursor.execute(f"SELECT * FROM {table} {condition.format(id=run)}")
        names = [column[0] for column in cursor.description]
        found[table] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return found


def _copy(template: Rows, number: int, new_id: Callable[[], Any]) -> Rows:
    ids: dict[Any, Any] = {}
    copies: Rows = {}
    for table, rows in template.items():
        _, keys = _TABLES[table]
        copies[table] = []
        for row in rows:
            copy = dict(row)
            for key in keys:
                copy[key] = ids.get(row[key]) or ids.setdefault(row[key], new_id())
            if "run_number" in copy:
                copy["run_number"] = number
            copies[table].append(copy)
    return copies


# --- differences between the databases -------------------------------------------------------------------------


class _SQLite:
    tidy = "PRAGMA wal_checkpoint(TRUNCATE)"

    @staticmethod
    def literal(id: UUID) -> str:
        return f"'{id.hex}'"

    @staticmethod
    def new_id() -> str:
        return uuid4().hex

    @staticmethod
    def insert(cursor: Any, table: str, rows: Sequence[Row]) -> None:
        places = ", ".join("?" * len(rows[0]))
        cursor.executemany(f"INSERT INTO {table} VALUES ({places})", [tuple(row.values()) for row in rows])


class _PostgreSQL:
    tidy = f"VACUUM ANALYZE {', '.join(table.name for table in metadata.sorted_tables)}"

    @staticmethod
    def literal(id: UUID) -> str:
        return f"'{id}'"

    @staticmethod
    def new_id() -> UUID:
        return uuid4()

    @staticmethod
    def insert(cursor: Any, table: str, rows: Sequence[Row]) -> None:
        with cursor.copy(f"COPY {table} ({', '.join(rows[0])}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(tuple(row.values()))


_KINDS: dict[str, Any] = {"sqlite": _SQLite, "postgresql": _PostgreSQL}


# --- the progress bar ------------------------------------------------------------------------------------------


def progress(steps: Sequence[int]) -> Iterator[int]:
    """Yield the steps. Show a progress bar on a terminal, or with ``--progress``."""
    start = monotonic()
    for done, step in enumerate(steps):
        yield step
        if sys.stderr.isatty() or "--progress" in sys.argv:
            part = (done + 1) / len(steps)
            left = (monotonic() - start) * (1 / part - 1)
            bar = "#" * round(part * 40)
            sys.stderr.write(f"\r[{bar:40}] {part:4.0%}, {left:4.0f} s left")
            sys.stderr.flush()
    if sys.stderr.isatty():
        sys.stderr.write("\n")
