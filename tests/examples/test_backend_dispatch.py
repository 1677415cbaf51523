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

    def test_lost_jobs_are_sent_again(self, tmp_path):
        """A job that was stored but not sent before a crash is sent; the end of a job that is lost is logged."""
        with ExecutionStore(f"sqlite:///{tmp_path}/lost.db", lease_seconds=1, max_losses=1, resend_seconds=1) as store:
            queue = Kept()
            (request,) = store.start(many("a"), at=datetime.now(UTC) - timedelta(seconds=2)).jobs
            with capture_logs() as lines, repeating(Dispatcher(store, queue.put).look, 0.01):
                until(lambda: queue.names, "the job")  # It is sent every second until it is claimed.
                store.apply(update(request.job_execution_id, 1, "RUNNING"))
                until(lambda: any("brought" in line["message"] for line in lines), "the line in the log")
            assert set(queue.names) == {"a"}
            assert store.job_status(request.job_execution_id).status.is_terminal

    def test_broker_refuses(self, store):
        """While the broker refuses jobs, only `look` tries it; when it works again, each job is sent once."""
        queue = Kept()
        dispatcher = Dispatcher(store, queue.put)
        dispatcher.look()
        queue.error = ConnectionRefusedError()
        dispatcher.send(store.start(many("a", "b", "c")).jobs)
        assert queue.asked == 1
        dispatcher.send(store.start(many("d")).jobs)
        assert queue.asked == 1
        dispatcher.look()
        assert queue.asked == 2
        queue.error = None
        dispatcher.look()
        dispatcher.look()
        assert sorted(queue.names) == ["a", "b", "c", "d"]
        dispatcher.send(store.start(many("e")).jobs)
        assert sorted(queue.names) == ["a", "b", "c", "d", "e"]

    def test_one_job_that_is_never_taken(self, store):
        """A job that the broker always refuses does not block other jobs."""
        queue = Kept()
        queue.refuses = {"never"}
        dispatcher = Dispatcher(store, queue.put)
        dispatcher.send(store.start(many("never", "a", "b")).jobs)
        for name in ("c", "d"):
            dispatcher.look()
            dispatcher.send(store.start(many(name)).jobs)
        dispatcher.look()
        assert set(queue.names) == {"a", "b", "c", "d"}

    @pytest.mark.parametrize(
        ("error", "reason"), [(QueueError("no broker"), "no broker"), (KeyError("hunter2"), "KeyError")]
    )
    def test_log(self, store, error, reason):
        """The begin and the end of an outage are logged once, without the contents of jobs."""
        queue = Kept()
        dispatcher = Dispatcher(store, queue.put)
        queue.error = error
        with capture_logs() as lines:
            dispatcher.send(store.start(many("hunter2")).jobs)
            dispatcher.look()
            queue.error = None
            dispatcher.look()
        ours = [line for line in lines if line["logger"].startswith("cicd_system")]
        assert [(line["level"], line.get("reason")) for line in ours] == [("WARNING", reason), ("INFO", None)]
        assert "hunter2" not in str(ours)

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
