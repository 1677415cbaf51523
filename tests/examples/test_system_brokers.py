"""Brokers are killed or lose their messages during a run."""

from __future__ import annotations

import pytest
from kombu import Connection

from cicd_common import ExecutionStatus
from cicd_common.enums import EndReason
from tests.support.examples.private_servers import PrivateRabbitMQ, PrivateRedis, accepts
from tests.support.examples.settings import SETTINGS, forget
from tests.support.examples.system_jobs import check_job, lines_up_to, pipeline
from tests.support.examples.waiting import until

SUCCESS = ExecutionStatus.SUCCESS
PRIVATE = {"rabbitmq": PrivateRabbitMQ, "redis": PrivateRedis}


@pytest.fixture(params=list(PRIVATE))
def private(request, tmp_path):
    """A broker that can be killed, and a setting with it."""
    with (
        PRIVATE[request.param](tmp_path / "server") as server,
        SETTINGS[request.param](tmp_path, server.url) as setting,
    ):
        yield server, setting


def put(server, message):
    """Give a message of the test to a broker."""
    with Connection(server.url, transport_options={"confirm_publish": True}) as connection:
        connection.SimpleQueue("kept").put(message)


def taken(server):
    """Take the message of the test from a broker."""
    with Connection(server.url) as connection:
        return connection.SimpleQueue("kept").get(timeout=30).payload


class TestBrokerRestarted:
    def test_in_the_middle_of_a_run(self, private, new_system, side):
        """Running jobs, and jobs that wait at the broker, complete."""
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
        put(server, {"n": 1})
        server.kill()
        assert not accepts(server.port)
        before = side.count("go0")
        until(lambda: side.count("go0") > before + 30, "output while there is no broker")
        side.let_go("go1")
        server.start()
        assert taken(server) == {"n": 1}, "the server of the test has lost an acknowledged message"
        side.let_go("go0")
        assert api.end_of(run) == SUCCESS
        for job in (*running, *waiting):
            check_job(side, job.name, api.job(definition, job.name).logs)
        assert side.done("next") == 1


class TestMessagesLost:
    def test_jobs_that_wait_are_sent_again(self, setting, new_system, side):
        """A run completes although its queue is deleted, before there is a Worker and while one is busy."""
        system = new_system(setting, backends=1, workers=0, resend=2)
        api = system.api
        jobs = [side.job("runs", side.gate("go")), *(side.job(f"waits{number}") for number in range(2))]
        definition = pipeline(system.repository, {"one": jobs, "two": [side.job("next")]})
        run = api.execute(definition)
        until(lambda: forget(setting), "messages")
        system.add_workers()
        until(lambda: side.began("runs"), "the job to run")
        forget(setting)
        side.let_go("go")
        assert api.end_of(run) == SUCCESS
        assert {name: side.done(name) for name in api.jobs(definition)} == dict.fromkeys(api.jobs(definition), 1)

    def test_canceled_after_its_worker(self, setting, new_system, side):
        """Canceling ends a run whose messages and whose Worker are lost."""
        system = new_system(setting, backends=1, workers=1, lease=8)  # As in `test_system_faults`.
        definition = pipeline(system.repository, {"one": [side.job("runs", side.gate("never"))]})
        run = system.api.execute(definition)
        until(lambda: side.began("runs"), "the job to run")
        system.workers[0].kill()
        forget(setting)
        system.api.cancel(run)
        assert system.api.end_of(run) == ExecutionStatus.CANCELED
        assert system.api.job(definition, "runs").reason is EndReason.WORKER_LOST
