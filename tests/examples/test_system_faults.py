"""Runs end correctly although Workers and Backends are killed and the network between them fails."""

from __future__ import annotations

import itertools

import pytest

from cicd_common import ExecutionStatus
from cicd_common.enums import EndReason
from cicd_common.store import ExecutionStore
from tests.support.examples.programs import is_alive
from tests.support.examples.proxy import Fault, once, passed
from tests.support.examples.settings import SETTINGS
from tests.support.examples.system_jobs import attempts, lines_up_to, pipeline
from tests.support.examples.waiting import until

SUCCESS, RUNNING = ExecutionStatus.SUCCESS, ExecutionStatus.RUNNING
LEASE = 8  # Seconds. A shorter one would end when a busy machine pauses a Worker for some seconds.


def output_of(api, definition, name):
    """The lines that a job printed, without lines of the Worker and without its commands."""
    text = "".join(attempt.text for attempt in attempts(api.job(definition, name).logs))
    return [line for line in text.splitlines() if not line.startswith("$ ")]


class TestWorkerKilled:
    def test_in_the_middle_of_a_job(self, setting, new_system, side):
        """After the lease the job runs again. The log shows both attempts, and no process of the first one is left."""
        system = new_system(setting, lease=LEASE)
        api = system.api
        child = f"sleep 1000 & echo $! >> {side.directory}/children"
        definition = pipeline(
            system.repository,
            {
                "one": [
                    side.job("killed", child, side.lines_until("go"), "kill $!"),
                    side.job("other", lines_up_to(9)),
                ],
                "two": [side.job("next", "true", dependencies=("killed",))],
            },
        )
        run = api.execute(definition)
        until(lambda: side.count("go") > 20 and "line 20\n" in api.job(definition, "killed").logs, "output")
        (first,) = side.began("killed")
        (child_of_first,) = side.lines("children")
        system.worker_of(first).kill()
        until(lambda: not is_alive(first) and not is_alive(int(child_of_first)), "the end of the job's processes")
        until(lambda: len(side.began("killed")) == 2, "the second attempt")
        side.let_go("go")
        assert api.end_of(run) == SUCCESS

        jobs = api.jobs(definition)
        assert {(job.status, job.exit_code) for job in jobs.values()} == {(SUCCESS, 0)}
        killed, whole = attempts(jobs["killed"].logs)
        assert killed.is_beginning()
        assert len(killed.numbers()) >= 20
        assert whole.is_whole()
        assert (killed.number, whole.number) == (1, 2)
        assert {name: side.done(name) for name in jobs} == dict.fromkeys(jobs, 1)

    def test_by_its_job(self, setting, new_system, side):
        """A job that kills its Worker fails after three attempts."""
        system = new_system(setting, backends=1, workers=3, lease=LEASE)
        definition = pipeline(system.repository, {"one": [side.job("poison", "kill -KILL $PPID", side.gate("never"))]})
        assert system.api.end_of(system.api.execute(definition)) == ExecutionStatus.FAILED
        poison = system.api.job(definition, "poison")
        assert poison.reason is EndReason.WORKER_LOST
        assert [attempt.number for attempt in attempts(poison.logs)] == [1, 2, 3]
        assert [worker.runs for worker in system.workers] == [False] * 3


class TestBackendKilled:
    def test_while_output_flows(self, system, side):
        """Each Backend is killed and restarted: no line is lost or doubled, and no job runs twice."""
        api = system.api
        names = [f"talks{number}" for number in range(len(system.workers))]
        jobs = [side.job(name, side.lines_until(f"go-{name}")) for name in names]
        definition = pipeline(system.repository, {"one": jobs, "two": [side.job("next", "true")]})
        run = api.execute(definition)
        until(lambda: all(side.count(f"go-{name}") > 20 for name in names), "output of all jobs")
        for number, backend in enumerate(system.backends):
            backend.kill()
            before = {name: side.count(f"go-{name}") for name in names}
            until(lambda: all(side.count(f"go-{name}") > before[name] + 30 for name in names), "more of it")  # noqa: B023
            system.restart_backend(number)
            reached = {name: f"line {side.count(f'go-{name}')}\n" for name in names}
            until(lambda: all(text in api.job(definition, name).logs for name, text in reached.items()), "all of it")  # noqa: B023
        for name in names:
            side.let_go(f"go-{name}")
        assert api.end_of(run) == SUCCESS
        for name in names:
            (attempt,) = attempts(api.job(definition, name).logs)
            assert attempt.is_whole()
            assert side.done(name) == 1
        assert side.done("next") == 1


def in_turn():
    """A plan that gives requests the faults in turn, and passes a request on when it is repeated."""
    plans = itertools.cycle([once(fault) for fault in Fault if fault is not Fault.NONE])
    met = {}

    def plan(request):
        key = (request.start, request.body)
        if key not in met:
            met[key] = next(plans)
        return met[key](request)

    return plan


def claims_alone():
    """A plan that passes requests on up to the first claim of a job, and then only that claim, if it is repeated."""
    claims = []

    def plan(request):
        if claims:
            return Fault.NONE if request.body == claims[0] else Fault.CUT
        if request.start.startswith("POST /api/job/status "):
            claims.append(request.body)
        return Fault.NONE

    return plan


def counts(system):
    """The number of requests of a system with each fault."""
    return {fault: sum(proxy.faults[fault] for proxy in system.proxies) for fault in Fault}


class TestNetworkBetweenWorkerAndBackend:
    def test_requests_meet(self, system, side):
        """Although each request meets a fault, each job runs once and its log is complete."""
        api = system.api
        for proxy in system.proxies:
            proxy.plan = in_turn()
        before = counts(system)
        talk = [side.job(f"talks{number}", lines_up_to(60, pause=0.01)) for number in range(2)]
        leave = side.job("leaves", "echo 1 > kept", dependencies=("talks0",), artifacts=("kept",))
        fails = side.job("fails", "exit 4", allow_failure=True)
        definition = pipeline(system.repository, {"one": [*talk, leave, fails], "two": [side.job("next", "true")]})
        run = api.execute(definition)
        assert api.end_of(run) == SUCCESS

        jobs = api.jobs(definition)
        codes = {name: job.exit_code for name, job in jobs.items()}
        assert codes == {**dict.fromkeys(jobs, 0), "fails": 4}
        for name in ("talks0", "talks1"):
            assert output_of(api, definition, name) == [*(f"line {number}" for number in range(1, 61)), "of 60"]
        assert {name: (len(side.began(name)), side.done(name)) for name in jobs} == {
            **dict.fromkeys(jobs, (1, 1)),
            "fails": (1, 0),
        }
        with ExecutionStore(system.store) as store:
            assert [artifact.path for artifact in store.artifacts(jobs["leaves"].execution_id)] == ["kept"]
        assert all(counts(system)[fault] > before[fault] for fault in Fault)

    @pytest.mark.parametrize("break_it", ["cut", "stall"])
    def test_is_gone_for_a_while(self, system, side, break_it):
        """Output that a job prints during an outage is reported afterwards."""
        api = system.api
        definition = pipeline(system.repository, {"one": [side.job("talks", side.lines_until("go"))]})
        run = api.execute(definition)
        until(lambda: "line 10\n" in api.job(definition, "talks").logs, "output")
        for proxy in system.proxies:
            getattr(proxy, break_it)()
        before = side.count("go")
        until(lambda: side.count("go") > before + 100, "more output")
        assert f"line {before + 90}\n" not in api.job(definition, "talks").logs
        for proxy in system.proxies:
            proxy.mend()
        until(lambda: f"line {before + 100}\n" in api.job(definition, "talks").logs, "all of it")
        side.let_go("go")
        assert api.end_of(run) == SUCCESS
        (attempt,) = attempts(api.job(definition, "talks").logs)
        assert attempt.is_whole()
        assert side.done("talks") == 1

    def test_is_gone_when_time_is_up(self, tmp_path, new_system, side):
        """A job is stopped at its time limit even if no Backend answers."""
        with SETTINGS["embedded"](tmp_path) as setting:
            system = new_system(setting, via_proxy=True, job_timeout=10)
        api = system.api
        (proxy,) = system.proxies
        proxy.plan = claims_alone()
        definition = pipeline(system.repository, {"one": [side.job("sleeps", side.lines_until("never"))]})
        run = api.execute(definition)
        (shell,) = until(lambda: side.began("sleeps"), "the job to run")
        until(lambda: not is_alive(shell), "the end of the job")
        assert api.job(definition, "sleeps").status == RUNNING
        proxy.plan = passed
        assert api.end_of(run) == ExecutionStatus.FAILED
        (attempt,) = attempts(api.job(definition, "sleeps").logs)
        assert attempt.is_beginning()
        assert attempt.numbers()
        assert "longer than 10 seconds" in attempt.text
        assert side.done("sleeps") == 0

    def test_is_gone_at_the_end(self, system, side):
        """The end of a job during an outage is reported afterwards."""
        api = system.api
        definition = pipeline(
            system.repository, {"one": [side.job("ends", side.gate("go"))], "two": [side.job("next", "true")]}
        )
        run = api.execute(definition)
        until(lambda: api.job(definition, "ends").status == RUNNING and side.began("ends"), "the job to run")
        for proxy in system.proxies:
            proxy.cut()
        side.let_go("go")
        until(lambda: side.done("ends"), "the end of the job")
        assert api.job(definition, "ends").status == RUNNING
        for proxy in system.proxies:
            proxy.mend()
        assert api.end_of(run) == SUCCESS
        assert (side.done("ends"), side.done("next")) == (1, 1)
