"""The schema of the database, and the upgrade of databases of version 0.1."""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
import shutil
import subprocess
import sys
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from alembic import command, op
from alembic.autogenerate import compare_metadata
from sqlalchemy import create_engine, inspect, make_url, text

import cicd_common
from cicd_common import ContractError, ExecutionStatus, structure, unstructure
from cicd_common.api.request import JobStatusUpdate, PipelineExecutionRequest, ReportRequest
from cicd_common.model import Pipeline, UpdateOutcome
from cicd_common.store import ExecutionStore, SchemaError, StoreError
from cicd_common.store.engine import Database
from cicd_common.store.migrations import REVISIONS
from cicd_common.store.schema import config_for, migration_context, script_directory
from cicd_common.store.tables import job_executions, metadata
from tests.support.store_processes import PATIENCE

pytest.importorskip("psycopg")

DATABASES = Path(__file__).parent / "databases"
READ = json.loads((DATABASES / "0.1.json").read_text())
RUNS = {UUID(run["execution"]["id"]): run for run in READ["runs"]}


def fill(url: str) -> str:
    """Make the database that version 0.1 has filled."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        shutil.copy(DATABASES / "0.1.db", parsed.database)
        return url
    execute(url, (DATABASES / "0.1.sql").read_text().replace(":", "\\:"))
    return url


@contextmanager
def connection_to(url: str):
    """A connection of the store, in a transaction that writes."""
    database = Database(url, PATIENCE)
    try:
        with database.write() as connection:
            yield connection
    finally:
        database.close()


def execute(url: str, statements: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statements))
    engine.dispose()


@pytest.fixture
def old_url(bare_url):
    """The URL of a database that version 0.1 has filled."""
    return fill(bare_url)


def schema_of(url: str) -> dict[str, object]:
    """Return the tables of a database with all their properties, in a fixed order."""
    engine = create_engine(url)
    found = inspect(engine)

    def ordered(things):
        return sorted(
            ({key: str(value) for key, value in thing.items() if key != "comment"} for thing in things), key=str
        )

    tables = {
        name: {
            "columns": ordered(found.get_columns(name)),
            "primary key": sorted(found.get_pk_constraint(name)["constrained_columns"]),
            "foreign keys": ordered(
                {key: value for key, value in each.items() if key != "name"} for each in found.get_foreign_keys(name)
            ),
            "unique": sorted(each["column_names"] for each in found.get_unique_constraints(name)),
            "checks": ordered(found.get_check_constraints(name)),
            "indexes": ordered(
                {**each, "dialect_options": {k: str(v) for k, v in each.get("dialect_options", {}).items()}}
                for each in found.get_indexes(name)
            ),
        }
        for name in found.get_table_names()
    }
    engine.dispose()
    return tables


class TestScripts:
    def test_are_those_that_the_package_names(self):
        """The scripts are those of `REVISIONS`, in order and without branches."""
        assert tuple(script.revision for script in script_directory().walk_revisions())[::-1] == REVISIONS

    def test_the_first_makes_the_tables_of_version_0_1(self, old_url, tmp_path, request):
        """The first script makes each column, key, check and index of version 0.1."""
        expected = schema_of(old_url)
        if old_url.startswith("sqlite"):
            url = f"sqlite:///{tmp_path}/first.db"
        else:
            url = request.getfixturevalue("another_schema")
        with connection_to(url) as connection:
            command.upgrade(config_for(connection), REVISIONS[0])
        found = schema_of(url)
        del found["cicd_common_revision"]
        assert found == expected

    def test_lead_to_the_tables_of_today(self, bare_url, tmp_path, request):
        """An upgraded database has the tables of a new one and of the package's metadata."""
        ExecutionStore(fill(bare_url), upgrade=True).close()
        url = (
            f"sqlite:///{tmp_path}/new.db"
            if bare_url.startswith("sqlite")
            else request.getfixturevalue("another_schema")
        )
        ExecutionStore(url).close()
        assert schema_of(bare_url) == schema_of(url)
        for each in (bare_url, url):
            with connection_to(each) as connection:
                assert compare_metadata(migration_context(connection), metadata) == []

    def test_a_difference_is_seen(self, bare_url):
        """Both comparisons of this class find a table that differs."""
        ExecutionStore(bare_url).close()
        before = schema_of(bare_url)
        execute(bare_url, "ALTER TABLE watch ADD COLUMN more TEXT")
        assert schema_of(bare_url) != before
        with connection_to(bare_url) as connection:
            [(what, _, table, _)] = compare_metadata(migration_context(connection), metadata)
        assert (what, table) == ("remove_column", "watch")


@pytest.fixture
def another_schema(postgres_schema):
    """The URL of another schema of PostgreSQL."""
    name = f"cicd_common_test_{uuid4().hex}"
    execute(postgres_schema, f"CREATE SCHEMA {name}")
    yield make_url(postgres_schema).update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(False)
    execute(postgres_schema, f"DROP SCHEMA {name} CASCADE")


class TestOldDatabase:
    def test_is_refused(self, old_url):
        """The error names the command that upgrades the database, which is not changed."""
        before = schema_of(old_url)
        with pytest.raises(SchemaError) as caught:
            ExecutionStore(old_url)
        assert str(caught.value) == (
            "expected tables of revision 3, found those of revision 1; this upgrades them: "
            "python -m cicd_common.store upgrade URL"
        )
        assert schema_of(old_url) == before

    def test_keeps_what_it_has(self, old_url):
        """Definitions, runs, output and artifacts are read as version 0.1 read them."""
        with ExecutionStore(old_url, upgrade=True) as store:
            for expected in READ["definitions"]:
                assert store.pipeline(UUID(expected["id"])) == structure(expected, Pipeline)
            for run_id, expected in RUNS.items():
                execution = store.execution(run_id)
                assert execution.status == expected["status"] == store.status(run_id).status
                assert without_numbers(expected["execution"]).items() <= without_numbers(unstructure(execution)).items()
                assert execution.branch == execution.pipeline.branch
                for job_id, output in expected["logs"].items():
                    assert store.logs(UUID(job_id)).text == output
                for job_id, files in expected["artifacts"].items():
                    assert unstructure(store.artifacts(UUID(job_id))) == files

    def test_is_numbered_by_name(self, old_url):
        """Runs of two definitions of one name are numbered in the order of their starts."""
        with ExecutionStore(old_url, upgrade=True) as store:
            page = store.report(ReportRequest(pipeline_name="build"))
            assert [record.run_number for record in page.executions] == [7, 6, 5, 4, 3, 2, 1]
            started = [run_id for run_id, run in RUNS.items() if run["execution"]["pipeline"]["name"] == "build"]
            assert [record.execution_id for record in page.executions] == started[::-1]
            for names in ({"stage_name": "check"}, {"stage_name": "check", "job_name": "test"}):
                parts = store.report(ReportRequest(pipeline_name="build", **names)).executions
                assert [part.run_number for part in parts] == [7, 6, 5, 4, 3, 2, 1]
            develop = next(each for each in store.pipelines() if each.branch == "develop")
            request = PipelineExecutionRequest(request_id=uuid4(), repo=develop.repo_url, pipeline_id=develop.id)
            assert store.start(request).execution.run_number == 8
            [(deploy, _)] = [(each.id, each) for each in store.pipelines(name="deploy")]
            assert store.start(store.pipeline(deploy)).execution.run_number == 2

    def test_knows_its_requests(self, old_url):
        """A request that version 0.1 has executed starts no second run."""
        with ExecutionStore(old_url, upgrade=True) as store:
            [main, *_] = [each for each in store.pipelines(name="build") if each.branch == "main"]
            request = PipelineExecutionRequest(request_id=UUID(int=2), repo=main.repo_url, pipeline_id=main.id)
            started = store.start(request)
            assert started.jobs == ()
            assert started.execution.run_number == 7

    def test_its_jobs_are_sent_again_and_run_to_their_end(self, old_url):
        """Each job that ran or waited is sent once, and every run ends."""
        with ExecutionStore(old_url, upgrade=True) as store:
            last = max(store.execution(run_id).stages[0].jobs[0].queued_at for run_id in RUNS)
            at = last + timedelta(minutes=10)
            requests = list(store.take_over(at).jobs)
            assert {request.job_execution_id for request in requests} == going_jobs(is_canceled=False)
            assert {request.attempt for request in requests} == {1}
            for request in requests:
                for sequence, status in enumerate(("RUNNING", "SUCCESS"), request.last_sequence + 1):
                    update = JobStatusUpdate(
                        job_execution_id=request.job_execution_id,
                        sequence=sequence,
                        status=ExecutionStatus(status),
                        occurred_at=at,
                        worker="w",
                    )
                    applied = store.apply(update, at=at)
                    assert applied.outcome is UpdateOutcome.APPLIED
                    requests += applied.jobs
            # Jobs of canceled runs end if no Worker claims them within a lease.
            ended = [job for second in (20, 40, 60) for job in store.take_over(at + timedelta(seconds=second)).ended]
            assert {job.job_execution_id for job in ended} == going_jobs(is_canceled=True)
            assert {job.status for job in ended} == {ExecutionStatus.CANCELED}
            assert all(store.status(run_id).status.is_terminal for run_id in RUNS)

    def test_is_kept_by_its_keys(self, old_url):
        """Foreign keys are enforced after an upgrade, also on the connections that did it."""
        with (
            ExecutionStore(old_url, upgrade=True) as store,
            pytest.raises(StoreError),
            store._database.write() as connection,
        ):
            connection.execute(job_executions.update().values(stage_execution_id=uuid4()))

    @pytest.mark.parametrize(
        "statement", ["UPDATE cicd_common_schema SET version = 1", "DELETE FROM cicd_common_schema"]
    )
    def test_of_an_unknown_version(self, old_url, statement):
        """Tables from before version 0.1 are refused, also with `upgrade`."""
        execute(old_url, statement)
        for upgrade in (False, True):
            with pytest.raises(SchemaError, match=r"found those of revision none, which .* does not know"):
                ExecutionStore(old_url, upgrade=upgrade)


def going_jobs(*, is_canceled: bool) -> set[UUID]:
    """Return the jobs that version 0.1 handed out and that have not ended."""
    return {
        UUID(job["id"])
        for run in RUNS.values()
        for stage in run["execution"]["stages"]
        for job in stage["jobs"]
        if job["status"] in ("PENDING", "RUNNING") and job["queued_at"]
        if (run["execution"]["canceled_at"] is not None) is is_canceled
    }


def without_numbers(document):
    """Return a run without the fields that version 0.2 added or numbered anew."""
    known = {"id", "commit_hash", "is_local", "canceled_at"}
    jobs = {"id", "status", "queued_at", "start_time", "completion_time", "exit_code", "last_sequence"}
    stages = [
        {"id": stage["id"], "jobs": [{key: job[key] for key in jobs} for job in stage["jobs"]]}
        for stage in document["stages"]
    ]
    return {**{key: document[key] for key in known}, "stages": stages}


class TestUpgrade:
    def test_is_all_or_nothing(self, old_url, monkeypatch):
        """A failure in the middle leaves the database unchanged, and a second try succeeds."""
        before = schema_of(old_url)

        def fail(*_, **__):
            raise RuntimeError

        with monkeypatch.context() as patched:
            # The last step of the last revision.
            patched.setattr(op, "create_index", fail)
            with pytest.raises(RuntimeError):
                ExecutionStore(old_url, upgrade=True)
        assert schema_of(old_url) == before
        with pytest.raises(SchemaError, match="found those of revision 1"):
            ExecutionStore(old_url)
        ExecutionStore(old_url, upgrade=True).close()

    def test_a_row_that_points_nowhere_stops_it(self, tmp_path):
        """A row with an invalid foreign key stops the upgrade, also on SQLite, which does not check keys during it."""
        url = f"sqlite:///{tmp_path}/old.db"
        execute(fill(url), "INSERT INTO requests VALUES ('from', 'nowhere')")
        with pytest.raises(SchemaError, match="expected foreign keys that refer to rows that exist"):
            ExecutionStore(url, upgrade=True)
        with pytest.raises(SchemaError, match="found those of revision 1"):
            ExecutionStore(url)

    def test_runs_once_however_many_processes_ask(self, old_url):
        """If several processes upgrade at once, one does it, and then all use the database."""
        context = multiprocessing.get_context("spawn")
        with context.Pool(4) as pool:
            counts = pool.map(runs_after_upgrade, [old_url] * 4)
        assert counts == [7] * 4

    def test_of_a_database_that_is_upgraded_changes_nothing(self, bare_url):
        """Upgrading a database that is up to date changes nothing."""
        ExecutionStore(bare_url, upgrade=True).close()
        before = schema_of(bare_url)
        ExecutionStore(bare_url, upgrade=True).close()
        assert schema_of(bare_url) == before

    def test_does_not_go_back(self, bare_url):
        """A database of a newer version is refused."""
        ExecutionStore(bare_url).close()
        execute(bare_url, "UPDATE cicd_common_revision SET version_num = '9'")
        for upgrade in (False, True):
            with pytest.raises(SchemaError, match=r"found those of revision 9, which .* does not know"):
                ExecutionStore(bare_url, upgrade=upgrade)

    def test_argument_is_checked(self):
        """The argument `upgrade` must be a boolean."""
        with pytest.raises(ContractError, match="/upgrade"):
            ExecutionStore("sqlite://", upgrade="yes")


class TestNames:
    """Names that version 0.1 allowed and version 0.2 refuses."""

    def test_are_changed(self, old_url):
        """Names become NFC without bidirectional controls, and runs are found by the new names."""
        rename(
            old_url,
            ("pipelines", "name", "build", "bu\u0308ild\u202e"),
            ("pipelines", "branch", "main", "ma\u200ein"),
            ("stages", "name", "compile", "compile\u0301"),
            ("jobs", "name", "make", "\u2067make"),
        )
        pipeline, stage, job = "b\u00fcild\ufffd", "compil\u00e9", "\ufffdmake"
        old = [run_id for run_id, run in RUNS.items() if run["execution"]["pipeline"]["name"] == "build"]
        with ExecutionStore(old_url, upgrade=True) as store:
            for parts in ({}, {"stage_name": stage}, {"stage_name": stage, "job_name": job}):
                report = store.report(ReportRequest(pipeline_name=pipeline, **parts))
                assert [record.run_number for record in report.executions] == [7, 6, 5, 4, 3, 2, 1]
            found = store.execution(old[0])
            first = found.pipeline.stages[0]
            assert (found.pipeline.name, first.name, first.jobs[0].name) == (pipeline, stage, job)
            assert found.branch == "ma\ufffdin"
            assert store.start(found.pipeline).execution.run_number == len(old) + 1

    @pytest.mark.parametrize(
        ("table", "old", "new", "why"),
        [
            ("jobs", "lint", "\u200b", "cannot be made one"),
            ("pipelines", "build", "\u0958" * 200, "cannot be made one"),
            ("jobs", "lint", "test\u030c", "would be that of another"),
        ],
        ids=["nothing to be seen", "too long", "not unique"],
    )
    def test_that_cannot_be_changed_stop_the_upgrade(self, old_url, table, old, new, why):
        """The error has the place of the name but not the name; nothing is changed."""
        rename(old_url, ("jobs", "name", "test", "tes\u0165"), (table, "name", old, new))
        with pytest.raises(SchemaError, match=f"the name of [0-9a-f-]{{36}} in {table} {why}$"):
            ExecutionStore(old_url, upgrade=True)
        with pytest.raises(SchemaError, match="found those of revision 1"):
            ExecutionStore(old_url)


def rename(url: str, *changes: tuple[str, str, str, str]) -> None:
    """Change names by table, column, old and new name."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for table, column, old, new in changes:
            statement = text(f"UPDATE {table} SET {column} = :new WHERE {column} = :old")
            assert connection.execute(statement, {"old": old, "new": new}).rowcount > 0
    engine.dispose()


def runs_after_upgrade(url: str) -> int:
    with ExecutionStore(url, upgrade=True) as store:
        return len(store.report(ReportRequest(pipeline_name="build")).executions)


class TestCommand:
    def test_upgrades(self, old_url, monkeypatch):
        """The command that the error names upgrades the database."""
        monkeypatch.setattr(sys, "argv", ["store", "upgrade", old_url])
        with pytest.raises(SystemExit) as caught:
            runpy.run_module("cicd_common.store", run_name="__main__")
        assert caught.value.code == 0
        ExecutionStore(old_url).close()

    def test_says_what_failed(self, tmp_path, monkeypatch, capsys):
        """The command prints a failure in one line, without the URL."""
        monkeypatch.setattr(sys, "argv", ["store", "upgrade", f"sqlite:///{tmp_path}/none/secret.db"])
        with pytest.raises(SystemExit) as caught:
            runpy.run_module("cicd_common.store", run_name="__main__")
        assert caught.value.code == 1
        error = capsys.readouterr().err
        assert error.startswith("expected a database that answers")
        assert "secret" not in error

    def test_works_in_a_copy_of_the_package(self, tmp_path):
        """A copy under another name, in a directory with a per cent sign, works without an installation."""
        copy = tmp_path / "50%" / "theirs" / "common"
        shutil.copytree(Path(cicd_common.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
        (copy.parent / "__init__.py").touch()
        shutil.copy(DATABASES / "0.1.db", tmp_path / "old.db")
        url = f"sqlite:///{tmp_path}/old.db"
        program = f"""
import sys
sys.modules["cicd_common"] = None
from theirs.common.store import ExecutionStore, SchemaError
try:
    ExecutionStore({url!r})
except SchemaError as error:
    print(error)
"""
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "50%")}

        def run(*arguments):
            command = [sys.executable, *arguments]
            return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

        assert run("-c", program).endswith("python -m theirs.common.store upgrade URL\n")
        assert run("-m", "theirs.common.store", "upgrade", url) == ""
        with ExecutionStore(url) as store:
            assert store.status(next(iter(RUNS))).run_number == 1
