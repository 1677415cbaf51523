"""A real Backend in this process, and attempts at jobs of it by a Worker without a broker."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import uvicorn
from cicd_system import connection
from cicd_system.worker import reporting
from cicd_system.worker.attempt import Settings, run_job
from cicd_system.worker.backend_client import BackendClient

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobExecutionRequest
from cicd_common.model import Job, Pipeline, Stage
from cicd_common.store import ExecutionStore
from tests.support.examples.backend_in_process import app_on
from tests.support.examples.proxy import HttpProxy
from tests.support.examples.waiting import DEADLINE, until


def request_of(*commands: str, **fields: Any) -> JobExecutionRequest:
    """The request of a job that no store knows."""
    ids = {name: uuid4() for name in ("job_execution_id", "stage_execution_id", "pipeline_execution_id", "job_id")}
    names = dict.fromkeys(("job_name", "stage_name", "pipeline_name"), "name")
    given = {"run_number": 1, "repo": "/", "branch": "main", "commands": commands or ("true",)}
    return JobExecutionRequest(**ids, **names, **given | fields)


@contextlib.contextmanager
def backend_on(store: ExecutionStore) -> Iterator[tuple[str, int]]:
    """Run a Backend in a thread; its address."""
    server = uvicorn.Server(uvicorn.Config(app_on(store), log_config=None, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        until(lambda: server.started, "the Backend to start", pause=0.01)
        try:
            yield listener.getsockname()
        finally:
            server.should_exit = True
            thread.join()


class Bench:
    """Jobs, and attempts at them.

    Attributes:
        proxy: Stands between the Worker and the Backend.
        store: That of the Backend.
        ending: Tells the Worker to end at once.
        side: A directory for what jobs and tests tell each other.
    """

    def __init__(self, directory: Path, store: ExecutionStore, proxy: HttpProxy) -> None:
        self.store = store
        self.proxy = proxy
        self.side = directory / "side"
        self.repository = directory / "repository"
        self.work = directory / "work"
        for made in (self.side, self.repository, self.work):
            made.mkdir()
        self.ending = threading.Event()
        self._attempts = ThreadPoolExecutor()

    def close(self) -> None:
        self.ending.set()
        self._attempts.shutdown()

    def job(self, *commands: str, **fields: Any) -> JobExecutionRequest:
        """Start a run of one job; what its Worker is given."""
        job = Job(name="job", script=commands, **fields)
        pipeline = Pipeline(name="run", repo_url=str(self.repository), stages=(Stage(name="one", jobs=(job,)),))
        return self.store.start(pipeline).jobs[0]

    def attempt(self, request: JobExecutionRequest, **settings: Any) -> None:
        """Make an attempt at a job, to its end."""
        url = f"http://127.0.0.1:{self.proxy.port}"
        with contextlib.closing(BackendClient(url, None, ending=self.ending, longest_pause=0.05)) as client:
            given = Settings(**{"name": "w1", "directory": self.work, "grace": DEADLINE} | settings)
            run_job(request, client, given, ending=self.ending, claimed=lambda: None)

    def begin(self, request: JobExecutionRequest, **arguments: Any) -> Future[None]:
        """Make an attempt at a job meanwhile."""
        return self._attempts.submit(self.attempt, request, **arguments)

    def next_attempt(self, request: JobExecutionRequest) -> JobExecutionRequest:
        """The request of a job's next attempt: its Worker has been silent for a lease."""
        now = datetime.now(UTC)
        for seconds in range(0, 130, 10):
            for again in self.store.take_over(now + timedelta(seconds=seconds)).jobs:
                if again.job_execution_id == request.job_execution_id and again.attempt > request.attempt:
                    return again
        raise AssertionError("the job is not lost")

    def cancel(self, request: JobExecutionRequest) -> None:
        """Cancel the run of a job."""
        self.store.cancel(request.pipeline_execution_id)

    def log(self, request: JobExecutionRequest) -> str:
        return self.store.logs(request.job_execution_id).text

    def end(self, request: JobExecutionRequest) -> tuple[ExecutionStatus, int | None]:
        """The status and the exit code of a job."""
        found = self.store.job_execution(request.job_execution_id)
        return found.status, found.exit_code

    # --- what jobs and tests tell each other ------------------------------------------------------------------------

    def note(self, name: str) -> str:
        """A command that notes the id of the job's shell."""
        return f"echo $$ > {self.side}/{name}"

    def pid(self, name: str) -> int:
        """The id that a job has noted, once it has."""
        noted = self.side / name
        return int(until(lambda: noted.exists() and noted.read_text(), name, pause=0.01))

    def gate(self, name: str) -> str:
        """A command that waits until the test lets it go."""
        return f"until [ -e {self.side}/{name} ]; do sleep 0.02; done"

    def let_go(self, name: str) -> None:
        (self.side / name).touch()


@contextlib.contextmanager
def bench_in(directory: Path) -> Iterator[Bench]:
    """All that attempts need."""
    with (
        pytest.MonkeyPatch.context() as patch,
        ExecutionStore(f"sqlite:///{directory}/cicd.db") as store,
        backend_on(store) as address,
        HttpProxy(address) as proxy,
        contextlib.closing(Bench(directory, store, proxy)) as bench,
    ):
        patch.setattr(reporting, "POLL_INTERVAL", 0.05)
        patch.setattr(connection, "_TIMEOUT", DEADLINE)  # A busy machine answers late.
        yield bench
