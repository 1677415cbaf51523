"""Calls of the store while the connection to PostgreSQL is cut, reset or delayed at every place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from random import Random
from threading import Lock
from uuid import UUID, uuid4

import pytest
from attrs import evolve
from sqlalchemy import make_url

from cicd_common import ExecutionStatus
from cicd_common.api.request import (
    Artifact,
    ArtifactUploadRequest,
    ExecutionLogUpload,
    JobStatusUpdate,
    PipelineExecutionRequest,
    ReportRequest,
)
from cicd_common.model import ExecutionLog, Job, Pipeline, Stage, UpdateOutcome
from cicd_common.store import ExecutionStore, UnavailableError
from tests.support.proxy import Proxy, proxy_to

pytest.importorskip("psycopg")

MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
FAULTS = ("cut", "halve", "reset")


def pipeline() -> Pipeline:
    jobs = (Job(name="a", script=("x",)), Job(name="b", script=("x",), dependencies=("a",)))
    return Pipeline(name=f"build {uuid4()}", repo_url="r", stages=(Stage(name="s", jobs=jobs),))


def told(job: UUID, sequence: int, status: ExecutionStatus = ExecutionStatus.RUNNING) -> JobStatusUpdate:
    return JobStatusUpdate(
        job_execution_id=job,
        sequence=sequence,
        status=status,
        occurred_at=MOMENT,
        logs=f"{sequence}\n",
        worker="w",
    )


@pytest.fixture
def proxy(postgres_schema) -> Iterator[Proxy]:
    url = make_url(postgres_schema)
    with proxy_to(url.host or "127.0.0.1", url.port or 5432) as proxy:
        yield proxy


@pytest.fixture
def direct(postgres_schema) -> Iterator[ExecutionStore]:
    """A store whose connection has no faults."""
    with ExecutionStore(postgres_schema) as store:
        yield store


@pytest.fixture
def store(postgres_schema, proxy) -> Iterator[ExecutionStore]:
    """A store that is connected through the proxy."""
    url = make_url(postgres_schema).set(host="127.0.0.1", port=proxy.port)
    with ExecutionStore(url.render_as_string(hide_password=False)) as store:
        yield store


class Once:
    """A single fault, at one place of the data to or from the server."""

    def __init__(self, fault: str, place: int, *, to_server: bool) -> None:
        self._when = (to_server, place)
        self._fault = fault
        self.has_happened = False

    def __call__(self, to_server: bool, place: int) -> str:
        if (to_server, place) != self._when:
            return "pass"
        self.has_happened = True
        return self._fault


def every_place(proxy: Proxy, fault: str, call: Callable[[], None]) -> int:
    """Make a call with a fault at each place of its data, and return the number of places."""
    count = 0
    for to_server in (True, False):
        for place in range(1_000):
            once = Once(fault, place, to_server=to_server)
            proxy.set_fault(once)
            call()
            proxy.pass_all()
            if not once.has_happened:
                break
            count += 1
    return count


def tried(call):
    """Return the results of a call, and of a second one without faults if the first one fails."""
    try:
        return [call()]
    except UnavailableError:
        return [None, call()]


@pytest.mark.no_cover
@pytest.mark.parametrize("fault", FAULTS)
class TestEveryPlace:
    """A call ends with its result or an UnavailableError, and the next one works. A repeat does no harm."""

    def test_of_an_update(self, store, direct, proxy, fault):
        """Each update is applied once, whether the fault comes before or after the commit."""
        (job,) = store.start(pipeline(), at=MOMENT).jobs
        outcomes: list[UpdateOutcome] = []

        def call() -> None:
            update = told(job.job_execution_id, len(outcomes) + 1)
            *_, applied = tried(lambda: store.apply(update))
            outcomes.append(applied.outcome)

        assert every_place(proxy, fault, call) >= 8
        # At some places the write is lost, and at others only the answer.
        assert set(outcomes) == {UpdateOutcome.APPLIED, UpdateOutcome.LATE}
        assert direct.logs(job.job_execution_id).text == "".join(f"{at}\n" for at in range(1, len(outcomes) + 1))
        assert direct.job_execution(job.job_execution_id).last_sequence == len(outcomes)

    def test_of_a_start(self, store, direct, proxy, fault):
        """A request starts one run, run numbers have no gaps, and the job is handed out at most once."""
        what = pipeline()
        runs: list[UUID] = []

        def call() -> None:
            request = PipelineExecutionRequest(request_id=uuid4(), repo="r", pipeline=what)
            *_, started = tried(lambda: store.start(request))
            runs.append(started.execution.execution_id)
            assert started.execution.run_number == len(runs)
            assert len(started.jobs) <= 1

        assert every_place(proxy, fault, call) >= 8
        report = direct.report(ReportRequest(pipeline_name=what.name, limit=1000))
        assert [record.execution_id for record in report.executions] == runs[::-1]

    def test_of_other_writes(self, store, direct, proxy, fault):
        """Artifacts, logs and cancellations are stored once, however often they are repeated."""
        runs = [direct.start(pipeline()) for _ in range(60)]
        left = iter(runs)
        written = []

        def call() -> None:
            run = next(left)
            job = run.jobs[0].job_execution_id
            log = ExecutionLog(job_execution_id=job, sequence=0, timestamp=MOMENT, log_text="x")
            artifact = Artifact(path="a", size=1, sha256="0" * 64)
            tried(lambda: store.add_logs(ExecutionLogUpload(logs=(log,))))
            tried(lambda: store.add_artifacts(ArtifactUploadRequest(job_execution_id=job, artifacts=(artifact,))))
            *_, to_stop = tried(lambda: store.cancel(run.execution.execution_id))
            assert [each.job_execution_id for each in to_stop] == [job]
            written.append((run.execution.execution_id, job, log, artifact))

        every_place(proxy, fault, call)
        for run_id, job, log, artifact in written:
            assert direct.execution_logs(pipeline_execution_id=run_id).logs == (log,)
            assert direct.artifacts(job) == (artifact,)
            assert direct.execution(run_id).canceled_at is not None

    def test_of_a_read(self, store, direct, proxy, fault):
        """A read returns the whole result or an error."""
        run = store.start(pipeline())
        job = run.jobs[0].job_execution_id
        store.apply(evolve(told(job, 1), logs="x" * 200_000))
        whole = direct.execution(run.execution.execution_id), direct.logs(job)

        def call() -> None:
            *_, found = tried(lambda: (store.execution(run.execution.execution_id), store.logs(job)))
            assert found == whole

        assert every_place(proxy, fault, call) >= 8


class TestDelay:
    @pytest.mark.parametrize("to_server", [True, False])
    def test_ends_with_the_result(self, store, proxy, to_server):
        """A call whose data is delayed ends when the data arrives."""
        (job,) = store.start(pipeline()).jobs
        proxy.set_fault(Once("hold", 2, to_server=to_server))
        with ThreadPoolExecutor(1) as pool:
            applied = pool.submit(store.apply, told(job.job_execution_id, 1))
            assert proxy.held.wait(30)
            assert not applied.done()
            # Other calls do not wait.
            assert store.job_status(job.job_execution_id).status is ExecutionStatus.PENDING
            proxy.freed.set()
            assert applied.result().outcome is UpdateOutcome.APPLIED


class TestOutage:
    def test_ends_when_the_way_is_free(self, store, proxy):
        """During an outage each call is an error; the first call after it works."""
        (job,) = store.start(pipeline()).jobs
        proxy.take_down()
        for _ in range(3):
            with pytest.raises(UnavailableError):
                store.apply(told(job.job_execution_id, 1))
        proxy.bring_up()
        assert store.apply(told(job.job_execution_id, 1)).outcome is UpdateOutcome.APPLIED

    def test_that_nobody_noticed_is_one_error(self, store, proxy):
        """If all connections of the pool were cut, one call fails, and the next calls work."""
        (job,) = store.start(pipeline()).jobs
        with store._database.read(), store._database.read(), store._database.read():
            pass
        proxy.cut()
        with pytest.raises(UnavailableError):
            store.apply(told(job.job_execution_id, 1))
        for _ in range(5):
            assert store.job_status(job.job_execution_id).status is ExecutionStatus.PENDING
        with store._database.read(), store._database.read(), store._database.read():
            pass

    def test_a_partition_ends_a_connection(self, store):
        """The connection is configured to fail after about a minute without answers."""
        with store._database.read() as connection:
            found = connection.connection.driver_connection.info.get_parameters()
        assert {name: found[name] for name in ("keepalives_idle", "tcp_user_timeout")} == {
            "keepalives_idle": "30",
            "tcp_user_timeout": "60000",
        }


class Faults:
    """Faults at random places, from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._lock = Lock()
        self.counts: Counter[str] = Counter()

    def __call__(self, to_server: bool, place: int) -> str:  # noqa: ARG002 - as called
        with self._lock:
            [what] = self._random.choices(["pass", *FAULTS], [97, 1, 1, 1])
            self.counts[what] += 1
            return what


@pytest.mark.parametrize("seed", range(2))
def test_threads_that_try_again_lose_and_double_nothing(store, direct, proxy, seed):
    """Eight threads play Workers, and repeat what fails, while connections end at random places."""
    faults = Faults(seed)
    runs = [direct.start(pipeline()) for _ in range(8)]
    proxy.set_fault(faults)

    def until_it_works(call):
        while True:
            try:
                return call()
            except UnavailableError:
                pass

    def play(run) -> list[UUID]:
        jobs = [job.job_execution_id for job in run.jobs]
        for sequence in range(1, 21):
            status = ExecutionStatus.SUCCESS if sequence == 20 else ExecutionStatus.RUNNING
            until_it_works(lambda s=sequence, st=status: store.apply(told(jobs[0], s, st)))
        return jobs

    with ThreadPoolExecutor(8) as pool:
        played = list(pool.map(play, runs))
    proxy.pass_all()
    assert all(faults.counts[fault] for fault in FAULTS)
    for run, (job,) in zip(runs, played, strict=True):
        assert direct.logs(job).text == "".join(f"{at}\n" for at in range(1, 21))
        first, second = direct.execution(run.execution.execution_id).stages[0].jobs
        assert first.status is ExecutionStatus.SUCCESS
        assert second.queued_at is not None
