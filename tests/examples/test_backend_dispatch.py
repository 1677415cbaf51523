"""When jobs are sent, and sent again: by given times, and with a broker that refuses."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from backend_in_process import Kept, order, simple, update
from cicd_system.backend import Dispatcher
from cicd_system.backend.dispatch import Sendings
from cicd_system.job_queue import QueueError
from waiting import until

from cicd_common.logging import capture_logs
from cicd_common.model import Job, Pipeline, Stage
from cicd_common.store import ExecutionStore, UnavailableError

A, B, C = (UUID(int=number) for number in (1, 2, 3))


def times(sendings, job, begin, end):
    """When a job that nobody hears of is sent, if it is looked at each second."""
    found = []
    for now in range(begin, end):
        if sendings.due([job], now, now):
            sendings.sent(job, now)
            found.append(now)
    return found


@pytest.fixture
def started():
    """What has looked once, and knows nothing."""
    sendings = Sendings()
    assert sendings.due([], 0, 0) == []
    return sendings


class TestSendings:
    """The schedule."""

    def test_doubles(self, started):
        """After 60 seconds, and 120, 240, 480 later."""
        started.sent(A, 0)
        assert times(started, A, 0, 1000) == [60, 180, 420, 900]

    def test_begins_with_all(self):
        """Whoever starts cannot know what was sent before."""
        sendings = Sendings()
        assert sendings.due([A, B], 0, 0) == [A, B]

    def test_begins_at_once_and_doubles(self):
        """From then on it knows."""
        assert times(Sendings(), A, 0, 1000) == [0, 60, 180, 420, 900]

    def test_another_backends(self, started):
        """What another Backend has handed out counts as sent when it is first seen."""
        assert times(started, A, 5, 1000) == [65, 125, 245, 485, 965]

    def test_seen_before_it_is_sent(self, started):
        """The look at the store may see a job just before the request that handed it out has sent it."""
        assert started.due([A], 5, 5) == []
        started.sent(A, 6)
        assert times(started, A, 7, 1000) == [66, 186, 426, 906]

    def test_sent_while_the_store_is_asked(self, started):
        """It is not in what the store has told, and is no job that is over."""
        started.sent(A, 10)
        assert started.due([], 9, 11) == []
        assert times(started, A, 12, 200) == [70, 190]

    def test_heard_of(self, started):
        """A job that is not unheard of any more is forgotten."""
        started.sent(A, 0)
        assert started.due([], 1, 1) == []
        assert times(started, A, 2, 100) == [62]

    def test_not_taken(self, started):
        """At every look, until it is taken; from then on as if it were the first time."""
        started.not_sent(A, 0, tried=True)
        for now in (1, 2, 3):
            assert started.due([A], now, now) == [A]
            started.not_sent(A, now, tried=True)
        started.sent(A, 4)
        assert times(started, A, 4, 1000) == [64, 184, 424, 904]

    def test_not_taken_again(self, started):
        """A pause that was reached stays."""
        started.sent(A, 0)
        assert started.due([A], 60, 60) == [A]
        started.not_sent(A, 60, tried=True)
        assert started.due([A], 61, 61) == [A]
        started.sent(A, 61)
        assert times(started, A, 62, 1000) == [181, 421, 901]

    def test_who_failed_less_often_is_first(self, started):
        """So that one that is never taken stands in nobody's way."""
        for job, failures in ((A, 2), (B, 0), (C, 1)):
            started.not_sent(job, 0, tried=False)
            for _ in range(failures):
                started.not_sent(job, 0, tried=True)
        assert started.due([A, B, C], 1, 1) == [B, C, A]


@pytest.fixture
def store(tmp_path):
    with ExecutionStore(f"sqlite:///{tmp_path}/cicd.db") as store:
        yield store


def many(*names):
    jobs = tuple(Job(name=name, script=(f"echo {name}",)) for name in names)
    return Pipeline(name="many", repo_url="/", stages=(Stage(name="all", jobs=jobs),))


class TestDispatcher:
    """With a store, and a queue that may refuse."""

    def test_begins_with_what_is_stored(self, store):
        """All of it, page by page; a Backend that crashed may not have sent it."""
        names = [f"job {number}" for number in range(1001)]
        store.start(many(*names))
        queue = Kept()
        with Dispatcher(store, queue, interval=0.01):
            until(lambda: len(queue.jobs) >= len(names), "all jobs")
        assert sorted(queue.names) == sorted(names)

    def test_not_what_was_heard_of(self, store):
        """A job that a Worker has reported on needs nobody."""
        started = store.start(many("a", "b"))
        store.apply(update(started.jobs[0].job_execution_id, 1, "RUNNING"))
        queue = Kept()
        Dispatcher(store, queue).look()
        assert queue.names == ["b"]

    def test_canceled_jobs_too(self, store):
        """A Worker that gets one says how it ended; nobody else can."""
        started = store.start(order(simple()))
        store.cancel(started.execution.execution_id)
        queue = Kept()
        Dispatcher(store, queue).look()
        assert queue.names == ["one"]

    def test_broker_refuses(self, store):
        """Nobody waits for it a second time; all is sent once it takes jobs again, each job once."""
        queue = Kept()
        dispatcher = Dispatcher(store, queue)
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
        """All others get through, later ones too."""
        queue = Kept()
        queue.refuses = lambda job: job.job_name == "never"
        dispatcher = Dispatcher(store, queue)
        dispatcher.send(store.start(many("never", "a", "b")).jobs)
        for name in ("c", "d"):
            dispatcher.look()
            dispatcher.send(store.start(many(name)).jobs)
        dispatcher.look()
        assert set(queue.names) == {"a", "b", "c", "d"}

    def test_log(self, store):
        """It tells when a broker begins to fail and when it works again, and nothing of the jobs."""
        queue = Kept()
        dispatcher = Dispatcher(store, queue)
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
        """What the queue says of itself is made to be told."""

        class Refusing:
            def put(self, _):
                raise QueueError("the broker did not take the job: TimeoutError")

        with capture_logs() as lines:
            Dispatcher(store, Refusing()).send(store.start(many("a")).jobs)
        (line,) = (line for line in lines if line["logger"].startswith("cicd_system"))
        assert line["reason"] == "the broker did not take the job: TimeoutError"

    @pytest.mark.parametrize(("error", "level"), [(UnavailableError("away"), "WARNING"), (KeyError("x"), "ERROR")])
    def test_store_fails(self, error, level):
        """It goes on; a store that stays away is told of once."""
        looks = []

        class Broken:
            def handed_out(self, **_):
                looks.append(1)
                raise error

        with capture_logs() as lines, Dispatcher(Broken(), Kept(), interval=0.001):
            until(lambda: len(looks) > 5, "looks at the store")
        ours = [line["level"] for line in lines if line["logger"].startswith("cicd_system")]
        assert set(ours) == {level}
        assert (len(ours) == 1) == (level == "WARNING")

    def test_forgets(self, store):
        """It remembers no job that is over: it would grow for ever."""
        dispatcher = Dispatcher(store, Kept())
        jobs = store.start(many("a", "b")).jobs
        dispatcher.send(jobs)
        for job in jobs:
            store.apply(update(job.job_execution_id, 1, "SUCCESS"))
        dispatcher.look()
        assert dispatcher._sendings._known == {}


def test_unknown_jobs_are_independent():
    """What becomes of one job is nothing to another."""
    sendings = Sendings()
    jobs = [uuid4() for _ in range(3)]
    assert sendings.due(jobs, 0, 0) == jobs
    sendings.sent(jobs[0], 0)
    sendings.sent(jobs[1], 30)
    sendings.sent(jobs[2], 100)
    assert sendings.due(jobs, 61, 61) == jobs[:1]
    assert sendings.due(jobs, 91, 91) == jobs[:2]
