"""Brokers that are killed, or lost from sight, in the middle of a run."""

from __future__ import annotations

import dataclasses
from urllib.parse import urlsplit

import pytest

from cicd_common import ExecutionStatus
from tests.support.examples.private_servers import PrivateRabbitMQ, PrivateRedis
from tests.support.examples.proxy import TcpProxy
from tests.support.examples.settings import SETTINGS
from tests.support.examples.system_jobs import attempts, lines_up_to, pipeline
from tests.support.examples.waiting import until

SUCCESS = ExecutionStatus.SUCCESS
PORTS = {"amqp": 5672, "redis": 6379}
PRIVATE = {"rabbitmq": PrivateRabbitMQ, "redis": PrivateRedis}


def check_job(api, side, definition, name):
    """A job came to its end, once for each time that it was delivered at most, and its log tells it whole."""
    tries = attempts(api.job(definition, name).logs)
    numbers = [attempt.number for attempt in tries]
    assert numbers == sorted(set(numbers))
    while len(tries) > 1 and not tries[-1].text:
        tries.pop()  # It was delivered again just when it ended.
    assert tries[-1].is_whole()
    assert all(attempt.is_beginning() for attempt in tries[:-1])
    assert 1 <= side.done(name) <= len(tries)


@pytest.fixture(params=list(PRIVATE))
def private(request, tmp_path):
    """A broker that may be killed, and what a system on it runs on."""
    with (
        PRIVATE[request.param](tmp_path / "server") as server,
        SETTINGS[request.param](tmp_path, server.url) as setting,
    ):
        yield server, setting


class TestBrokerRestarted:
    def test_in_the_middle_of_a_run(self, private, new_system, side):
        """Jobs that run and jobs that wait at the broker all come to their end."""
        server, setting = private
        system = new_system(setting, workers=2)
        api = system.api
        waiting = [side.job(f"waits{number}", lines_up_to(5)) for number in range(3)]
        running = [side.job(f"runs{number}", side.lines_until(f"go{number}")) for number in range(2)]
        definition = pipeline(
            system.repository,
            {"one": [*running, *waiting], "two": [side.job("next", lines_up_to(5))]},
        )
        run = api.execute(definition)
        until(lambda: side.count("go0") > 10 and side.count("go1") > 10, "both Workers to be busy")
        server.kill()
        before = side.count("go0")
        until(lambda: side.count("go0") > before + 30, "output while there is no broker")
        side.let_go("go1")
        server.start()
        side.let_go("go0")
        assert api.end_of(run) == SUCCESS
        for job in (*running, *waiting):
            check_job(api, side, definition, job.name)
        assert side.done("next") == 1


def behind(proxy, broker):
    """The URL of a broker by way of a proxy."""
    parts = urlsplit(broker)
    proxy.target = (str(parts.hostname), parts.port or PORTS[parts.scheme])
    user, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{at}127.0.0.1:{proxy.port}").geturl()


@pytest.fixture(params=list(PRIVATE))
def shared_broker(request, tmp_path):
    """What a system on the shared broker of a kind runs on."""
    with SETTINGS[request.param](tmp_path) as setting:
        yield setting


@pytest.fixture
def distant(shared_broker):
    """A broker behind a proxy, and what a system on it runs on."""
    with TcpProxy() as proxy:
        yield proxy, dataclasses.replace(shared_broker, broker=behind(proxy, shared_broker.broker))


class TestBrokerOutOfSight:
    def test_job_is_delivered_again_while_it_runs(self, shared_broker, new_system, side):
        """A Worker that the broker takes for dead keeps its job, and the copy of the message runs nothing."""
        with TcpProxy() as one, TcpProxy() as other:
            proxies = (one, other)
            brokers = [behind(proxy, shared_broker.broker) for proxy in proxies]
            system = new_system(shared_broker, workers=2, backends=1, redeliver_after=2, worker_brokers=brokers)
            api = system.api
            definition = pipeline(system.repository, {"one": [side.job("once", side.lines_until("go"))]})
            run = api.execute(definition)
            until(lambda: side.count("go") > 10, "output")
            (first,) = side.began("once")
            proxies[system.workers.index(system.worker_of(first))].cut()
            before = side.count("go")
            until(lambda: side.count("go") > before + 100, "output while the broker does not see the Worker")
            side.let_go("go")
            assert api.end_of(run) == SUCCESS
        check_job(api, side, definition, "once")
        assert (side.began("once"), side.done("once")) == ([first], 1)


class TestCrashWindow:
    def test_backend_killed_before_it_could_tell_the_broker(self, distant, new_system, side):
        """What it had answered for runs once it is back."""
        proxy, setting = distant
        system = new_system(setting, workers=1, backends=1)
        api = system.api
        definition = pipeline(system.repository, {"one": [side.job("late", lines_up_to(5))]})
        proxy.cut()
        run = api.execute(definition)
        system.backends[0].kill()
        proxy.mend()
        system.restart_backend()
        assert api.end_of(run) == SUCCESS
        check_job(api, side, definition, "late")
        assert side.done("late") == 1

    def test_backend_killed_before_it_could_write_the_spool(self, tmp_path, new_system, side):
        """The same where the broker is a directory, in whose place there is a file."""
        with SETTINGS["embedded"](tmp_path) as setting:
            system = new_system(setting, workers=0)
        spool = tmp_path / "spool"
        if spool.exists():
            spool.rename(tmp_path / "away")
        spool.touch()
        api = system.api
        definition = pipeline(system.repository, {"one": [side.job("late", lines_up_to(5))]})
        run = api.execute(definition)
        system.backends[0].kill()
        spool.unlink()
        system.restart_backend()
        system.add_workers()
        assert api.end_of(run) == SUCCESS
        check_job(api, side, definition, "late")
        assert side.done("late") == 1

    def test_broker_back_without_a_restart(self, distant, new_system, side):
        """The Backend sends again by itself what it could not send."""
        proxy, setting = distant
        system = new_system(setting, workers=1, backends=1)
        api = system.api
        definition = pipeline(system.repository, {"one": [side.job("late", lines_up_to(5))]})
        proxy.cut()
        run = api.execute(definition)
        proxy.mend()
        assert api.end_of(run) == SUCCESS
        check_job(api, side, definition, "late")
        assert side.done("late") == 1
