"""The example system keeps the contract, as the test kit has it: on each kind of database, by each kind of broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cicd_system.backend import Dispatcher, create_app
from cicd_system.job_queue import Delivery, JobQueue
from cicd_system.worker.attempt import Settings
from cicd_system.worker.backend_client import BackendClient
from cicd_system.worker.program import run_delivery

from cicd_common.api.request import JobExecutionRequest
from cicd_common.artifacts import ArtifactStore
from cicd_common.store import ExecutionStore
from cicd_common.testing.conformance import BackendConformance, WorkerConformance, client_of
from tests.support.examples.backend_in_process import app_on
from tests.support.examples.settings import SETTINGS, Setting
from tests.support.examples.waiting import DEADLINE

ON_DATABASES = pytest.mark.parametrize("place", ["embedded", "rabbitmq"], indirect=True, scope="module")


class Counting(Dispatcher):
    """A `Dispatcher` that knows how many jobs are with the broker."""

    count = 0

    def send(self, jobs: Sequence[JobExecutionRequest]) -> None:
        """Send jobs."""
        super().send(jobs)
        self.count += len(jobs)


@pytest.fixture(scope="module", params=list(SETTINGS))
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    """A database and a broker; the kits start pipelines of new names in it."""
    with SETTINGS[request.param](tmp_path_factory.mktemp(request.param)) as setting:
        yield setting


@pytest.fixture(scope="module")
def store(place: Setting) -> Iterator[ExecutionStore]:
    """The store of Backends."""
    with ExecutionStore(place.store) as store:
        yield store


@pytest.fixture
def setting(place: Setting) -> Setting:
    """The same with a queue that no other test uses."""
    return replace(place, queue=f"{place.queue}-{uuid4().hex}")


@pytest.fixture
def jobs(setting: Setting) -> Iterator[JobQueue]:
    """The queue of scripts."""
    with closing(JobQueue(setting.broker, queue=setting.queue)) as jobs:
        yield jobs
        jobs.delete()


def take(jobs: JobQueue) -> Delivery:
    """Take a job that is there, as a Worker does."""
    end = monotonic() + DEADLINE
    delivery = jobs.take(lambda: monotonic() < end)
    assert delivery is not None
    return delivery


class TestBackend(BackendConformance):
    examples = 5  # The store's own tests draw more.
    patience = DEADLINE

    @pytest.fixture
    def dispatcher(self, store: ExecutionStore, jobs: JobQueue) -> Counting:
        """What sends its jobs to the broker."""
        return Counting(store, jobs.put)

    @pytest.fixture
    def backend(self, store: ExecutionStore, dispatcher: Dispatcher, tmp_path: Path) -> httpx.Client:
        """The example's application."""
        return client_of(create_app(store, ArtifactStore(tmp_path / "artifacts"), dispatcher.send))

    @pytest.fixture
    def short_leases(self, place: Setting, jobs: JobQueue) -> Iterator[httpx.Client]:
        """The same, asked for lost jobs before every request."""
        with ExecutionStore(place.store, lease_seconds=int(self.lease_seconds)) as store:
            dispatcher = Dispatcher(store, jobs.put)
            app = app_on(store, dispatcher.send)

            async def watched(scope: object, receive: object, send: object) -> None:
                dispatcher.look()
                await app(scope, receive, send)

            yield client_of(watched)

    @pytest.fixture
    def handed_out(self, dispatcher: Counting, jobs: JobQueue) -> Callable[[], list[JobExecutionRequest]]:
        """What the broker delivers."""
        taken: list[JobExecutionRequest] = []

        def handed_out() -> list[JobExecutionRequest]:
            while len(taken) < dispatcher.count:
                delivery = take(jobs)
                delivery.acknowledge()
                taken.append(delivery.request)
            return taken

        return handed_out

    # These are slow, and no broker has a part in what they ask: once for each database.

    @ON_DATABASES
    def test_any_system_ends_as_the_model_does(self, ask: Any) -> None:
        super().test_any_system_ends_as_the_model_does(ask)

    @ON_DATABASES
    def test_a_lost_job_goes_to_the_next_attempt(self, short_leases: httpx.Client) -> None:
        super().test_a_lost_job_goes_to_the_next_attempt(short_leases)

    @ON_DATABASES
    def test_a_worker_that_is_heard_of_keeps_its_job(self, short_leases: httpx.Client) -> None:
        super().test_a_worker_that_is_heard_of_keeps_its_job(short_leases)

    @ON_DATABASES
    def test_no_document_is_answered_500(self, ask: Any) -> None:
        super().test_no_document_is_answered_500(ask)


class TestWorker(WorkerConformance):
    lease_seconds = 9  # A Worker is heard of every three seconds, and may be paused for some more.
    patience = DEADLINE

    @pytest.fixture
    def run_job(
        self, setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[[JobExecutionRequest, str], None]:
        """The example's Worker, in this process, with a job from the queue of the job's kind."""
        settings = Settings(name="conformance", directory=tmp_path, grace=1)
        monkeypatch.setattr("cicd_system.worker.reporting.POLL_INTERVAL", 0.1)

        def run_job(request: JobExecutionRequest, url: str) -> None:
            client = BackendClient(url, None, ending=Event(), longest_pause=0.1)
            jobs = JobQueue(setting.broker, queue=setting.queue, kinds=[request.kind])
            with closing(jobs), closing(client):
                jobs.put(request)
                run_delivery(take(jobs), client, settings, Event())
                jobs.delete()

        return run_job

    @pytest.mark.parametrize("place", ["embedded"], indirect=True, scope="module")
    def test_is_heard_of_while_its_job_is_silent(self, play: Callable[..., Any]) -> None:
        """It waits for leases; while a job runs its Worker has nothing to do with the broker."""
        super().test_is_heard_of_while_its_job_is_silent(play)
