"""The conformance kits accept correct Backends and Workers, and find faults."""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.testing import FakeBackend
from cicd_common.testing.backend_api import BackendApi, serve
from cicd_common.testing.conformance import BackendConformance, Paths, WorkerConformance, client_of
from cicd_common.testing.conformance.client import Caller
from cicd_common.testing.conformance.machine import machine_of
from cicd_common.testing.conformance.worker import Played
from tests.support.moves import MOMENT, pipeline
from tests.testing.broken import test_backends as backends
from tests.testing.broken.test_workers import SmallWorker


@pytest.mark.cover
class TestFakeBackend(BackendConformance):
    """The Backend in memory passes the kit without a server."""

    @pytest.fixture
    def api(self) -> BackendApi:
        """A new Backend for each test."""
        return BackendApi()

    @pytest.fixture
    def backend(self, api: BackendApi) -> httpx.Client:
        """A client of the Backend."""
        return client_of(api)

    @pytest.fixture
    def short_leases(self) -> httpx.Client:
        """A client of another Backend, which has short leases."""
        return client_of(BackendApi(FakeBackend(lease_seconds=int(self.lease_seconds))))

    @pytest.fixture
    def handed_out(self, api: BackendApi):
        """A function that returns the requests that the Backend has handed out."""
        return lambda: api.requests


class TestServedAtOtherPaths(BackendConformance):
    """A Backend behind a server passes at other paths, and without the fixture `handed_out`."""

    paths = Paths(execute="/v2/runs", pipeline_status="/v2/runs/{execution_id}")
    examples = 2

    @pytest.fixture
    def backend(self):
        """A client of the Backend's server."""
        with serve(BackendApi(paths=self.paths).answer) as url, client_of(url, timeout=60) as client:
            yield client


class TestSmallWorker(WorkerConformance):
    """A Worker of a hundred lines passes the kit, also if it is stopped for some seconds."""

    lease_seconds = 8

    @pytest.fixture
    def run_job(self):
        """A function that runs the Worker in this process."""
        return lambda request, url: SmallWorker(request, url).run()


@pytest.mark.parametrize("kit", [BackendConformance, WorkerConformance])
def test_a_kit_says_which_fixture_it_needs(kit):
    """Without its required fixture, a kit raises an error that names the fixture."""
    fixture = {BackendConformance: "backend", WorkerConformance: "run_job"}[kit]
    with pytest.raises(NotImplementedError, match=f"give a fixture `{fixture}`"):
        vars(kit)[fixture].__wrapped__(kit())


def test_a_failure_of_a_worker_shows_what_it_told():
    """The history of a Worker has a line for each update."""
    told = JobStatusUpdate(
        job_execution_id=uuid4(), sequence=1, status=ExecutionStatus.RUNNING, occurred_at=MOMENT, logs="x", worker="one"
    )
    played = Played(BackendApi(), request=None, told=[told], times=[7.5])
    assert played.history == ("   0.00 s: RUNNING 1 of attempt 1 by one, reason None, exit code None, output 'x'\n")


def test_the_machine_finds_faults_by_itself():
    """The state machine finds a fault for which there is no named test."""
    kit = backends.Broken()
    kit.examples = 60
    ask = Caller(client_of(BackendApi(backends.HandsOutEarly())), kit.paths)
    settings.register_profile("before", settings.default)
    # Shrinking takes a minute.
    settings.register_profile("before, unshrunk", settings.default, phases=[Phase.explicit, Phase.generate])
    settings.load_profile("before, unshrunk")
    try:
        # Hypothesis raises a group if it finds several failures.
        with pytest.raises((AssertionError, BaseExceptionGroup)):
            kit.test_any_system_ends_as_the_model_does(ask)
    finally:
        settings.load_profile("before")


@pytest.mark.cover
@settings(max_examples=3, database=None, phases=[Phase.generate])
@given(data=st.data())
def test_the_machine_plays_every_rule(data):
    """The rules of the machine also work in an order that a short run may not draw: release, repeat, cancel."""
    machine = machine_of(Caller(client_of(BackendApi()), Paths()))()
    machine.start(pipeline(["a"]), again=False)
    machine.start(pipeline(["a"]), again=True)
    machine.claim(data)
    (run,) = [run for run in machine.runs if run.left]
    (job_id,) = run.left
    claim = JobStatusUpdate(
        job_execution_id=job_id, sequence=1, status=ExecutionStatus.RUNNING, occurred_at=MOMENT, worker="worker 1"
    )
    run.left[job_id] = [claim]
    for rule in (machine.tell, machine.deliver, machine.repeat, machine.release):
        rule(data)
    assert machine.models.job_execution(job_id).attempt == 2
    machine.start_again(data)
    machine.cancel(data)
    machine.the_backend_is_where_the_models_are()
    machine.teardown()
