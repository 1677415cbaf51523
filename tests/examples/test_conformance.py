"""The example system keeps the contract, as the test kit has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import httpx
import pytest
from cicd_system.backend.app import create_app
from cicd_system.worker.attempt import run_job as run_attempt
from cicd_system.worker.backend_client import BackendClient
from cicd_system.worker.settings import Settings, job_environment

from cicd_common.api.request import JobExecutionRequest
from cicd_common.artifacts import ArtifactStore
from cicd_common.store import ExecutionStore
from cicd_common.testing.conformance import BackendConformance, WorkerConformance, client_of
from tests.support.examples.settings import postgres_schema


class Outbox:
    """In place of a `Dispatcher`: keeps what it is to send."""

    def __init__(self) -> None:
        self.sent: list[JobExecutionRequest] = []

    def send(self, jobs: tuple[JobExecutionRequest, ...]) -> None:
        self.sent += jobs


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/cicd.db"
        return
    with postgres_schema() as url:
        yield url


class TestBackend(BackendConformance):
    @pytest.fixture
    def outbox(self) -> Outbox:
        """What the Backend hands to its broker."""
        return Outbox()

    @pytest.fixture
    def backend(self, database: str, outbox: Outbox, tmp_path: Path) -> Iterator[httpx.Client]:
        """The example's application."""
        with ExecutionStore(database) as store:
            yield client_of(create_app(store, outbox, contents=ArtifactStore(tmp_path / "artifacts")))

    @pytest.fixture
    def short_leases(self, database: str, outbox: Outbox) -> Iterator[httpx.Client]:
        """The same, asked for lost jobs before every request."""
        with ExecutionStore(database, lease_seconds=int(self.lease_seconds)) as store:
            app = create_app(store, outbox)

            async def watched(scope: object, receive: object, send: object) -> None:
                store.take_over()
                await app(scope, receive, send)

            yield client_of(watched)

    @pytest.fixture
    def handed_out(self, outbox: Outbox) -> Callable[[], list[JobExecutionRequest]]:
        """What was sent."""
        return lambda: outbox.sent


class TestWorker(WorkerConformance):
    @pytest.fixture
    def run_job(self, tmp_path: Path) -> Callable[[JobExecutionRequest, str], None]:
        """The example's Worker, in this process."""
        settings = Settings(
            name="conformance",
            directory=tmp_path,
            environment=job_environment(),
            poll_interval=0.1,
            grace=1,
        )

        def run_job(request: JobExecutionRequest, url: str) -> None:
            client = BackendClient(url, None, ending=Event(), longest_pause=0.1)
            try:
                run_attempt(request, client, settings, ending=Event())
            finally:
                client.close()

        return run_job
