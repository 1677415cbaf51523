"""A state machine of runs, Workers and a network, whose requests go to a Backend and to the models side by side."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from attrs import evolve, field, mutable
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ...api.request import JobStatusUpdate, PipelineExecutionRequest, ReportRequest
from ...converter import converter
from ...enums import ExecutionStatus
from ...model import JobExecution, Pipeline, PipelineExecution
from ...reports import Report
from ..fake_backend import FakeBackend
from ..strategies import job_histories, pipelines
from .client import Caller

__all__ = ["machine_of"]

_MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def _has_a_path(pipeline: Pipeline) -> bool:
    """Tell whether all names can be in a path.

    HTTP clients remove "." and ".." from a path (RFC 3986, 5.2.4). Many servers decode a path before they split it, as
    WSGI demands (PEP 3333), and so take a slash of a name for one of the path.
    """
    names = {name for stage in pipeline.stages for name in (stage.name, *(job.name for job in stage.jobs))}
    return names.isdisjoint((".", "..")) and not any("/" in name for name in names)


_PIPELINES: st.SearchStrategy[Pipeline] = pipelines(max_jobs=5, kinds=["script"]).filter(_has_a_path)


@mutable
class _Run:
    """A run of the Backend with its counterpart in the models.

    Attributes:
        pipeline: The definition.
        request: The request that started the run.
        id: The id of the run at the Backend.
        model: The id of the run in the models.
        ids: The ids of its jobs at the Backend, by their ids in the models.
        left: The updates that the Worker of each job has not sent yet, by the job's id in the models.
    """

    pipeline: Pipeline = field(repr=lambda pipeline: pipeline.name)  # Hypothesis shows runs with every step.
    request: PipelineExecutionRequest = field(repr=False)
    id: UUID
    model: UUID = field(repr=False)
    ids: dict[UUID, UUID] = field(repr=False)
    left: dict[UUID, list[JobStatusUpdate]] = field(factory=dict, repr=False)


def machine_of(ask: Caller) -> type[RuleBasedStateMachine]:
    """Make the state machine of a Backend.

    Args:
        ask: The client of the Backend.
    """

    class System(RuleBasedStateMachine):
        """Starts and cancels runs, and sends, delivers and repeats the updates of their Workers."""

        def __init__(self) -> None:
            super().__init__()
            self.models = FakeBackend()
            self.runs: list[_Run] = []
            self.under_way: list[tuple[_Run, JobStatusUpdate]] = []
            self.told: list[tuple[_Run, JobStatusUpdate]] = []

        # --- the rules --------------------------------------------------------------------------------------------

        @precondition(lambda self: len(self.runs) < 3)
        @rule(drawn=_PIPELINES, again=st.booleans())
        def start(self, drawn: Pipeline, again: bool) -> None:
            # With new ids and a new name, since the Backend may have had the drawn ones before.
            pipeline = self.runs[-1].pipeline if again and self.runs else _renamed(drawn)
            request = PipelineExecutionRequest(request_id=uuid4(), repo=pipeline.repo_url, pipeline=pipeline)
            answer = ask.start(request)
            started = self.models.start(request)
            assert (answer.run_number, answer.status) == (started.execution.run_number, started.execution.status)
            names = ask.jobs(pipeline, answer.run_number)
            model = self.models.execution(started.execution.execution_id)
            ids = {job.id: names[job.job.name] for job in _jobs_of(model)}
            self.runs.append(_Run(pipeline, request, answer.execution_id, model.id, ids))

        @precondition(lambda self: self.waiting())
        @rule(data=st.data())
        def claim(self, data: st.DataObject) -> None:
            run, job = data.draw(st.sampled_from(self.waiting()))
            run.left[job.id] = [
                evolve(update, attempt=job.attempt, worker=f"worker {job.attempt}", sequence=number)
                for number, update in enumerate(
                    # A job that has started is not PENDING any more.
                    [each for each in data.draw(job_histories(job.id)) if not each.status.can_become(job.status)],
                    job.last_sequence + 1,
                )
            ]

        @precondition(lambda self: any(any(run.left.values()) for run in self.runs))
        @rule(data=st.data())
        def tell(self, data: st.DataObject) -> None:
            run, job = data.draw(
                st.sampled_from([(run, job) for run in self.runs for job, left in run.left.items() if left])
            )
            self.under_way.append((run, run.left[job].pop(0)))

        @precondition(lambda self: self.under_way)
        @rule(data=st.data())
        def deliver(self, data: st.DataObject) -> None:
            self.apply(*self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1))))

        @precondition(lambda self: self.told)
        @rule(data=st.data())
        def repeat(self, data: st.DataObject) -> None:
            self.apply(*data.draw(st.sampled_from(self.told)))

        @precondition(lambda self: self.running())
        @rule(data=st.data())
        def release(self, data: st.DataObject) -> None:
            run, job = data.draw(st.sampled_from(self.running()))
            run.left.pop(job.id)
            released = JobStatusUpdate(
                job_execution_id=job.id,
                sequence=job.last_sequence + 1,
                status=ExecutionStatus.RUNNING,
                occurred_at=_MOMENT,
                attempt=job.attempt,
                worker=job.worker or "",
                is_released=True,
            )
            self.apply(run, released)

        @precondition(lambda self: self.runs)
        @rule(data=st.data())
        def cancel(self, data: st.DataObject) -> None:
            run = data.draw(st.sampled_from(self.runs))
            self.models.cancel(run.model)
            assert ask.cancel(run.id).status is self.models.status(run.model).status

        @precondition(lambda self: self.runs)
        @rule(data=st.data())
        def start_again(self, data: st.DataObject) -> None:
            run = data.draw(st.sampled_from(self.runs))
            response = ask.send(ask.paths.execute, run.request)
            assert response.status_code == 200, "a request that is repeated starts nothing"

        # --- checks -----------------------------------------------------------------------------------------------

        @invariant()
        def the_backend_is_where_the_models_are(self) -> None:
            for run in self.runs:
                model = self.models.execution(run.model)
                assert ask.run(run.id).status is model.status
                for job in _jobs_of(model):
                    record = ask.record(run.ids[job.id])
                    assert (record.queued_at is None) == (job.queued_at is None), f"hand-out of {job.job.name}"
                    found = evolve(record, queued_at=None, heard_at=None)
                    expected = self.models.job_execution(job.id)
                    output = self.models.logs(job.id)
                    told = [text for at, (sequence, text) in enumerate(output.chunks, 1) if sequence == at]
                    assert found.logs == "".join(told)
                    for name in ("status", "reason", "exit_code", "start_time", "completion_time", "attempt", "worker"):
                        assert getattr(found, name) == getattr(expected, name), f"{name} of {job.job.name}"

        def teardown(self) -> None:
            """Check that the reports equal those of the models."""
            for run in self.runs:
                for request, found in self.reports(run):
                    assert found == self.expected(request), f"the report on {request}"

        # --- helpers ----------------------------------------------------------------------------------------------

        def apply(self, run: _Run, update: JobStatusUpdate) -> None:
            note(f"{update.status} {update.sequence} of attempt {update.attempt} of {update.job_execution_id}")
            answer = ask.tell(evolve(update, job_execution_id=run.ids[update.job_execution_id]))
            expected = self.models.apply(update).response
            self.told.append((run, update))
            assert evolve(answer, job_execution_id=expected.job_execution_id) == expected

        def waiting(self) -> list[tuple[_Run, JobExecution]]:
            """Return the jobs that were handed out and that no Worker has."""
            return [
                (run, job)
                for run, job in self.jobs()
                if job.queued_at is not None
                and not job.status.is_terminal
                and job.worker is None
                # A Worker may have the job whose first update is not delivered yet.
                and not any(update.attempt == job.attempt for update in run.left.get(job.id, ()))
                and not any(
                    (each.job_execution_id, each.attempt) == (job.id, job.attempt) for _, each in self.under_way
                )
            ]

        def running(self) -> list[tuple[_Run, JobExecution]]:
            """Return the running jobs without an undelivered update."""
            under_way = {update.job_execution_id for _, update in self.under_way}
            return [
                (run, job)
                for run, job in self.jobs()
                if job.status is ExecutionStatus.RUNNING
                and job.worker is not None
                and job.id not in under_way
                and job.id in run.left
            ]

        def jobs(self) -> Iterator[tuple[_Run, JobExecution]]:
            for run in self.runs:
                for job in _jobs_of(self.models.execution(run.model)):
                    yield run, job

        def reports(self, run: _Run) -> Iterator[tuple[ReportRequest, Any]]:
            pipeline = run.pipeline
            yield ReportRequest(pipeline_name=pipeline.name), ask.report(pipeline.name)
            for stage in pipeline.stages:
                request = ReportRequest(pipeline_name=pipeline.name, stage_name=stage.name)
                yield request, ask.stage_report(pipeline.name, stage.name)
                for job in stage.jobs:
                    yield evolve(request, job_name=job.name), ask.job_report(pipeline.name, stage.name, job.name)

        def expected(self, request: ReportRequest) -> Report:
            """Return the report of the models with the Backend's ids."""
            known = self.models.report(request)
            ids = {str(run.model): str(run.id) for run in self.runs}
            ids |= {str(model): str(found) for run in self.runs for model, found in run.ids.items()}
            for run in self.runs:
                for at, stage in enumerate(self.models.execution(run.model).stages):
                    found = ask.stage_report(run.pipeline.name, run.pipeline.stages[at].name)
                    number = self.models.execution(run.model).run_number
                    (here,) = [each.execution_id for each in found.executions if each.run_number == number]
                    ids[str(stage.id)] = str(here)
            return converter.structure(_replaced(converter.unstructure(known), ids), type(known))

    return System


def _jobs_of(execution: PipelineExecution) -> list[JobExecution]:
    return [job for stage in execution.stages for job in stage.jobs]


def _renamed(pipeline: Pipeline) -> Pipeline:
    """Return a copy of a pipeline with new ids and a new name."""
    stages = tuple(
        evolve(stage, id=uuid4(), jobs=tuple(evolve(job, id=uuid4()) for job in stage.jobs))
        for stage in pipeline.stages
    )
    return evolve(pipeline, id=uuid4(), name=f"conformance-{uuid4()}", stages=stages)


def _replaced(plain: Any, texts: dict[str, str]) -> Any:
    if isinstance(plain, dict):
        return {key: _replaced(value, texts) for key, value in plain.items()}
    if isinstance(plain, list):
        return [_replaced(each, texts) for each in plain]
    return texts.get(plain, plain) if isinstance(plain, str) else plain
