"""The store against the model: whatever is done to both, they say the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import strategies
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cicd_common import ExecutionStatus, mapping, reports
from cicd_common.api.request import JobStatusUpdate, PipelineExecutionRequest, ReportRequest
from cicd_common.errors import UnknownNameError
from cicd_common.model import Job, LogText, Pipeline, PipelineExecution, Stage
from cicd_common.store import Applied, ExecutionStore

DAY = datetime(2026, 1, 31, tzinfo=UTC)
RUNS = 4


@st.composite
def small_pipelines(draw: st.DrawFn) -> Pipeline:
    """Pipelines of few names, so that several have the same ones, in the same stages and in others."""
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


def adopted(expected: PipelineExecution, loaded: PipelineExecution) -> PipelineExecution:
    """A new run with the ids that the store gave to its stages and jobs."""
    stages = tuple(
        evolve(stage, id=known.id, jobs=tuple(evolve(a, id=b.id) for a, b in zip(stage.jobs, known.jobs, strict=True)))
        for stage, known in zip(expected.stages, loaded.stages, strict=True)
    )
    return evolve(expected, stages=stages)


def jobs_of(run: PipelineExecution):
    return [job for stage in run.stages for job in stage.jobs]


class StoreAndModel(RuleBasedStateMachine):
    """Does the same to a store and to models, and compares all that can be read."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.store = ExecutionStore(url)
        self.pipelines: list[Pipeline] = []
        self.runs: dict[UUID, PipelineExecution] = {}
        self.logs: dict[UUID, LogText] = {}
        self.requests: dict[UUID, UUID] = {}
        self.sent: list[JobStatusUpdate] = []
        self.clock = DAY

    def teardown(self) -> None:
        self.store.close()

    # --- what is done -------------------------------------------------------------------------------------------

    def at(self) -> datetime:
        self.clock += timedelta(seconds=1)
        return self.clock

    def adopt(self, pipeline, started, at, commit_hash=None, is_local=False) -> None:
        number = 1 + sum(run.pipeline.id == pipeline.id for run in self.runs.values())
        execution_id = started.execution.execution_id
        expected = pipeline.new_execution(
            run_number=number, commit_hash=commit_hash, is_local=is_local, id=execution_id
        )
        run, ready = adopted(expected, self.store.execution(execution_id)).hand_out(at)
        assert mapping.pipeline_execution_response(run) == started.execution
        assert self.requested(run, ready) == started.jobs
        self.runs[execution_id] = run

    @staticmethod
    def requested(run, jobs):
        return tuple(mapping.job_execution_request(run, job.id) for job in jobs)

    @precondition(lambda self: len(self.runs) < RUNS)
    @rule(pipeline=small_pipelines())
    def start_new(self, pipeline) -> None:
        at = self.at()
        self.pipelines.append(pipeline)
        self.adopt(pipeline, self.store.start(pipeline, at=at), at)

    @precondition(lambda self: self.pipelines and len(self.runs) < RUNS)
    @rule(data=st.data(), is_inline=st.booleans(), is_local=st.booleans(), commit=st.none() | st.just("def"))
    def start_known(self, data, is_inline, is_local, commit) -> None:
        at = self.at()
        pipeline = data.draw(st.sampled_from(self.pipelines))
        what = {"pipeline": pipeline} if is_inline else {"pipeline_id": pipeline.id}
        request = PipelineExecutionRequest(
            request_id=uuid4(), repo="repo", commit_hash=commit, is_local=is_local, **what
        )
        started = self.store.start(request, at=at)
        self.requests[request.request_id] = started.execution.execution_id
        self.adopt(pipeline, started, at, commit, is_local)

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), pipeline=small_pipelines())
    def start_again(self, data, pipeline) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.requests)))
        started = self.store.start(pipeline, request_id=request_id)
        run = self.runs[self.requests[request_id]]
        assert mapping.pipeline_execution_response(run) == started.execution
        assert started.jobs == ()

    def send(self, run: PipelineExecution, update: JobStatusUpdate) -> None:
        at = self.at()
        moved, outcome = run.apply(update)
        moved, ready = moved.hand_out(at)
        known = self.logs.get(update.job_execution_id, LogText())
        status = moved.job(update.job_execution_id).status
        expected = Applied(
            outcome=outcome,
            status=status,
            stop=moved.canceled_at is not None and not status.is_terminal,
            clashes=dict(known.chunks).get(update.sequence, update.logs) != update.logs,
            jobs=self.requested(moved, ready),
        )
        assert expected == self.store.apply(update, at=at)
        self.runs[run.id] = moved
        self.logs[update.job_execution_id] = known.join([(update.sequence, update.logs)])
        self.sent.append(update)

    @precondition(lambda self: self.runs)
    @rule(
        data=st.data(),
        sequence=st.integers(1, 4),
        status=strategies.statuses(),
        seconds=st.integers(0, 5),
        logs=st.text("ab\0\u20ac", max_size=3),
        exit_code=st.none() | st.integers(0, 2),
    )
    def update(self, data, sequence, status, seconds, logs, exit_code) -> None:
        """Any update of any job, be it handed out or not."""
        run = data.draw(st.sampled_from(list(self.runs.values())))
        job = data.draw(st.sampled_from(jobs_of(run)))
        update = JobStatusUpdate(
            job_execution_id=job.id,
            sequence=sequence,
            status=status,
            occurred_at=DAY + timedelta(seconds=seconds),
            logs=logs,
            exit_code=exit_code,
        )
        self.send(run, update)

    @precondition(lambda self: self.open_jobs())
    @rule(
        data=st.data(),
        status=st.sampled_from([*[ExecutionStatus.SUCCESS] * 5, ExecutionStatus.FAILED, ExecutionStatus.RUNNING]),
    )
    def proceed(self, data, status) -> None:
        """What a true Worker reports next."""
        run, job = data.draw(st.sampled_from(self.open_jobs()))
        update = JobStatusUpdate(
            job_execution_id=job.id, sequence=job.last_sequence + 1, status=status, occurred_at=self.clock, logs="."
        )
        self.send(run, update)

    def open_jobs(self):
        return [
            (run, job)
            for run in self.runs.values()
            for job in jobs_of(run)
            if job.queued_at is not None and not job.status.is_terminal
        ]

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data) -> None:
        update = data.draw(st.sampled_from(self.sent))
        run = next(run for run in self.runs.values() if update.job_execution_id in {job.id for job in jobs_of(run)})
        self.send(run, update)

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def cancel(self, data) -> None:
        at = self.at()
        run, to_stop = data.draw(st.sampled_from(list(self.runs.values()))).cancel(at)
        assert tuple(map(mapping.job_execution_response, to_stop)) == self.store.cancel(run.id, at)
        self.runs[run.id] = run

    # --- what is compared ---------------------------------------------------------------------------------------

    @invariant()
    def executions_are_equal(self) -> None:
        for run in self.runs.values():
            assert run == self.store.execution(run.id)
            assert mapping.pipeline_execution_response(run) == self.store.status(run.id)
            for job in jobs_of(run):
                assert mapping.job_execution_response(job) == self.store.job_status(job.id)
                stop = run.canceled_at is not None and not job.status.is_terminal
                assert stop == self.store.asked_to_stop(job.id)
            assert list(mapping.execution_to_records(run).jobs) == [
                self.store.job_execution(job.id) for job in jobs_of(run)
            ]

    @invariant()
    def logs_are_equal(self) -> None:
        for job_id, text in self.logs.items():
            assert text == self.store.logs(job_id)

    @invariant()
    def handed_out_is_equal(self) -> None:
        unheard = [
            (job.queued_at, job.id, mapping.job_execution_request(run, job.id))
            for run in self.runs.values()
            for job in jobs_of(run)
            if job.queued_at is not None and job.status is ExecutionStatus.PENDING and not job.last_sequence
        ]
        expected = tuple(request for *_, request in sorted(unheard, key=lambda each: each[:2]))
        assert expected == self.store.handed_out()
        if len(expected) > 1:
            assert expected[1:] == self.store.handed_out(after=expected[0].job_execution_id)
            assert expected[:1] == self.store.handed_out(limit=1)

    @invariant()
    def reports_are_equal(self) -> None:
        for names in self.names():
            self.compare_all_pages(ReportRequest(**names, limit=2))

    def names(self):
        """What can be reported on, each once."""
        found = {}
        for pipeline in self.pipelines:
            found[pipeline.name,] = None
            for stage in pipeline.stages:
                found[pipeline.name, stage.name] = None
                found |= {(pipeline.name, stage.name, job.name): None for job in stage.jobs}
        return [dict(zip(("pipeline_name", "stage_name", "job_name"), names, strict=False)) for names in found]

    @precondition(lambda self: self.runs)
    @rule(
        data=st.data(),
        status=st.none() | strategies.statuses(),
        number=st.none() | st.integers(1, RUNS),
        limit=st.integers(1, RUNS),
    )
    def filter_reports(self, data, status, number, limit) -> None:
        names = data.draw(st.sampled_from(self.names()))
        self.compare_all_pages(ReportRequest(**names, status=status, run_number=number, limit=limit))

    @precondition(lambda self: self.runs)
    @rule(
        pipeline=st.sampled_from(["build", "none"]),
        stage=st.sampled_from(["stage 0", "stage 2", "none"]),
        job=st.none() | st.sampled_from(["job 0", "job 1", "none"]),
    )
    def ask_for_any_name(self, pipeline, stage, job) -> None:
        self.compare_all_pages(ReportRequest(pipeline_name=pipeline, stage_name=stage, job_name=job))

    def compare_all_pages(self, request: ReportRequest) -> None:
        texts = {job_id: log.text for job_id, log in self.logs.items()}
        while request is not None:
            expected = answer(reports.report, self.runs.values(), request, logs=texts, pipelines=self.pipelines)
            assert expected == answer(self.store.report, request)
            cursor = getattr(expected, "next_cursor", None)
            request = None if cursor is None else evolve(request, cursor=cursor)


def answer(ask, *args, **kwargs):
    """What is answered: a report, or what is wrong with the name."""
    try:
        return ask(*args, **kwargs)
    except UnknownNameError as error:
        return error.problems


class TestStore:
    def test_equals_the_model(self, fresh):
        """Whatever is started, reported, repeated, reordered and canceled: store and model say the same."""
        run_state_machine_as_test(lambda: StoreAndModel(fresh()), settings=settings(stateful_step_count=20))

    def test_keeps_definitions(self, fresh):
        """What was stored is read as it was, edge values included."""
        with ExecutionStore(fresh()) as store:

            @given(strategies.pipelines(), strategies.texts())
            def check(pipeline, commit):
                pipeline = with_own_ids(pipeline)
                started = store.start(pipeline, commit_hash=commit)
                assert pipeline == store.pipeline(pipeline.id)
                assert commit == store.execution(started.execution.execution_id).commit_hash

            check()

    def test_keeps_logs_and_times(self, fresh):
        """Any text and any time comes back as it was."""
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
                )
                store.apply(update)
                assert LogText.of([update]) == store.logs(job.job_execution_id)
                (run,) = jobs_of(store.execution(started.execution.execution_id))
                assert (at, at, exit_code) == (run.queued_at, run.completion_time, run.exit_code)

            check()

    def test_of_two_texts_for_one_sequence_the_first_one_stands(self, store):
        """Who sends the second one, as two Workers with one job do, is told that it clashes."""
        pipeline = Pipeline(name="p", repo_url="r", stages=(Stage(name="s", jobs=(Job(name="j", script=("true",)),)),))
        (job,) = store.start(pipeline).jobs
        told = [
            JobStatusUpdate(
                job_execution_id=job.job_execution_id,
                sequence=1,
                status=ExecutionStatus.RUNNING,
                occurred_at=DAY,
                logs=text,
            )
            for text in ("b", "longer", "a", "longer")
        ]
        assert [store.apply(update).clashes for update in told] == [False, True, True, True]
        assert not store.apply(told[0]).clashes
        assert store.logs(job.job_execution_id) == LogText.of(told)


def with_own_ids(pipeline: Pipeline) -> Pipeline:
    """The pipeline with ids that no other has."""
    stages = tuple(
        evolve(stage, id=uuid4(), jobs=tuple(evolve(job, id=uuid4()) for job in stage.jobs))
        for stage in pipeline.stages
    )
    return evolve(pipeline, id=uuid4(), stages=stages)
