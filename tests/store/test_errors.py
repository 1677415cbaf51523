"""Every failure is a StoreError, contains no secret, and leaves nothing half-written."""

from __future__ import annotations

import pickle
import sqlite3
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from attrs import evolve
from sqlalchemy import Engine, create_engine, event, exc, make_url, text

from cicd_common import ContractError, ExecutionStatus
from cicd_common.api.request import (
    Artifact,
    ArtifactUploadRequest,
    ExecutionLogUpload,
    JobStatusUpdate,
    PipelineExecutionRequest,
    ReportRequest,
)
from cicd_common.errors import Problem, UnknownJobError, UnknownNameError
from cicd_common.model import ExecutionLog, Job, Pipeline, Stage, UpdateOutcome
from cicd_common.reports import Cursor
from cicd_common.store import (
    BusyError,
    DefinitionError,
    ExecutionStore,
    FullError,
    SchemaError,
    StoreError,
    UnavailableError,
    UnknownExecutionError,
    UnknownJobExecutionError,
    UnknownPipelineError,
    UnknownReportNameError,
    UrlError,
)
from cicd_common.store.failures import failure
from tests.support.store_processes import opened_at_once

psycopg = pytest.importorskip("psycopg")

MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
NOBODY = UUID(int=7)
PIPELINE = Pipeline(
    name="build", repo_url="https://token@example.org", stages=(Stage(name="s", jobs=(Job(name="j", script=("x",)),)),)
)


def told(job_execution_id, **fields):
    values = {"sequence": 1, "status": ExecutionStatus.RUNNING, "occurred_at": MOMENT, "worker": "w", **fields}
    return JobStatusUpdate(job_execution_id=job_execution_id, **values)


def logged(**ids):
    return ExecutionLogUpload(logs=(ExecutionLog(sequence=0, timestamp=MOMENT, log_text="x", **ids),))


UPLOAD = ArtifactUploadRequest(job_execution_id=NOBODY, artifacts=(Artifact(path="a", size=1, sha256="0" * 64),))


class TestUnknown:
    @pytest.mark.parametrize(
        ("error", "pointer", "ask"),
        [
            (UnknownExecutionError, "/execution_id", lambda store: store.status(NOBODY)),
            (UnknownExecutionError, "/execution_id", lambda store: store.execution(NOBODY)),
            (UnknownExecutionError, "/execution_id", lambda store: store.cancel(NOBODY)),
            (UnknownJobExecutionError, "/job_execution_id", lambda store: store.apply(told(NOBODY))),
            (UnknownJobExecutionError, "/job_execution_id", lambda store: store.apply(told(NOBODY), at=MOMENT)),
            (UnknownJobExecutionError, "/job_execution_id", lambda store: store.job_status(NOBODY)),
            (UnknownJobExecutionError, "/job_execution_id", lambda store: store.job_execution(NOBODY)),
            (UnknownJobExecutionError, "/job_execution_id", lambda store: store.log_tail(NOBODY)),
            (
                UnknownExecutionError,
                "/execution_id",
                lambda store: store.add_logs(logged(pipeline_execution_id=NOBODY)),
            ),
            (
                UnknownExecutionError,
                "/execution_id",
                lambda store: store.add_logs(logged(stage_execution_id=NOBODY)),
            ),
            (
                UnknownJobExecutionError,
                "/job_execution_id",
                lambda store: store.add_logs(logged(job_execution_id=NOBODY)),
            ),
            (
                UnknownExecutionError,
                "/execution_id",
                lambda store: store.execution_logs(pipeline_execution_id=NOBODY),
            ),
            (UnknownExecutionError, "/execution_id", lambda store: store.execution_logs(stage_execution_id=NOBODY)),
            (
                UnknownJobExecutionError,
                "/job_execution_id",
                lambda store: store.execution_logs(job_execution_id=NOBODY),
            ),
            (UnknownJobExecutionError, "/job_execution_id", lambda store: store.logs(NOBODY)),
            (UnknownJobExecutionError, "/job_execution_id", lambda store: store.artifacts(NOBODY)),
            (UnknownJobExecutionError, "/job_execution_id", lambda store: store.add_artifacts(UPLOAD)),
            (UnknownPipelineError, "/pipeline_id", lambda store: store.pipeline(NOBODY)),
            (UnknownReportNameError, "/pipeline_name", lambda store: store.report(ReportRequest(pipeline_name="x"))),
        ],
    )
    def test_is_one_error(self, store, error, pointer, ask):
        """An unknown id is a StoreError and a ContractError with the pointer of the argument, and can be pickled."""
        with pytest.raises(error) as caught:
            ask(store)
        assert isinstance(caught.value, StoreError)
        assert isinstance(caught.value, ContractError)
        assert [problem.pointer for problem in caught.value.problems] == [pointer]
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)

    def test_is_what_the_model_raises(self):
        """Errors of the store derive from those of the model and of reports."""
        assert issubclass(UnknownJobExecutionError, UnknownJobError)
        assert issubclass(UnknownReportNameError, UnknownNameError)

    @pytest.mark.parametrize(
        ("error", "fields"),
        [
            (UnknownPipelineError, {"pipeline_id": NOBODY}),
            (UnknownPipelineError, {"file_path": "pipeline.yaml"}),
            (UnknownPipelineError, {"pipeline_id": NOBODY, "pipeline": PIPELINE}),
        ],
    )
    def test_request(self, store, error, fields):
        """A request without a definition, or with an unknown or wrong id, is refused, and nothing is stored."""
        request = PipelineExecutionRequest(request_id=NOBODY, repo="r", **fields)
        for _ in range(2):
            with pytest.raises(error):
                store.start(request)
        assert store.pipelines() == ()
        assert store.start(PIPELINE, request_id=NOBODY).jobs

    def test_another_repository_than_the_pipelines_is_refused(self, store):
        """Another repository is refused, because its code would run with the secrets of the pipeline."""
        request = PipelineExecutionRequest(request_id=NOBODY, repo="https://evil.example", pipeline=PIPELINE)
        with pytest.raises(DefinitionError, match="/repo: expected the repository of the pipeline"):
            store.start(request)
        assert store.pipelines() == ()
        store.start(PIPELINE)
        with pytest.raises(DefinitionError):
            store.start(evolve(request, pipeline=None, pipeline_id=PIPELINE.id))
        started = store.start(
            evolve(request, repo=PIPELINE.repo_url, branch="develop", pipeline=None, pipeline_id=PIPELINE.id)
        )
        assert started.jobs[0].branch == "develop"

    def test_request_of_a_run(self, store):
        """A request has no run before it starts one, and then always that run."""
        assert store.started(NOBODY) is None
        started = store.start(PIPELINE, request_id=NOBODY)
        assert store.started(NOBODY) == started.execution
        store.apply(told(started.jobs[0].job_execution_id))
        assert store.started(NOBODY) == store.status(started.execution.execution_id) != started.execution

    def test_definition(self, store):
        """A definition that uses ids of another definition is refused."""
        store.start(PIPELINE)
        for other in (evolve(PIPELINE, name="other"), evolve(PIPELINE, id=NOBODY)):
            with pytest.raises(DefinitionError):
                store.start(other)
        assert [PIPELINE.id] == [pipeline.id for pipeline in store.pipelines()]
        assert store.start(PIPELINE).execution.run_number == 2


def cursor_of(sequence):
    return urlsafe_b64encode(f"{MOMENT.isoformat()} {sequence} {NOBODY}".encode()).decode()


class TestArguments:
    @pytest.mark.parametrize(
        ("pointer", "ask"),
        [
            ("/at", lambda store: store.start(PIPELINE, at=datetime(2026, 1, 1))),
            ("/at", lambda store: store.cancel(NOBODY, datetime(2026, 1, 1))),
            ("/request_id", lambda store: store.start(PIPELINE, request_id="x")),
            ("/execution_id", lambda store: store.status("x")),
            ("/request_id", lambda store: store.started("x")),
            ("/limit", lambda store: store.logs(NOBODY, limit=0)),
            ("/limit", lambda store: store.pipelines(limit=1_001)),
            ("/limit", lambda store: store.execution_logs(job_execution_id=NOBODY, limit=0)),
            ("/max_bytes", lambda store: store.log_tail(NOBODY, max_bytes=0)),
            ("/at", lambda store: store.take_over(datetime(2026, 1, 1))),
            ("/at", lambda store: store.apply(told(NOBODY), at=datetime(2026, 1, 1))),
            ("/count", lambda store: store.forget(before=MOMENT, keep_last=-1)),
            ("", lambda store: store.forget(before=None)),
            ("", lambda store: store.apply_all(None)),
            ("/cursor", lambda store: store.execution_logs(job_execution_id=NOBODY, after=5)),
            ("/cursor", lambda store: store.execution_logs(job_execution_id=NOBODY, after=cursor_of(2**63))),
            ("/cursor", lambda store: store.execution_logs(job_execution_id=NOBODY, after=cursor_of(-1))),
            ("/lease_seconds", lambda _: ExecutionStore("sqlite://", lease_seconds=2**60)),
            ("/resend_seconds", lambda _: ExecutionStore("sqlite://", resend_seconds=2**60)),
            ("/branch", lambda store: store.start(PIPELINE, branch="")),
            ("/lease_seconds", lambda _: ExecutionStore("sqlite://", lease_seconds=0)),
            ("/cursor", lambda store: store.execution_logs(job_execution_id=NOBODY, after="x")),
            ("", lambda store: store.execution_logs()),
            ("", lambda store: store.execution_logs(job_execution_id=NOBODY, stage_execution_id=NOBODY)),
            ("/after_sequence", lambda store: store.logs(NOBODY, after=-1)),
            ("/cursor", lambda store: store.report(ReportRequest(pipeline_name="build", cursor="x"))),
            ("", lambda store: store.outbox.confirm(None)),
            ("", lambda store: store.outbox.fail(NOBODY)),
        ],
    )
    def test_are_checked(self, store, pointer, ask):
        """The store checks its arguments by the rules of the contract's fields."""
        with pytest.raises(ContractError) as caught:
            ask(store)
        assert [problem.pointer for problem in caught.value.problems] == [pointer]

    def test_a_cursor_may_hold_more_than_the_database(self, store):
        """A cursor with a run number beyond the range of the database leads to the first page."""
        store.start(PIPELINE)
        for number in (2**63, 2**64 - 1):
            request = ReportRequest(pipeline_name=PIPELINE.name, cursor=str(Cursor(number, NOBODY)))
            assert store.report(request) == store.report(ReportRequest(pipeline_name=PIPELINE.name))


class TestUrl:
    @pytest.mark.parametrize(
        "url",
        [
            "",
            "secret",
            "postgres://u:secret@h/n",
            "mysql://u:secret@h/n",
            "postgresql+asyncpg://u:secret@h/n",
            "postgresql://u:secret@h:port/n",
            "postgresql://u:secret@h/n?unknown=1",
            "postgresql://u:secret@h/n\0",
            "sqlite://secret/x.db",
            "sqlite:///x.db?timeout=secret",
            None,
        ],
    )
    def test_is_refused(self, url):
        """An unsupported or invalid URL is an error that does not contain the password."""
        with pytest.raises(UrlError) as caught:
            ExecutionStore(url)
        assert "secret" not in str(caught.value)
        assert caught.value.__suppress_context__

    @pytest.mark.parametrize("name", ["", ":memory:", "file::memory:?uri=true", "file:x?mode=memory&uri=true"])
    def test_of_a_database_in_memory(self, name):
        """For every spelling of a database in memory, all threads use the same database."""
        with ExecutionStore(f"sqlite:///{name}") as store, ThreadPoolExecutor(4) as pool:
            numbers = pool.map(lambda _: store.start(PIPELINE).execution.run_number, range(4))
            assert sorted(numbers) == [1, 2, 3, 4]


class TestUnavailable:
    def test_nobody_answers(self, unused_tcp_port):
        """A missing server is an UnavailableError that does not contain the password."""
        with pytest.raises(UnavailableError) as caught:
            ExecutionStore(f"postgresql://user:secret@127.0.0.1:{unused_tcp_port}/name", timeout=2)
        assert "secret" not in str(caught.value)
        assert caught.value.__suppress_context__

    def test_no_directory(self, tmp_path):
        """A file in a missing directory is an UnavailableError."""
        with pytest.raises(UnavailableError):
            ExecutionStore(f"sqlite:///{tmp_path}/none/store.db")

    def test_no_database(self, tmp_path):
        """A file that is no database is an UnavailableError."""
        (tmp_path / "store.db").write_text("no database" * 1_000)
        with pytest.raises(UnavailableError):
            ExecutionStore(f"sqlite:///{tmp_path}/store.db")

    def test_closed(self, store):
        """A closed store raises an UnavailableError, and may be closed again."""
        store.close()
        store.close()
        with pytest.raises(UnavailableError, match="closed"):
            store.status(NOBODY)

    def test_connection_lost(self, postgres_schema):
        """If the server ends a connection, the call fails and writes nothing, and the next call works."""
        with ExecutionStore(postgres_schema) as store, ended_at(postgres_schema, "INSERT INTO pipeline_executions"):
            pipeline = evolve(with_own_ids(PIPELINE), name=f"{uuid4()}")
            with pytest.raises(UnavailableError):
                store.start(pipeline)
            with pytest.raises(UnknownPipelineError):
                store.pipeline(pipeline.id)
            assert store.start(pipeline).execution.run_number == 1

    def test_connection_lost_in_an_update(self, postgres_schema):
        """If a connection is lost during an update, the call fails and writes nothing, and a repeat works."""
        with ExecutionStore(postgres_schema) as store:
            (job,) = store.start(with_own_ids(PIPELINE)).jobs
            update = told(job.job_execution_id, logs="secret")
            with ended_at(postgres_schema, "INSERT INTO logs"), pytest.raises(UnavailableError) as caught:
                store.apply(update)
            assert "secret" not in str(caught.value)
            assert store.job_status(job.job_execution_id).status is ExecutionStatus.PENDING
            assert store.logs(job.job_execution_id).chunks == ()
            assert store.apply(update).outcome is UpdateOutcome.APPLIED

    def test_a_server_that_became_read_only(self, postgres_schema):
        """After a fail-over the read-only connection is discarded, and the next call has another one."""
        with ExecutionStore(postgres_schema) as store:
            (job,) = store.start(with_own_ids(PIPELINE)).jobs

            def make_read_only(connection, _cursor, statement, *_):
                if statement.startswith("UPDATE"):
                    driver = connection.connection.driver_connection
                    driver.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
                    driver.execute("SET TRANSACTION READ ONLY")

            event.listen(Engine, "before_cursor_execute", make_read_only)
            try:
                with pytest.raises(UnavailableError, match="25006"):
                    store.apply(told(job.job_execution_id))
            finally:
                event.remove(Engine, "before_cursor_execute", make_read_only)
            assert store.apply(told(job.job_execution_id)).outcome is UpdateOutcome.APPLIED


def with_own_ids(pipeline):
    stages = [
        evolve(stage, id=uuid4(), jobs=tuple(evolve(job, id=uuid4()) for job in stage.jobs))
        for stage in pipeline.stages
    ]
    return evolve(pipeline, id=uuid4(), stages=tuple(stages))


def end(url, pid):
    """Let the server end a connection."""
    engine = create_engine(url)
    with engine.begin() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid, 60000)"), {"pid": pid})
    engine.dispose()


class ended_at:  # noqa: N801 - used as a function
    """Let the server end a connection once, just before a statement."""

    def __init__(self, url, statement):
        self.url, self.statement = url, statement

    def __enter__(self):
        event.listen(Engine, "before_cursor_execute", self.end)

    def end(self, connection, _cursor, statement, *_):
        if statement.startswith(self.statement):
            self.__exit__()
            end(self.url, connection.connection.driver_connection.info.backend_pid)

    def __exit__(self, *_):
        if event.contains(Engine, "before_cursor_execute", self.end):
            event.remove(Engine, "before_cursor_execute", self.end)


class TestTimeout:
    @pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), 1e9, "1", True, None])
    @pytest.mark.parametrize("database", ["sqlite", "postgresql"])
    def test_is_checked_when_the_store_is_opened(self, database, timeout):
        """An invalid timeout is refused for both databases, before a connection is opened."""
        url = "sqlite://" if database == "sqlite" else "postgresql://u:secret@127.0.0.1:1/n"
        with pytest.raises(UrlError, match="/timeout: expected a number of seconds"):
            ExecutionStore(url, timeout=timeout)

    @pytest.mark.parametrize("timeout", [0, 0.0004])
    def test_of_nothing_does_not_wait(self, url, timeout):
        """A timeout of 0 does not wait, also on PostgreSQL, where 0 means no limit."""
        with ExecutionStore(url) as store, opened_at_once(url, timeout) as hasty:
            run = store.start(PIPELINE).execution.execution_id
            with store._database.write() as connection:
                connection.execute(text("UPDATE pipeline_executions SET is_local = is_local"))
                with pytest.raises(BusyError):
                    hasty.cancel(run)

    def test_of_a_process_that_is_stopped_within_a_transaction(self, postgres_schema):
        """PostgreSQL ends a transaction that is idle for a minute."""
        with ExecutionStore(postgres_schema) as store, store._database.read() as connection:
            asked = text("SHOW idle_in_transaction_session_timeout")
            assert connection.execute(asked).scalar_one() == "1min"

    def test_a_default_isolation_level_of_the_server_does_not_matter(self, postgres_schema):
        """Writes are READ COMMITTED and reads are read-only REPEATABLE READ, for any default of the server."""
        url = make_url(postgres_schema)
        options = f"{url.query['options']} -cdefault_transaction_isolation=serializable"
        asked = text("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')")
        with ExecutionStore(url.update_query_dict({"options": options}).render_as_string()) as store:
            found = []
            for begin in (store._database.write, store._database.read, store._database.write):
                with begin() as connection:
                    found.append(tuple(connection.execute(asked).one()))
        assert found == [("read committed", "off"), ("repeatable read", "on"), ("read committed", "off")]

    def test_an_encoding_of_the_environment_does_not_matter(self, postgres_schema, monkeypatch):
        """Texts are sent in UTF-8, for any encoding in the environment."""
        monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
        with ExecutionStore(postgres_schema) as store:
            pipeline = evolve(with_own_ids(PIPELINE), name="bäu")
            store.start(pipeline)
            assert store.pipeline(pipeline.id) == pipeline


class TestBusy:
    def test_others_write(self, url):
        """A call that waits too long for another writer raises a BusyError, and works when it is repeated."""
        with ExecutionStore(url) as store, opened_at_once(url, 0.2) as hasty:
            started = store.start(PIPELINE)
            run, update = started.execution.execution_id, told(started.jobs[0].job_execution_id)
            with store._database.write() as connection:
                connection.execute(text("UPDATE pipeline_executions SET is_local = is_local"))
                with pytest.raises(BusyError):
                    hasty.cancel(run)
                with pytest.raises(BusyError):
                    hasty.apply(update)
                assert hasty.status(run).status is ExecutionStatus.PENDING
            assert hasty.apply(update).outcome is UpdateOutcome.APPLIED
            assert hasty.cancel(run)

    def test_others_read(self, tmp_path):
        """Opening a file for the first time raises a BusyError if another connection reads it."""
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        other.execute("CREATE TABLE something (id)")
        other.execute("BEGIN")
        other.execute("SELECT * FROM something").fetchall()
        with pytest.raises(BusyError):
            ExecutionStore(f"sqlite:///{tmp_path}/store.db", timeout=0.1)
        other.close()
        ExecutionStore(f"sqlite:///{tmp_path}/store.db").close()

    def test_all_connections_in_use(self):
        """A call raises a BusyError if all connections are in use."""
        with ExecutionStore("sqlite://", timeout=0.05) as store:
            with store._database.read(), pytest.raises(BusyError):
                store.pipelines()
            assert store.pipelines() == ()


class TestFull:
    def test_writes_nothing(self, tmp_path):
        """A database without room raises a FullError and stores nothing of the call."""

        def limit(connection, _):
            connection.execute("PRAGMA max_page_count = 150")

        event.listen(Engine, "connect", limit)
        try:
            with ExecutionStore(f"sqlite:///{tmp_path}/store.db") as store:
                (job,) = store.start(PIPELINE).jobs
                update = told(job.job_execution_id, logs="x" * 1_000_000)
                with pytest.raises(FullError):
                    store.apply(update)
                assert store.job_status(job.job_execution_id).status is ExecutionStatus.PENDING
                assert store.logs(job.job_execution_id).chunks == ()
                store.apply(evolve(update, logs="less"))
        finally:
            event.remove(Engine, "connect", limit)


class TestFailure:
    @pytest.mark.parametrize(
        ("error", "cause"),
        [
            (FullError, psycopg.errors.DiskFull("secret")),
            (BusyError, psycopg.errors.LockNotAvailable("secret")),
            (BusyError, psycopg.errors.DeadlockDetected("secret")),
            (BusyError, psycopg.errors.QueryCanceled("secret")),
            (UnavailableError, psycopg.errors.AdminShutdown("secret")),
            (UnavailableError, psycopg.errors.ReadOnlySqlTransaction("secret")),
            (UnavailableError, psycopg.errors.InvalidPassword("secret")),
            (UnavailableError, psycopg.errors.InvalidCatalogName("secret")),
            (UnavailableError, psycopg.errors.TooManyConnections("secret")),
            (UnavailableError, psycopg.errors.IdleInTransactionSessionTimeout("secret")),
            (UnavailableError, psycopg.errors.IoError("secret")),
            (UnavailableError, psycopg.errors.DataCorrupted("secret")),
            (UnavailableError, psycopg.OperationalError("secret")),
            (StoreError, psycopg.errors.UndefinedTable("secret")),
            (StoreError, psycopg.ProgrammingError("secret")),
        ],
    )
    def test_is_told_by_its_code(self, error, cause):
        """The code of the server selects the class of the error, and nothing of its text is repeated."""
        found = failure(exc.DBAPIError("secret", {}, cause))
        assert type(found) is error
        assert "secret" not in str(found)
        assert type(cause).__name__ in str(found)

    def test_of_sqlalchemy(self):
        """An error of SQLAlchemy itself becomes a StoreError."""
        assert type(failure(exc.InvalidRequestError("secret"))) is StoreError

    def test_does_not_show_what_caused_it(self, bare_url):
        """Errors and tracebacks do not show the text of the database, which can contain stored values."""
        with ExecutionStore(bare_url) as store:
            with store._database.write() as connection:
                connection.execute(text("DROP TABLE artifacts"))
                connection.execute(text("DROP TABLE logs"))
            (job,) = store.start(PIPELINE).jobs
            with pytest.raises(StoreError) as caught:
                store.apply(told(job.job_execution_id, logs="secret"))
        assert "secret" not in str(caught.value)
        assert caught.value.__suppress_context__


class TestSchema:
    def test_is_made_once(self, bare_url):
        """Opening a database again changes nothing."""
        with ExecutionStore(bare_url) as store:
            store.start(PIPELINE)
        with ExecutionStore(bare_url) as store:
            assert [PIPELINE.id] == [pipeline.id for pipeline in store.pipelines()]

    def test_of_others(self, bare_url):
        """A database with foreign tables whose names the store uses is refused and not changed."""
        execute(bare_url, "CREATE TABLE jobs (id INTEGER)")
        with pytest.raises(SchemaError, match="found tables of others: jobs"):
            ExecutionStore(bare_url)
        execute(bare_url, "SELECT id FROM jobs")

    def test_a_database_that_cannot_hold_every_text_is_refused(self, postgres_schema):
        """A database with another encoding than UTF-8 is refused, and the error names both encodings."""
        name = f"cicd_common_test_{uuid4().hex}"
        admin = create_engine(postgres_schema, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(
                text(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
            )
            try:
                with pytest.raises(SchemaError, match="expected a database with the encoding UTF8, found SQL_ASCII"):
                    ExecutionStore(admin.url.set(database=name).render_as_string(hide_password=False))
            finally:
                connection.execute(text(f"DROP DATABASE {name}"))
        admin.dispose()

    def test_sqlite_settings(self, tmp_path):
        """SQLite has a write-ahead log, enforces foreign keys, and syncs each commit."""
        with ExecutionStore(f"sqlite:///{tmp_path}/store.db") as store, store._database.read() as connection:
            found = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "foreign_keys", "synchronous")
            }
        assert found == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2}

    def test_closes_cleanly(self, tmp_path):
        """A closed store leaves one file."""
        with ExecutionStore(f"sqlite:///{tmp_path}/store.db") as store:
            store.start(PIPELINE)
        assert [path.name for path in tmp_path.iterdir()] == ["store.db"]


def execute(url, statement):
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture
def unused_tcp_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]  # It is bound, so that no other program gets it, but does not listen.


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnavailableError, 503),
        (BusyError, 503),
        (DefinitionError, 409),
        (UnknownPipelineError, 404),
        (UnknownExecutionError, 404),
        (UnknownJobExecutionError, 404),
        (UnknownReportNameError, 404),
    ],
)
def test_errors_carry_the_status_of_an_answer(error, status):
    """Each error has its HTTP status, also in its problem document."""
    assert error.status == status
    if issubclass(error, ContractError):
        assert error(Pipeline, [Problem("/id", "value", "expected another one")]).to_problem()["status"] == status
