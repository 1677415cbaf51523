"""Lines about executions are sent to the store without a wait."""

import logging
from threading import Event
from uuid import uuid4

import pytest
from cicd_system.log_shipping import shipping_logs

from cicd_common import ContractError
from cicd_common.logging import execution_context, get_logger
from cicd_common.store import ExecutionStore
from tests.support.examples.backend_in_process import simple

log = get_logger("cicd_system.test")


@pytest.fixture
def store():
    with ExecutionStore("sqlite://") as store:
        yield store


@pytest.fixture(autouse=True)
def _info():
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    yield
    root.setLevel(level)


def job_of(store):
    (request,) = store.start(simple()).jobs
    return request


def texts(store, run):
    return [each.log_text for each in store.execution_logs(pipeline_execution_id=run).logs]


class TestShipping:
    def test_all_is_there_when_the_block_is_left(self, store):
        """The end of the block sends the remaining lines."""
        job = job_of(store)
        with shipping_logs(store.add_logs, ContractError):
            for number in range(1200):
                log.info("line %d", number, job_execution_id=job.job_execution_id)
        found = store.execution_logs(job_execution_id=job.job_execution_id)
        rest = store.execution_logs(job_execution_id=job.job_execution_id, after=found.next_cursor)
        assert [each.sequence for each in (*found.logs, *rest.logs)] == list(range(1200))
        assert found.logs[0].log_text.endswith("line 0")
        assert texts(store, job.pipeline_execution_id)[:3] == [each.log_text for each in found.logs[:3]]

    def test_what_is_of_no_execution_or_of_requests_alone_is_left_out(self, store):
        """DEBUG lines and lines after the block are left out, too."""
        job = job_of(store)
        with execution_context(pipeline_execution_id=job.pipeline_execution_id):
            with shipping_logs(store.add_logs, ContractError):
                get_logger("cicd_system.backend.middleware").info("answered")
                log.debug("found")
                log.warning("heard")
            log.warning("too late")
        log.warning("of nothing")
        (text,) = texts(store, job.pipeline_execution_id)
        assert "heard" in text

    def test_one_line_that_is_refused_takes_no_other_with_it(self, store):
        """A line about an unknown execution is dropped alone."""
        job = job_of(store)
        ids = [job.job_execution_id] * 5 + [uuid4()] + [job.job_execution_id] * 3
        with shipping_logs(store.add_logs, ContractError):
            for number, each in enumerate(ids):
                log.info("line %d", number, job_execution_id=each)
        assert [text[-1] for text in texts(store, job.pipeline_execution_id)] == list("01234678")

    def test_nobody_waits_for_a_store_that_does_not_answer(self, store):
        """Lines that could not be sent are sent later."""
        job = job_of(store)
        goes_on, tries = Event(), []

        def send(logs):
            tries.append(logs)
            assert goes_on.wait(60)
            if len(tries) == 1:
                raise ConnectionError
            store.add_logs(logs)

        with shipping_logs(send, ContractError):
            log.info("first", job_execution_id=job.job_execution_id)
            for number in range(20):
                log.info("line %d", number, job_execution_id=job.job_execution_id)
            goes_on.set()
        assert len(texts(store, job.pipeline_execution_id)) == 21
        assert tries[0] == tries[1]

    def test_what_is_lost_at_the_end_is_told(self, store, caplog, monkeypatch):
        """A warning counts the lines that were not sent in time."""
        monkeypatch.setattr("cicd_system.log_shipping._AT_END", 0.0)
        job = job_of(store)
        goes_on = Event()
        with shipping_logs(lambda _: goes_on.wait(60), ContractError):
            for _ in range(1000):
                log.info("line", job_execution_id=job.job_execution_id)
        goes_on.set()
        (record,) = [each for each in caplog.records if each.name == "cicd_system.log_shipping"]
        assert record.levelno == logging.WARNING
