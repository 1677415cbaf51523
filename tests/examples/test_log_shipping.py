"""Lines about executions are sent to the store without a wait; `ExecutionLogHandler` has its own tests."""

import logging
from threading import Event
from uuid import uuid4

import pytest
from cicd_system.log_shipping import shipping_logs

from cicd_common import ContractError
from cicd_common.logging import execution_context, get_logger
from cicd_common.store import ExecutionStore
from tests.support.examples.backend_in_process import simple
from tests.support.examples.waiting import DEADLINE

log = get_logger("cicd_system.test")


@pytest.fixture
def store():
    with ExecutionStore("sqlite://") as store:
        yield store


@pytest.fixture
def job(store):
    (request,) = store.start(simple()).jobs
    return request


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """Lines are not lost because the machine is busy."""
    monkeypatch.setattr("cicd_system.log_shipping._AT_END", DEADLINE)


@pytest.fixture(autouse=True)
def _all_levels():
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    yield
    root.setLevel(level)


def test_lines_about_executions_are_sent(store, job):
    """DEBUG lines, lines about requests, about nothing, and after the block are left out."""
    with execution_context(pipeline_execution_id=job.pipeline_execution_id):
        with shipping_logs(store.add_logs, ContractError):
            get_logger("cicd_system.backend.middleware").info("answered")
            log.debug("found")
            log.warning("heard")
        log.warning("too late")
    log.warning("of nothing")
    (line,) = store.execution_logs(pipeline_execution_id=job.pipeline_execution_id).logs
    assert "heard" in line.log_text


def test_one_line_that_is_refused_takes_no_other_with_it(store, job):
    """A line about an unknown execution is dropped alone; a batch that was not answered is sent again."""
    tries = []

    def send(logs):
        tries.append(logs)
        if len(tries) == 1:
            raise ConnectionError
        store.add_logs(logs)

    ids = [job.job_execution_id] * 5 + [uuid4()] + [job.job_execution_id] * 3
    with shipping_logs(send, ContractError):
        for number, each in enumerate(ids):
            log.info("line %d", number, job_execution_id=each)
    logs = store.execution_logs(pipeline_execution_id=job.pipeline_execution_id).logs
    assert [line.log_text[-1] for line in logs] == list("01234678")


def test_what_is_lost_at_the_end_is_told(job, caplog, monkeypatch):
    """A warning says that lines were not sent in time."""
    monkeypatch.setattr("cicd_system.log_shipping._AT_END", 0.0)
    goes_on = Event()
    with shipping_logs(lambda _: goes_on.wait(DEADLINE), ContractError):
        for _ in range(1000):
            log.info("line", job_execution_id=job.job_execution_id)
    goes_on.set()
    (record,) = [each for each in caplog.records if each.name == "cicd_system.log_shipping"]
    assert record.levelno == logging.WARNING
