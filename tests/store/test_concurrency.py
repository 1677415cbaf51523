"""Many processes use the store at once and are killed at any moment: nothing is lost or done twice."""

from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
import threading
import time
from collections import Counter, defaultdict
from uuid import uuid4

import pytest
from attrs import evolve
from sqlalchemy import make_url

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.model import Job, LogText, Pipeline, Stage, UpdateOutcome
from cicd_common.store import ExecutionStore
from cicd_common.store.engine import _after_fork
from tests.support import store_processes
from tests.support.children import end_if_stuck

MOMENT = store_processes.MOMENT
PROCESSES = 8
KILLS = 100


@pytest.fixture(scope="module")
def context():
    """A context that forks processes from one that has imported the store, which is fast."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cicd_common.store", "sqlalchemy.dialects.postgresql.psycopg", "psycopg"])
    return context


def wide_pipeline(stages: int, width: int) -> Pipeline:
    """A pipeline whose jobs depend on two others of the stage, except the first ones; some jobs may fail."""

    def job(stage, at):
        needs = tuple(f"job {stage}.{other}" for other in (at - 10, at - 7) if other >= 0)
        return Job(name=f"job {stage}.{at}", script=("true",), dependencies=needs, allow_failure=at % 10 == 3)

    return Pipeline(
        name="wide",
        repo_url="https://example.org/repo.git",
        stages=tuple(
            Stage(name=f"stage {stage}", jobs=tuple(job(stage, at) for at in range(width))) for stage in range(stages)
        ),
    )


def with_own_ids(pipeline: Pipeline) -> Pipeline:
    stages = [
        evolve(stage, id=uuid4(), jobs=tuple(evolve(job, id=uuid4()) for job in stage.jobs))
        for stage in pipeline.stages
    ]
    return evolve(pipeline, id=uuid4(), stages=tuple(stages))


def history_of(job_execution_id, may_fail):
    """The RUNNING and the terminal update of a job, each twice."""
    end = ExecutionStatus.FAILED if may_fail else ExecutionStatus.SUCCESS
    updates = [
        JobStatusUpdate(
            job_execution_id=job_execution_id,
            sequence=sequence,
            status=status,
            occurred_at=MOMENT,
            logs=f"{sequence}\n",
            worker="worker",
        )
        for sequence, status in enumerate((ExecutionStatus.RUNNING, end), 1)
    ]
    return updates * 2


def jobs_of(run):
    return [job for stage in run.stages for job in stage.jobs]


@pytest.mark.no_cover
class TestUpdates:
    def test_by_eight_processes(self, url, context):
        """Eight processes apply the updates of 500 jobs, shuffled and repeated: each job is handed out once."""
        pipeline = wide_pipeline(stages=5, width=100)
        with ExecutionStore(url) as store:
            started = store.start(pipeline, at=MOMENT)
            run = store.execution(started.execution.execution_id)
            sent = self.send_all(url, context, run, [job.job_execution_id for job in started.jobs])
            for update in sent:
                run, _ = run.apply(update)
                run, _ = run.hand_out(MOMENT)
            assert store.execution(run.id) == run
            assert store.status(run.id).status is run.status is ExecutionStatus.SUCCESS
            for job in jobs_of(run):
                assert store.logs(job.id).text == "1\n2\n"

    def send_all(self, url, context, run, ready):
        """Let processes apply the updates of all jobs that are handed out. Return the updates."""
        may_fail = {job.id: job.job.allow_failure for job in jobs_of(run)}
        updates, results = context.Queue(), context.Queue()
        processes = [
            context.Process(target=store_processes.apply_all, args=(url, updates, results)) for _ in range(PROCESSES)
        ]
        for process in processes:
            process.start()
        sent, done = [], 0
        handed_out = list(ready)
        while True:
            news = [update for job in ready for update in history_of(job, may_fail[job])]
            random.shuffle(news)
            for update in news:
                updates.put(update)
            sent += news
            if done == len(sent):
                break
            ready = results.get(timeout=60)
            handed_out += ready
            done += 1
        for _ in processes:
            updates.put(None)
        for process in processes:
            process.join()
            assert process.exitcode == 0
        assert Counter(handed_out) == dict.fromkeys(may_fail, 1)
        return sent

    def test_by_threads(self, url):
        """Threads that share a store apply each update once and hand each job out once."""
        pipeline = wide_pipeline(stages=2, width=12)
        with ExecutionStore(url) as store:
            started = store.start(pipeline)
            lock, handed_out = threading.Lock(), []

            def play(jobs):
                with lock:
                    handed_out.extend(job.job_execution_id for job in jobs)
                threads = [threading.Thread(target=report, args=(job,)) for job in jobs]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

            def report(job):
                for update in history_of(job.job_execution_id, may_fail=False):
                    play(store.apply(update).jobs)

            play(started.jobs)
            run = store.execution(started.execution.execution_id)
            assert run.status is store.status(run.id).status is ExecutionStatus.SUCCESS
            assert Counter(handed_out) == Counter(job.id for job in jobs_of(run))


@pytest.mark.no_cover
class TestStarts:
    def test_by_eight_processes(self, bare_url, context):
        """Eight processes create the tables and start runs at once: numbers have no gaps, each request starts once."""
        shared = with_own_ids(wide_pipeline(1, 3))
        requests = [(shared, uuid4()) for _ in range(10)]
        barrier, results = context.Barrier(PROCESSES), context.Queue()
        processes = []
        for _ in range(PROCESSES):
            own = with_own_ids(wide_pipeline(1, 3))
            tasks = [*requests, *[(shared, None)] * 5, *[(own, None)] * 3]
            random.shuffle(tasks)
            processes.append(
                context.Process(target=store_processes.start_all, args=(bare_url, barrier, tasks, results))
            )
        for process in processes:
            process.start()
        numbers, handed_out = defaultdict(dict), []
        for _ in processes:
            while (result := results.get(timeout=60)) is not None:
                pipeline_id, execution, jobs = result
                known = numbers[pipeline_id].setdefault(execution.run_number, execution.execution_id)
                assert known == execution.execution_id
                handed_out += jobs
        for process in processes:
            process.join()
            assert process.exitcode == 0
        # All definitions have the same name, so their runs share one sequence of numbers.
        runs = len(requests) + PROCESSES * (5 + 3)
        assert sorted(number for each in numbers.values() for number in each) == list(range(1, runs + 1))
        assert max(Counter(handed_out).values()) == 1
        assert len(handed_out) == 3 * runs


@pytest.mark.no_cover
class TestKill:
    def test_keeps_what_was_acknowledged(self, url, context):
        """After each of a hundred kills the database opens and has all acknowledged writes."""
        pipeline = wide_pipeline(2, 2)
        runs = set()
        ExecutionStore(url).close()
        for _ in range(KILLS):
            acknowledged = self.killed(url, context, pipeline)
            with ExecutionStore(url) as store:
                new = {what.execution_id for kind, what in acknowledged if kind == "started"}
                self.check(store, new, [what for kind, what in acknowledged if kind == "applied"])
                runs |= new
        with ExecutionStore(url) as store:
            self.check(store, runs, ())
            numbers = {store.status(run).run_number for run in runs}
            assert len(numbers) == len(runs)
        if url.startswith("sqlite"):
            connection = sqlite3.connect(make_url(url).database)
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            connection.close()

    @staticmethod
    def killed(url, context, pipeline):
        """Kill a process that writes, and return the writes that it acknowledged."""
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=store_processes.write_on, args=(url, pipeline, sender))
        process.start()
        sender.close()
        acknowledged = [receiver.recv() for _ in range(random.randint(1, 8))]
        time.sleep(random.uniform(0, 0.004))  # So that the kill is not always at the beginning of a write.
        process.kill()
        process.join()
        while True:
            try:
                acknowledged.append(receiver.recv())
            except (EOFError, ConnectionError):
                return acknowledged

    @staticmethod
    def check(store, runs, updates):
        """Check that acknowledged writes are stored, and that the stored rows are consistent."""
        texts = defaultdict(list)
        for update in updates:
            texts[update.job_execution_id].append(update)
        for job, sent in texts.items():
            assert set(store.logs(job).chunks) >= set(LogText.of(sent).chunks)
        for run in runs:
            # The server may still be committing the last transaction of a process that was killed.
            store_processes.until(lambda run=run: store.status(run).status is store.execution(run).status)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
class TestFork:
    def test_leaves_the_connections_of_its_parent_alone(self, url):
        """After a fork, the store of the child has a new pool, and works."""
        with ExecutionStore(url) as store:
            pool = store._database._engine.pool
            _after_fork()
            assert store._database._engine.pool is not pool
            assert store.pipelines() == ()
            pool.dispose()

    def test_waits_for_no_thread_of_its_parent(self, store):
        """A forked process has no thread that leads a transaction, so its updates wait for none."""
        (job,) = store.start(wide_pipeline(1, 1)).jobs
        update, *_ = history_of(job.job_execution_id, may_fail=False)
        store._group._is_led = True
        child = os.fork()
        if child == 0:
            outcome = None
            try:
                end_if_stuck()
                outcome = store.apply(update).outcome
            finally:
                os._exit(0 if outcome is UpdateOutcome.APPLIED else 1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert store.job_execution(job.job_execution_id).last_sequence == 1

    def test_opens_its_own_connections(self, url):
        """A forked process and its parent can both use the store."""
        pipeline = wide_pipeline(1, 1)
        with ExecutionStore(url) as store:
            store.start(pipeline)
            child = os.fork()
            if child == 0:
                number = 0
                try:
                    for _ in range(5):
                        number = store.start(pipeline).execution.run_number
                finally:
                    os._exit(number)
            for _ in range(5):
                store.start(pipeline)
            _, status = os.waitpid(child, 0)
            assert 6 <= os.waitstatus_to_exitcode(status) <= 11
            assert store.start(pipeline).execution.run_number == 12
