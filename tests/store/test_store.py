"""The store and the model give the same results for any calls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from attrs import asdict, evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cicd_common import ContractError, ExecutionStatus
from cicd_common.api.request import JobStatusUpdate, PipelineExecutionRequest, ReportRequest
from cicd_common.enums import EndReason
from cicd_common.errors import UnknownNameError
from cicd_common.model import Job, JobExecution, LogText, Pipeline, PipelineExecution, Stage
from cicd_common.store import ExecutionStore
from cicd_common.testing import FakeBackend, strategies
from cicd_common.values import Environment
from tests.support import strategies as own_strategies

DAY = datetime(2026, 1, 31, tzinfo=UTC)
RUNS = 4
LEASE = 60


@st.composite
def updates(draw: st.DrawFn, job: JobExecution | None) -> JobStatusUpdate:
    """Updates of a known job or an unknown one: any sequence and status, of one of two Workers."""
    status = draw(own_strategies.statuses())
    return JobStatusUpdate(
        job_execution_id=UUID(int=7) if job is None else job.id,
        sequence=draw(st.integers(1, 4)),
        status=status,
        occurred_at=DAY + timedelta(seconds=draw(st.integers(0, 5))),
        logs=draw(st.text("ab\0\u20ac", max_size=3)),
        exit_code=draw(st.none() | st.integers(0, 2)),
        reason=draw(st.none() | st.sampled_from(EndReason)) if status.is_terminal else None,
        attempt=draw(st.sampled_from([1, 1, 1, 2]))
        if job is None
        else draw(st.sampled_from([job.attempt] * 3 + [1, 2])),
        worker=draw(st.sampled_from(["worker"] * 3 + ["another"])),
        is_released=status is ExecutionStatus.RUNNING and draw(st.integers(0, 4)) == 0,
    )


@st.composite
def small_pipelines(draw: st.DrawFn) -> Pipeline:
    """Pipelines of few names, so that several have the same names of pipelines, stages and jobs."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    names = draw(st.permutations([f"job {at}" for at in range(sum(sizes))]))
    stages, earlier = [], []
    for at, size in enumerate(sizes):
        jobs = []
        for name in names[len(earlier) : len(earlier) + size]:
            needs = draw(st.lists(st.sampled_from(earlier), max_size=3)) if earlier else []
            allow_failure = draw(st.integers(0, 3)) == 0
            jobs.append(Job(name=name, script=("true",), dependencies=tuple(needs), allow_failure=allow_failure))
            earlier.append(name)
        stages.append(Stage(name=f"stage {at}", jobs=tuple(jobs)))
    return Pipeline(
        name=draw(st.sampled_from(["build", "test"])),
        repo_url="https://example.org/repo.git",
        commit_hash=draw(st.none() | st.just("abc")),
        stages=tuple(stages),
    )


def jobs_of(run: PipelineExecution) -> list[JobExecution]:
    return [job for stage in run.stages for job in stage.jobs]


class StoreAndModel(RuleBasedStateMachine):
    """Makes the same calls to a store and to a FakeBackend, and compares everything that can be read from both."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.store = ExecutionStore(url, lease_seconds=LEASE, max_losses=2, resend_seconds=2 * LEASE)
        self.model = FakeBackend(lease_seconds=LEASE, max_losses=2, resend_seconds=2 * LEASE)
        self.known: list[Pipeline] = []
        self.requests: list[UUID] = []
        self.sent: list[JobStatusUpdate] = []
        self.clock = DAY

    def teardown(self) -> None:
        self.store.close()

    # --- calls --------------------------------------------------------------------------------------------------

    def at(self) -> datetime:
        self.clock += timedelta(seconds=1)
        return self.clock

    def start(self, what, **options) -> None:
        at = self.at()
        started = self.store.start(what, at=at, **options)
        execution_id = started.execution.execution_id
        assert as_plain(started) == as_plain(self.model.start(what, at=at, execution_id=execution_id, **options))

    @precondition(lambda self: len(self.model.executions) < RUNS)
    @rule(pipeline=small_pipelines(), branch=st.none() | st.just("develop"))
    def start_new(self, pipeline, branch) -> None:
        self.known.append(pipeline)
        self.start(pipeline, branch=branch, environment=Environment({"RUN": "yes"}))

    @precondition(lambda self: self.known and len(self.model.executions) < RUNS)
    @rule(data=st.data(), is_inline=st.booleans(), is_local=st.booleans(), commit=st.none() | st.just("def"))
    def start_known(self, data, is_inline, is_local, commit) -> None:
        pipeline = data.draw(st.sampled_from(self.known))
        what = {"pipeline": pipeline} if is_inline else {"pipeline_id": pipeline.id}
        request = PipelineExecutionRequest(
            request_id=uuid4(), repo=pipeline.repo_url, commit_hash=commit, is_local=is_local, **what
        )
        self.start(request)
        self.requests.append(request.request_id)

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), pipeline=small_pipelines())
    def start_again(self, data, pipeline) -> None:
        self.start(pipeline, request_id=data.draw(st.sampled_from(self.requests)))

    def send(self, *updates: JobStatusUpdate) -> None:
        at = self.at()
        expected = self.model.apply_all(updates, at=at)
        assert list(map(as_plain, expected)) == list(map(as_plain, self.store.apply_all(updates, at=at)))
        self.sent += updates

    def jobs(self) -> list[JobExecution]:
        return [job for run in self.model.executions for stage in run.stages for job in stage.jobs]

    @precondition(lambda self: self.model.executions)
    @rule(data=st.data(), count=st.integers(1, 4))
    def update(self, data, count) -> None:
        """Apply random updates of random jobs, handed out or not, in one batch."""
        told = []
        for _ in range(count):
            job = data.draw(st.sampled_from(self.jobs()))
            told.append(data.draw(updates(job)))
        self.send(*told)

    @precondition(lambda self: self.open_jobs())
    @rule(
        data=st.data(),
        statuses=st.lists(
            st.sampled_from([*[ExecutionStatus.SUCCESS] * 5, ExecutionStatus.FAILED, ExecutionStatus.RUNNING]),
            min_size=1,
            max_size=4,
        ),
        is_released=st.booleans(),
    )
    def proceed(self, data, statuses, is_released) -> None:
        """Apply the next updates of correct Workers in one batch."""
        jobs = data.draw(st.lists(st.sampled_from(self.open_jobs()), min_size=1, max_size=4, unique_by=lambda x: x.id))
        self.send(
            *(
                JobStatusUpdate(
                    job_execution_id=job.id,
                    sequence=job.last_sequence + 1,
                    status=status,
                    occurred_at=self.clock,
                    logs=".",
                    attempt=job.attempt,
                    worker=job.worker or "worker",
                    is_released=is_released and status is ExecutionStatus.RUNNING,
                )
                for job, status in zip(jobs, statuses, strict=False)
            )
        )

    def open_jobs(self) -> list[JobExecution]:
        return [job for job in self.jobs() if job.queued_at is not None and not job.status.is_terminal]

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data) -> None:
        self.send(data.draw(st.sampled_from(self.sent)))

    @rule(update=updates(None))
    def update_of_nobody(self, update) -> None:
        self.send(update)

    @precondition(lambda self: self.model.executions)
    @rule(data=st.data())
    def cancel(self, data) -> None:
        at = self.at()
        run = data.draw(st.sampled_from(self.model.executions))
        assert self.model.cancel(run.id, at) == self.store.cancel(run.id, at)

    @rule(seconds=st.sampled_from([0, 5, LEASE, 2 * LEASE]))
    def take_over(self, seconds) -> None:
        self.clock += timedelta(seconds=seconds)
        self.take_over_now()

    @rule()
    def let_leases_end(self) -> None:
        """Call `take_over` without a break until every lease has ended."""
        for _ in range(4):
            self.clock += timedelta(seconds=LEASE // 3 - 1)
            self.take_over_now()

    def take_over_now(self) -> None:
        at = self.at()
        expected, found = self.model.take_over(at), self.store.take_over(at)
        for name in ("jobs", "ended"):
            ours, theirs = getattr(expected, name), getattr(found, name)
            assert sorted(ours, key=lambda each: each.job_execution_id) == sorted(
                theirs, key=lambda each: each.job_execution_id
            )

    # --- comparisons --------------------------------------------------------------------------------------------

    @invariant()
    def executions_are_equal(self) -> None:
        for run in self.model.executions:
            assert run == self.store.execution(run.id)
            assert self.model.status(run.id) == self.store.status(run.id)
        for job in self.jobs():
            assert self.model.job_status(job.id) == self.store.job_status(job.id)
            assert self.model.job_execution(job.id) == self.store.job_execution(job.id)

    @invariant()
    def logs_are_equal(self) -> None:
        for job in self.jobs():
            assert self.model.logs(job.id) == self.store.logs(job.id)
            assert self.model.log_tail(job.id, max_bytes=3) == self.store.log_tail(job.id, max_bytes=3)

    @invariant()
    def reports_are_equal(self) -> None:
        for names in self.names():
            self.compare_all_pages(ReportRequest(**names, limit=2))

    def names(self):
        """Return the names of each possible report, each once."""
        found = {}
        for pipeline in self.known:
            found[pipeline.name,] = None
            for stage in pipeline.stages:
                found[pipeline.name, stage.name] = None
                found |= {(pipeline.name, stage.name, job.name): None for job in stage.jobs}
        return [dict(zip(("pipeline_name", "stage_name", "job_name"), names, strict=False)) for names in found]

    @precondition(lambda self: self.model.executions)
    @rule(
        data=st.data(),
        status=st.none() | own_strategies.statuses(),
        number=st.none() | st.integers(1, RUNS),
        limit=st.integers(1, RUNS),
    )
    def filter_reports(self, data, status, number, limit) -> None:
        names = data.draw(st.sampled_from(self.names()))
        self.compare_all_pages(ReportRequest(**names, status=status, run_number=number, limit=limit))

    @precondition(lambda self: self.model.executions)
    @rule(
        pipeline=st.sampled_from(["build", "none"]),
        stage=st.sampled_from(["stage 0", "stage 2", "none"]),
        job=st.none() | st.sampled_from(["job 0", "job 1", "none"]),
    )
    def ask_for_any_name(self, pipeline, stage, job) -> None:
        self.compare_all_pages(ReportRequest(pipeline_name=pipeline, stage_name=stage, job_name=job))

    def compare_all_pages(self, request: ReportRequest) -> None:
        while request is not None:
            expected = answer(self.model.report, request)
            assert expected == answer(self.store.report, request)
            cursor = getattr(expected, "next_cursor", None)
            request = None if cursor is None else evolve(request, cursor=cursor)


def as_plain(result):
    """Return the fields of a result, or the problems of an error."""
    return result.problems if isinstance(result, ContractError) else asdict(result, recurse=False)


def answer(ask, request):
    """Return a report, or the problems of an unknown name."""
    try:
        return ask(request)
    except UnknownNameError as error:
        return error.problems


class TestStore:
    @pytest.mark.no_cover
    def test_equals_the_model(self, fresh):
        """Store and model agree after any starts, updates, repeats and cancellations in any order."""
        run_state_machine_as_test(lambda: StoreAndModel(fresh()), settings=settings(stateful_step_count=20))

    def test_keeps_definitions(self, fresh):
        """A stored definition is read back equal, edge values included."""
        with ExecutionStore(fresh()) as store:

            @given(strategies.pipelines(), strategies.texts())
            def check(pipeline, commit):
                pipeline = with_own_ids(pipeline)
                started = store.start(pipeline, commit_hash=commit)
                assert pipeline == store.pipeline(pipeline.id)
                assert commit == store.execution(started.execution.execution_id).commit_hash

            check()

    def test_keeps_logs_and_times(self, fresh):
        """Any text and any time is read back equal."""
        pipeline = Pipeline(name="p", repo_url="r", stages=(Stage(name="s", jobs=(Job(name="j", script=("true",)),)),))
        with ExecutionStore(fresh()) as store:

            @given(strategies.times(), strategies.texts(), strategies.integers())
            def check(at, text, exit_code):
                started = store.start(pipeline, at=at)
                (job,) = started.jobs
                update = JobStatusUpdate(
                    job_execution_id=job.job_execution_id,
                    sequence=2**63 - 1,
                    status=ExecutionStatus.FAILED,
                    occurred_at=at,
                    logs=text,
                    exit_code=exit_code,
                    worker="worker",
                )
                store.apply(update)
                assert LogText.of([update]) == store.logs(job.job_execution_id)
                (run,) = jobs_of(store.execution(started.execution.execution_id))
                assert (at, at, exit_code) == (run.queued_at, run.completion_time, run.exit_code)

            check()

    def test_of_two_texts_for_one_sequence_the_first_one_stands(self, store):
        """The first text of a sequence is kept."""
        pipeline = Pipeline(name="p", repo_url="r", stages=(Stage(name="s", jobs=(Job(name="j", script=("true",)),)),))
        (job,) = store.start(pipeline).jobs
        told = [
            JobStatusUpdate(
                job_execution_id=job.job_execution_id,
                sequence=1,
                status=ExecutionStatus.RUNNING,
                occurred_at=DAY,
                logs=text,
                worker="worker",
            )
            for text in ("b", "longer", "a", "longer")
        ]
        assert len([store.apply(update) for update in told]) == 4
        assert store.logs(job.job_execution_id) == LogText.of(told)


def with_own_ids(pipeline: Pipeline) -> Pipeline:
    """Return a copy of a pipeline with unique ids."""
    stages = tuple(
        evolve(stage, id=uuid4(), jobs=tuple(evolve(job, id=uuid4()) for job in stage.jobs))
        for stage in pipeline.stages
    )
    return evolve(pipeline, id=uuid4(), stages=stages)
