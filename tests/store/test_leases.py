"""Leases in the store: lost jobs, unclaimed requests, and outages of the processes that call `take_over`."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from attrs import evolve

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.enums import EndReason
from cicd_common.model import Job, Pipeline, Stage, UpdateOutcome
from cicd_common.store import ExecutionStore
from cicd_common.store.leases import _take_over
from cicd_common.testing import FakeBackend

NOW = datetime(2026, 1, 31, tzinfo=UTC)
LEASE = 60
RUNNING, SUCCESS, FAILED, CANCELED = (
    ExecutionStatus.RUNNING,
    ExecutionStatus.SUCCESS,
    ExecutionStatus.FAILED,
    ExecutionStatus.CANCELED,
)
PIPELINE = Pipeline(
    name="build",
    repo_url="r",
    stages=(
        Stage(name="check", jobs=(Job(name="test", script=("x",)), Job(name="lint", script=("x",)))),
        Stage(name="ship", jobs=(Job(name="ship", script=("x",)),)),
    ),
)


def told(request, sequence, status=RUNNING, worker="one", **fields):
    return JobStatusUpdate(
        job_execution_id=request.job_execution_id,
        sequence=sequence,
        status=status,
        occurred_at=NOW,
        attempt=request.attempt,
        worker=worker,
        **fields,
    )


class Clock:
    """Virtual time, in which the store is asked for lost jobs every ten seconds."""

    def __init__(self, store):
        self.store, self.now = store, NOW

    def watch(self, seconds):
        """Call `take_over` for a number of seconds, and return the jobs that it took over."""
        jobs, ended = [], []
        for _ in range(0, seconds, 10):
            self.now += timedelta(seconds=10)
            taken = self.store.take_over(self.now)
            jobs += taken.jobs
            ended += taken.ended
        return jobs, ended


@pytest.fixture
def clock(store):
    store.take_over(NOW)
    return Clock(store)


@pytest.fixture
def requests(store):
    return store.start(PIPELINE, at=NOW).jobs


class TestLost:
    def test_a_worker_that_is_heard_of_keeps_its_job(self, store, clock, requests):
        """A repeated update renews the lease."""
        for _ in range(10):
            for request in requests:
                store.apply(told(request, 1), at=clock.now)
            assert clock.watch(LEASE - 10) == ([], [])

    def test_a_lost_job_goes_on_in_its_next_attempt(self, store, clock, requests):
        """The job is handed out once, after the stored output; the lost Worker is told to stop."""
        store.apply(told(requests[0], 1, logs="a"), at=clock.now)
        [again], ended = clock.watch(LEASE)
        assert (again.attempt, again.last_sequence, again.job_execution_id, ended) == (
            2,
            1,
            requests[0].job_execution_id,
            [],
        )
        assert clock.watch(LEASE) == ([], [])
        late = store.apply(told(requests[0], 2, SUCCESS), at=clock.now)
        assert (late.outcome, late.response.is_superseded) == (UpdateOutcome.SUPERSEDED, True)
        assert store.apply(told(again, 2, SUCCESS, worker="two"), at=clock.now).outcome is UpdateOutcome.APPLIED

    def test_a_job_that_is_lost_three_times_fails(self, store, clock, requests):
        """A job that was lost too often fails and halts its run."""
        request = requests[0]
        for sequence in (1, 2):
            store.apply(told(request, sequence), at=clock.now)
            [request], _ = clock.watch(LEASE)
        store.apply(told(request, 3), at=clock.now)
        jobs, [end] = clock.watch(LEASE)
        assert (jobs, end.job_execution_id, end.status) == ([], request.job_execution_id, FAILED)
        assert store.job_execution(request.job_execution_id).reason is EndReason.WORKER_LOST

    def test_a_lost_job_that_may_fail_lets_the_next_stage_begin(self, store, clock):
        """If the lost job is allowed to fail, the jobs of the next stage are handed out."""
        may_fail = Pipeline(
            name="p",
            repo_url="r",
            stages=(
                Stage(name="a", jobs=(Job(name="a", script=("x",), allow_failure=True),)),
                Stage(name="b", jobs=(Job(name="b", script=("x",)),)),
            ),
        )
        with_one = clock.store
        [request] = with_one.start(may_fail, at=NOW).jobs
        for sequence in (1, 2, 3):
            store.apply(told(request, sequence), at=clock.now)
            [request], _ = clock.watch(LEASE)
        assert request.job_name == "b"

    @pytest.mark.parametrize("names", ["abc", "bac"])
    def test_two_jobs_at_once_end_the_same_way_in_any_order(self, store, names):
        """If two jobs are lost at once, the failure cancels the next job before the allowed failure can start it."""
        for backend in (store, FakeBackend()):
            assert lose_two(backend, names) == {"a": FAILED, "b": FAILED, "c": CANCELED}

    def test_a_job_that_was_not_handed_out_is_not_lost(self, store):
        """A job that was never handed out is not taken over, even if a Worker has sent an update of it."""
        for backend in (store, FakeBackend()):
            _, ship = start_with_waiting_job(backend)
            backend.apply(told(ship, 1, ExecutionStatus.PENDING), at=NOW)
            assert Clock(backend).watch(2 * LEASE) == ([], [])

    def test_a_job_given_back_that_was_never_handed_out_is_sent_until_claimed(self, store):
        """A Worker may release a job that it was not given. It has begun, so its request must not get lost."""
        for backend in (store, FakeBackend()):
            run, ship = start_with_waiting_job(backend)
            [again] = backend.apply(told(ship, 1, is_released=True), at=NOW).jobs
            clock = Clock(backend)
            jobs, _ = clock.watch(300)
            assert [job for job in jobs if job.job_execution_id == ship.job_execution_id] == [again]
            backend.cancel(run, clock.now)
            assert ship.job_execution_id in {each.job_execution_id for each in clock.watch(2 * LEASE)[1]}

    def test_a_release_does_not_count_as_a_loss(self, store, clock, requests):
        """A job can be released more often than it may be lost."""
        request = requests[0]
        for sequence in range(1, 11, 2):
            store.apply(told(request, sequence), at=clock.now)
            [request] = store.apply(told(request, sequence + 1, is_released=True), at=clock.now).jobs
        assert (request.attempt, store.job_status(request.job_execution_id).status) == (6, RUNNING)

    def test_of_a_canceled_run_ends_at_once(self, store, clock, requests):
        """A lost job of a canceled run is not handed out again."""
        store.apply(told(requests[0], 1), at=clock.now)
        run = requests[0].pipeline_execution_id
        store.cancel(run, clock.now)
        jobs, ended = clock.watch(2 * LEASE)
        assert (jobs, {each.status for each in ended}, len(ended)) == ([], {CANCELED}, 2)
        reasons = [store.job_execution(request.job_execution_id).reason for request in requests]
        assert reasons == [EndReason.WORKER_LOST, EndReason.SKIPPED]
        assert store.status(run).status is CANCELED

    def test_a_release_after_a_cancel_ends_within_a_lease(self, store, clock, requests):
        """A released job of a canceled run is sent once more, and ends if no Worker claims it within a lease."""
        store.apply(told(requests[0], 1), at=clock.now)
        store.cancel(requests[0].pipeline_execution_id, clock.now)
        store.apply(told(requests[0], 2, is_released=True), at=clock.now)
        _, ended = clock.watch(LEASE + 10)
        assert {request.job_execution_id for request in requests} == {each.job_execution_id for each in ended}

    def test_the_first_calls_of_all_may_come_at_once(self, store):
        """The first calls of `take_over` can run at the same time."""
        is_ready = Barrier(4)

        def call(_):
            store.pipelines()  # Open the connection first.
            is_ready.wait()
            return store.take_over(NOW)

        with ThreadPoolExecutor(4) as pool:
            assert [taken.jobs for taken in pool.map(call, range(4))] == [()] * 4


def start_with_waiting_job(backend):
    """Start a run, and return its id, and the request of its last job as if it had been handed out."""
    started = backend.start(PIPELINE, at=NOW)
    backend.take_over(NOW)
    run = started.execution.execution_id
    ship = backend.execution(run).stages[1].jobs[0]
    return run, evolve(started.jobs[0], job_execution_id=ship.id)


def lose_two(backend, names):
    """Lose two jobs at once until they end, and return the statuses. The third job needs the one that may fail."""
    jobs = {
        "a": Job(name="a", script=("x",), allow_failure=True),
        "b": Job(name="b", script=("x",)),
        "c": Job(name="c", script=("x",), dependencies=("a",)),
    }
    stage = Stage(name="check", jobs=tuple(jobs[name] for name in names))
    started = backend.start(Pipeline(name="two", repo_url="r", stages=(stage,)), at=NOW)
    backend.take_over(NOW)
    clock, requests = Clock(backend), started.jobs
    while requests:
        for request in requests:
            backend.apply(told(request, request.last_sequence + 1), at=clock.now)
        requests, _ = clock.watch(LEASE)
    run = backend.execution(started.execution.execution_id)
    return {job.job.name: job.status for job in run.stages[0].jobs}


class TestUnclaimed:
    def test_a_request_is_sent_again_ever_more_rarely(self, store, clock):
        """An unclaimed request is sent again after 5, 15 and 35 minutes, with the same attempt."""
        store.start(PIPELINE, at=NOW)
        sent = []
        for minute in range(1, 40):
            jobs, _ = clock.watch(60)
            sent += [(minute, job.attempt) for job in jobs if job.job_name == "test"]
        assert sent == [(5, 1), (15, 1), (35, 1)]

    @pytest.mark.no_cover
    def test_a_queue_may_be_long(self, store, clock, requests):
        """A job that waits for hours is not lost, and runs once a Worker claims it."""
        clock.watch(3 * 3600)
        assert store.job_execution(requests[0].job_execution_id).attempt == 1
        assert store.apply(told(requests[0], 1), at=clock.now).outcome is UpdateOutcome.APPLIED


class TestOutage:
    def test_a_break_of_those_who_watch_costs_no_job_its_lease(self, store, clock, requests):
        """After a break of the calls of `take_over`, a Worker that sends an update within a lease keeps its job."""
        store.apply(told(requests[0], 1), at=clock.now)
        clock.watch(30)
        clock.now += timedelta(minutes=10)
        store.take_over(clock.now)
        clock.watch(LEASE - 10)
        applied = store.apply(told(requests[0], 2), at=clock.now)
        assert (applied.outcome, applied.response.is_superseded) == (UpdateOutcome.APPLIED, False)

    def test_the_lease_of_a_worker_that_is_gone_ends_after_the_break(self, store, clock, requests):
        """After the break, the job of a missing Worker is taken over after one more lease, and not at once."""
        store.apply(told(requests[0], 1), at=clock.now)
        clock.watch(30)
        clock.now += timedelta(minutes=10)
        at_once = store.take_over(clock.now)
        assert [job for job in at_once.jobs if job.attempt > 1] == []
        jobs, _ = clock.watch(LEASE)
        assert [(job.job_name, job.attempt) for job in jobs if job.attempt > 1] == [("test", 2)]


AHEAD = pytest.mark.parametrize(
    "ahead", [timedelta(minutes=2), timedelta(days=3650), datetime.max.replace(tzinfo=UTC) - NOW], ids=str
)


class TestClocks:
    @AHEAD
    def test_that_was_ahead_hides_no_break_from_the_store(self, store, ahead):
        """After a call with a time in the future, every lease starts anew once the time is right."""
        be_ahead(store, ahead)

    @AHEAD
    def test_that_was_ahead_hides_no_break_from_the_model(self, ahead):
        """The model has the same rule for clocks that were ahead."""
        be_ahead(FakeBackend(lease_seconds=LEASE), ahead)

    def test_of_those_who_ask_the_store_may_differ_by_a_lease(self, store):
        """A time that is behind by at most a lease starts no lease anew."""
        differ(store)

    def test_of_those_who_ask_the_model_may_differ_by_a_lease(self):
        """The model has the same rule for clocks that differ."""
        differ(FakeBackend(lease_seconds=LEASE))


def be_ahead(store, ahead):
    clock = Clock(store)
    job = store.start(PIPELINE, at=NOW).jobs[0]
    store.apply(told(job, 1), at=NOW)
    store.take_over(NOW)
    store.take_over(NOW + ahead)
    jobs, _ = clock.watch(LEASE)
    assert [each for each in jobs if each.attempt > 1] == []
    store.apply(told(job, 2), at=clock.now)
    clock.now += timedelta(minutes=10)
    assert [each for each in store.take_over(clock.now).jobs if each.attempt > 1] == []
    jobs, _ = clock.watch(LEASE)
    assert [(each.job_name, each.attempt) for each in jobs if each.attempt > 1] == [("test", 2)]


def differ(store):
    job = store.start(PIPELINE, at=NOW).jobs[0]
    store.apply(told(job, 1), at=NOW)
    taken = []
    for seconds in range(0, 2 * LEASE + 1, 10):
        for behind in (0, LEASE):
            taken += store.take_over(NOW + timedelta(seconds=seconds - behind)).jobs
    assert [each.attempt for each in taken if each.attempt > 1] == [2]


class TestManyWhoAsk:
    def test_a_job_that_is_not_due_any_more_stays_as_it_is(self, store, requests):
        """A job that was updated, ended or sent again before its run was locked is not taken over."""
        first, second = requests
        last = store.start(PIPELINE, at=NOW).jobs[0]
        store.apply(told(first, 1), at=NOW)
        store.apply(told(second, 1, SUCCESS), at=NOW)
        ids = [request.job_execution_id for request in (first, second, last)]
        with store._database.write() as connection:
            taken = _take_over(connection, ids, NOW + timedelta(seconds=1), store._rules)
        assert (taken.jobs, taken.ended) == ((), ())

    def test_each_job_is_taken_over_once(self, url, clock, store):
        """Several stores that ask at once take over each job once."""
        wide = Pipeline(
            name="wide",
            repo_url="r",
            stages=(Stage(name="s", jobs=tuple(Job(name=f"j{at}", script=("x",)) for at in range(30))),),
        )
        for request in store.start(wide, at=NOW).jobs:
            store.apply(told(request, 1), at=NOW)
        clock.watch(LEASE - 10)
        late = clock.now + timedelta(seconds=10)
        stores = [ExecutionStore(url, lease_seconds=LEASE) for _ in range(4)]
        with ThreadPoolExecutor(len(stores)) as pool:
            taken = list(pool.map(lambda each: each.take_over(late).jobs, stores))
        for each in stores:
            each.close()
        names = [job.job_name for jobs in taken for job in jobs]
        assert sorted(names) == sorted(job.name for job in wide.stages[0].jobs)


class Simulation:
    """Unreliable Workers, an unreliable broker and an unreliable Backend in virtual time, until the faults end."""

    def __init__(self, store, seed):
        self.store, self.random = store, random.Random(seed)
        self.now, self.queue, self.running = NOW, [], {}
        self.outputs, self.attempts, self.serial, self.is_faulty = {}, {}, 0, True
        self.poisoned, self.cut_off = set(), []

    def send(self, jobs):
        for job in jobs:
            copies = self.random.choice([0, 1, 1, 2]) if self.is_faulty else 1
            self.queue += [job] * copies

    def tell(self, request, sequence, status, worker):
        update = told(request, sequence, status, worker, logs=f"{worker} {sequence}\n")
        applied = self.store.apply(update, at=self.now)
        self.send(applied.jobs)
        if applied.outcome is UpdateOutcome.APPLIED:
            self.outputs.setdefault((request.job_execution_id, request.attempt), set()).add(worker)
            self.attempts[worker] = request.attempt
        return applied.response

    def claim(self, request):
        self.serial += 1
        worker = f"w{self.serial}"
        response = self.tell(request, request.last_sequence + 1, RUNNING, worker)
        if not response.is_superseded:
            self.running[worker] = [request, request.last_sequence + 1]

    def proceed(self, worker):
        request, sequence = self.running[worker]
        if request.pipeline_execution_id in self.poisoned:
            del self.running[worker]  # The job kills its Worker.
            return
        if self.is_faulty and self.random.random() < 0.15:
            del self.running[worker]  # The Worker is killed, or is cut off and continues later.
            self.cut_off += self.random.choice([[], [(request, sequence, worker)]])
            return
        if self.is_faulty and self.random.random() < 0.3:
            return  # The Worker is paused or cut off.
        ends = self.random.random() < 0.3
        response = self.tell(request, sequence + 1, SUCCESS if ends else RUNNING, worker)
        self.running[worker][1] += 1
        if ends or response.is_superseded:
            del self.running[worker]

    def step(self):
        self.now += timedelta(seconds=10)
        if self.is_faulty and self.random.random() < 0.02:
            self.now += timedelta(minutes=10)  # The Backend is down.
        self.send(self.store.take_over(self.now).jobs)
        self.random.shuffle(self.queue)
        while self.queue and len(self.running) < 3:
            self.claim(self.queue.pop())
        if self.cut_off and self.random.random() < 0.2:
            request, sequence, worker = self.cut_off.pop(0)
            self.tell(request, sequence + 1, self.random.choice([RUNNING, SUCCESS]), worker)
        for worker in list(self.running):
            self.proceed(worker)


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(5))
class TestSimulation:
    """Brokers lose, repeat and delay; Workers are killed, paused, cut off; the Backend is down; jobs kill Workers."""

    def test_of_the_store(self, store, seed):
        """Every run ends within a bound after the last fault, and each attempt has one Worker."""
        simulate(store, seed)

    def test_of_the_model(self, seed):
        """The model keeps the same bounds without a database."""
        simulate(FakeBackend(lease_seconds=LEASE), seed)


def simulate(store, seed):
    simulation = Simulation(store, seed)
    store.take_over(NOW)
    runs = []
    for _ in range(4):
        started = store.start(PIPELINE, at=NOW)
        runs.append(started.execution.execution_id)
        simulation.send(started.jobs)
    simulation.poisoned.add(runs[1])
    for step in range(200):
        simulation.step()
        if step == 20:
            store.cancel(runs[0], simulation.now)
    simulation.is_faulty = False
    last_fault = simulation.now
    # The wait before a lost message is sent again doubles, so it can be twice as long as the time of the faults.
    bound = 2 * (last_fault - NOW) + timedelta(minutes=20)
    while not all(store.status(run).status.is_terminal for run in runs):
        simulation.step()
        assert simulation.now - last_fault < bound
    assert all(len(workers) == 1 for workers in simulation.outputs.values())
    poisoned = [job for stage in store.execution(runs[1]).stages for job in stage.jobs]
    assert EndReason.WORKER_LOST in {job.reason for job in poisoned}
    for job, _ in simulation.outputs:
        # No earlier attempt writes after a later one.
        told_by = [text.split()[0] for _, text in store.logs(job).chunks]
        attempts = [simulation.attempts[worker] for worker in told_by]
        assert attempts == sorted(attempts)
