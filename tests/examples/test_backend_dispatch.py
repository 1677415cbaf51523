"""When jobs are sent and sent again, also with a broker that refuses them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cicd_system.backend import Dispatcher
from cicd_system.backend.repeating import repeating
from cicd_system.job_queue import QueueError

from cicd_common.logging import capture_logs
from cicd_common.model import Job, Pipeline, Stage
from cicd_common.store import ExecutionStore, UnavailableError
from tests.support.examples.backend_in_process import Kept, update
from tests.support.examples.waiting import until


@pytest.fixture
def store(tmp_path):
    with ExecutionStore(f"sqlite:///{tmp_path}/cicd.db") as store:
        yield store


def many(*names):
    jobs = tuple(Job(name=name, script=(f"echo {name}",)) for name in names)
    return Pipeline(name="many", repo_url="/", stages=(Stage(name="all", jobs=jobs),))


class TestDispatcher:
    """A dispatcher with a store and with a queue that may refuse jobs."""

    def test_a_job_that_nobody_claims_is_sent_again(self, tmp_path):
        """A job that was stored but not sent before a crash is sent."""
        with ExecutionStore(f"sqlite:///{tmp_path}/resends.db", resend_seconds=1) as store:
            store.start(many("a", "b"), at=datetime.now(UTC) - timedelta(seconds=2))
            queue = Kept()
            with repeating(Dispatcher(store, queue.put).look, 0.01):
                until(lambda: len(queue.jobs) >= 2, "all jobs")
            assert sorted(queue.names) == ["a", "b"]

    def test_a_lost_job_is_sent_with_its_next_attempt(self, tmp_path):
        """A job whose Worker was silent for a lease is sent again; the end of a job lost too often is logged."""
        with ExecutionStore(f"sqlite:///{tmp_path}/leases.db", lease_seconds=1, max_losses=2) as store:
            request = store.start(many("a")).jobs[0]
            queue = Kept()
            with capture_logs() as lines, repeating(Dispatcher(store, queue.put).look, 0.01):
                store.apply(update(request.job_execution_id, 1, "RUNNING"))
                until(lambda: queue.jobs, "the next attempt")
                assert queue.jobs[0].attempt == 2
                store.apply(update(request.job_execution_id, 2, "RUNNING", attempt=2))
                until(lambda: store.job_status(request.job_execution_id).status.is_terminal, "its end")
                until(lambda: any("brought" in line["message"] for line in lines), "the line in the log")

    def test_broker_refuses(self, store):
        """While the broker refuses jobs, only `look` tries it; when it works again, each job is sent once."""
        queue = Kept()
        dispatcher = Dispatcher(store, queue.put)
        dispatcher.look()
        queue.refuses = lambda _: True
        dispatcher.send(store.start(many("a", "b", "c")).jobs)
        assert queue.asked == 1
        dispatcher.send(store.start(many("d")).jobs)
        assert queue.asked == 1
        dispatcher.look()
        assert queue.asked == 2
        queue.refuses = lambda _: False
        dispatcher.look()
        dispatcher.look()
        assert sorted(queue.names) == ["a", "b", "c", "d"]
        dispatcher.send(store.start(many("e")).jobs)
        assert sorted(queue.names) == ["a", "b", "c", "d", "e"]

    def test_one_job_that_is_never_taken(self, store):
        """A job that the broker always refuses does not block other jobs."""
        queue = Kept()
        queue.refuses = lambda job: job.job_name == "never"
        dispatcher = Dispatcher(store, queue.put)
        dispatcher.send(store.start(many("never", "a", "b")).jobs)
        for name in ("c", "d"):
            dispatcher.look()
            dispatcher.send(store.start(many(name)).jobs)
        dispatcher.look()
        assert set(queue.names) == {"a", "b", "c", "d"}

    def test_log(self, store):
        """The begin and the end of an outage are logged once, without the contents of jobs."""
        queue = Kept()
        dispatcher = Dispatcher(store, queue.put)
        queue.refuses = lambda _: True
        with capture_logs() as lines:
            dispatcher.send(store.start(many("hunter2")).jobs)
            dispatcher.look()
            queue.refuses = lambda _: False
            dispatcher.look()
        ours = [line for line in lines if line["logger"].startswith("cicd_system")]
        assert [line["level"] for line in ours] == ["WARNING", "INFO"]
        assert ours[0]["reason"] == "ConnectionRefusedError"
        assert "hunter2" not in str(ours)

    def test_log_of_the_queue(self, store):
        """The text of a `QueueError` is logged."""

        def refuse(_):
            raise QueueError("the broker did not take the job: TimeoutError")

        with capture_logs() as lines:
            Dispatcher(store, refuse).send(store.start(many("a")).jobs)
        (line,) = (line for line in lines if line["logger"].startswith("cicd_system"))
        assert line["reason"] == "the broker did not take the job: TimeoutError"

    @pytest.mark.parametrize(("error", "level"), [(UnavailableError("away"), "WARNING"), (KeyError("x"), "ERROR")])
    def test_store_fails(self, error, level):
        """The thread goes on after errors, and an outage of the store is logged once."""
        looks = []

        class Broken:
            def take_over(self):
                looks.append(1)
                raise error

        with capture_logs() as lines, repeating(Dispatcher(Broken(), Kept().put).look, 0.001):
            until(lambda: len(looks) > 5, "looks at the store")
        ours = [line["level"] for line in lines if line["logger"].startswith("cicd_system")]
        assert set(ours) == {level}
        assert (len(ours) == 1) == (level == "WARNING")
