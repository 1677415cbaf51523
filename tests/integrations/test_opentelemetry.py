"""A run that ended is one trace, with the spans of its stages and jobs."""

from __future__ import annotations

import importlib
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID

import attrs
import pytest
from hypothesis import given

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.enums import EndReason
from cicd_common.mapping import job_execution_request
from cicd_common.model import Job, JobExecution, Pipeline, PipelineExecution, Stage
from cicd_common.testing.strategies import executions, from_type
from cicd_common.values import Environment
from tests.support.http_receiver import receiver
from tests.support.run_states import finished_runs

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from cicd_common.integrations.opentelemetry import (
    RunIdGenerator,
    record_trace,
    span_id,
    spans,
    trace_id,
    traceparent,
    with_traceparent,
)

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000_000


def job(name: str, **fields) -> Job:
    return Job(name=name, script=("true",), **fields)


def run_of(*stages: tuple[Job, ...], **fields) -> PipelineExecution:
    pipeline = Pipeline(
        name="checkout",
        repo_url="https://user:password@example.org/repo.git",
        stages=tuple(Stage(name=f"stage {at}", jobs=jobs) for at, jobs in enumerate(stages)),
    )
    return PipelineExecution.of(pipeline, run_number=7, id=UUID(int=7), **fields)


def with_end(run: PipelineExecution, name: str, status: str, reason: str | None = None, **fields) -> PipelineExecution:
    """Return the run after a job was handed out, ran for a minute, and ended."""
    run, _ = run.hand_out(NOW)
    (found,) = (each for stage in run.stages for each in stage.jobs if each.job.name == name)
    update = JobStatusUpdate(
        job_execution_id=found.id,
        sequence=1,
        status=ExecutionStatus.RUNNING,
        occurred_at=NOW + timedelta(seconds=5),
        worker="worker-1",
    )
    run, _ = run.apply(update)
    run, _ = run.apply(
        attrs.evolve(
            update,
            sequence=2,
            status=ExecutionStatus(status),
            occurred_at=NOW + timedelta(seconds=65),
            reason=reason and EndReason(reason),
            **fields,
        )
    )
    return run


def recorded(run: PipelineExecution, **arguments):
    """Return the exported spans of a run, by their ids."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(id_generator=RunIdGenerator(), resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    record_trace(run, provider, **arguments)
    found = {span.context.span_id: span for span in exporter.get_finished_spans()}
    assert len(found) == len(exporter.get_finished_spans())
    return found


def seconds(span) -> timedelta:
    assert (span.end_time - span.start_time) % 1000 == 0
    return timedelta(microseconds=(span.end_time - span.start_time) // 1000)


class TestTrace:
    @given(finished_runs())
    def test_is_that_of_the_model(self, run):
        """Each run, stage and job is a span with the parent, times, links and events of the model."""
        found = recorded(run)
        parents = {span_id(run.id): (run, None)}
        for stage in run.stages:
            parents[span_id(stage.id)] = stage, span_id(run.id)
            parents |= {span_id(each.id): (each, span_id(stage.id)) for each in stage.jobs}
        assert found.keys() == parents.keys()
        ids = {each.job.name: span_id(each.id) for stage in run.stages for each in stage.jobs}
        for each, (known, parent) in parents.items():
            span = found[each]
            assert span.context.trace_id == trace_id(run.id)
            assert (span.parent and span.parent.span_id) == parent
            assert span.kind is (SpanKind.SERVER if parent is None else SpanKind.INTERNAL)
            assert seconds(span) == (known.duration or timedelta())
            if known.start_time is not None:
                assert EPOCH + timedelta(microseconds=span.start_time // 1000) == known.start_time
            dependencies = dict.fromkeys(known.job.dependencies if isinstance(known, JobExecution) else ())
            assert [link.context.span_id for link in span.links] == [ids[name] for name in dependencies]
            queue_time = getattr(known, "queue_time", None)
            assert [event.attributes["cicd_common.queue.duration"] for event in span.events] == (
                [] if queue_time is None else [queue_time.total_seconds()]
            )
            is_failed = known.status is ExecutionStatus.FAILED
            assert (span.status.status_code is StatusCode.ERROR) is is_failed is ("error.type" in span.attributes)

    @given(finished_runs())
    def test_is_the_same_when_recorded_again(self, run):
        """Recording a run again exports the same spans with the same ids."""
        first, again = ([span.to_json() for span in recorded(run).values()] for _ in range(2))
        assert first == again

    def test_of_a_run(self):
        """The attributes are those of the semantic conventions, without the password of the repository."""
        run = with_end(run_of((job("build"),), commit_hash="c0ffee"), "build", "SUCCESS", "EXITED", exit_code=0)
        found = recorded(run, url=lambda each: f"https://ci/{each}")
        build = run.stages[0].jobs[0]
        assert found[span_id(run.id)].name == "RUN checkout"
        assert found[span_id(run.id)].attributes == {
            "cicd.pipeline.action.name": "RUN",
            "cicd.pipeline.name": "checkout",
            "cicd.pipeline.run.id": str(run.id),
            "cicd.pipeline.run.url.full": f"https://ci/{run.id}",
            "cicd.pipeline.result": "success",
            "cicd_common.run.number": 7,
            "vcs.repository.url.full": "https://example.org/repo.git",
            "vcs.ref.head.name": "main",
            "vcs.ref.head.type": "branch",
            "vcs.ref.head.revision": "c0ffee",
        }
        assert found[span_id(run.stages[0].id)].name == "stage 0"
        assert found[span_id(run.stages[0].id)].attributes == {
            "cicd.pipeline.run.id": str(run.id),
            "cicd_common.stage.name": "stage 0",
            "cicd_common.stage.run.id": str(run.stages[0].id),
            "cicd_common.stage.run.result": "success",
        }
        span = found[span_id(build.id)]
        assert span.name == "build"
        assert span.attributes == {
            "cicd.pipeline.run.id": str(run.id),
            "cicd.pipeline.task.name": "build",
            "cicd.pipeline.task.run.id": str(build.id),
            "cicd.pipeline.task.run.url.full": f"https://ci/{build.id}",
            "cicd.pipeline.task.run.result": "success",
            "cicd.worker.name": "worker-1",
            "process.exit.code": 0,
            "cicd_common.attempt": 1,
        }
        (queued,) = span.events
        assert (queued.name, dict(queued.attributes)) == ("cicd_common.queued", {"cicd_common.queue.duration": 5.0})
        assert span.start_time - queued.timestamp == 5 * SECOND

    @pytest.mark.parametrize(
        ("status", "reason", "of_job", "of_run", "error"),
        [
            ("FAILED", "EXITED", "failure", "failure", "EXITED"),
            ("FAILED", "TIMED_OUT", "timeout", "timeout", "TIMED_OUT"),
            ("FAILED", "WORKER_LOST", "error", "error", "WORKER_LOST"),
            ("FAILED", "STOPPED", "cancellation", "failure", "STOPPED"),
            ("FAILED", "OTHER", "failure", "failure", "_OTHER"),
            ("FAILED", None, "failure", "failure", "_OTHER"),
            ("CANCELED", "STOPPED", "cancellation", "cancellation", None),
        ],
    )
    def test_results(self, status, reason, of_job, of_run, error):
        """Results and error types follow from the status and the reason; a job that never ran is skipped."""
        run = with_end(run_of((job("build"),), (job("test"),)), "build", status, reason)
        found = recorded(run)
        first, second = run.stages
        attributes = [found[span_id(each.id)].attributes for each in (run, first, first.jobs[0])]
        assert [each.get("error.type") for each in attributes] == [error] * 3
        assert attributes[0]["cicd.pipeline.result"] == attributes[1]["cicd_common.stage.run.result"] == of_run
        assert attributes[2]["cicd.pipeline.task.run.result"] == of_job
        assert found[span_id(second.id)].attributes["cicd_common.stage.run.result"] == "skip"
        skipped = found[span_id(second.jobs[0].id)]
        assert skipped.attributes["cicd.pipeline.task.run.result"] == "skip"
        assert skipped.start_time == skipped.end_time == found[span_id(run.id)].end_time
        if error:
            assert found[span_id(run.id)].status.description == run.explain().text

    def test_is_no_part_of_what_records_it(self):
        """The current span is not the parent of the run, and keeps its random id."""
        run = with_end(run_of((job("build"),)), "build", "SUCCESS")
        exporter = InMemorySpanExporter()
        provider = TracerProvider(id_generator=RunIdGenerator(), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        with provider.get_tracer("test").start_as_current_span("request"):
            record_trace(run, provider)
        *of_run, request = exporter.get_finished_spans()
        assert request.context.trace_id != trace_id(run.id)
        assert {span.context.trace_id for span in of_run} == {trace_id(run.id)}

    def test_is_not_recorded_where_nothing_is_sampled(self):
        """The provider's sampler decides whether a run is recorded."""
        exporter = InMemorySpanExporter()
        provider = TracerProvider(id_generator=RunIdGenerator(), sampler=ALWAYS_OFF, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        record_trace(with_end(run_of((job("build"),)), "build", "SUCCESS"), provider)
        assert exporter.get_finished_spans() == ()

    def test_needs_the_generator_of_ids(self):
        """A provider with another id generator is refused."""
        with pytest.raises(ValueError, match="RunIdGenerator"):
            record_trace(run_of((job("build"),)), TracerProvider(shutdown_on_exit=False))

    @pytest.mark.cover
    @given(executions())
    def test_of_a_run_that_has_not_ended(self, run):
        """Runs that have not ended are refused."""
        if run.status.is_terminal:
            spans(run)
        else:
            with pytest.raises(ValueError, match="ended"):
                spans(run)

    @given(from_type(PipelineExecution))
    def test_any_state_can_be_carried(self, run):
        """Times are moved into the range of OTLP, and no span ends before it starts."""
        if run.completion_time is not None:
            assert all(0 <= span.start_time <= span.end_time < 2**64 for span in spans(run))


class TestOtlp:
    @given(run=from_type(PipelineExecution))
    def test_every_run_is_encoded(self, run):
        """A receiver of OTLP/HTTP gets every span of any run that ended."""
        if run.completion_time is None:
            return
        assert self.received(run).keys() == {span.span_id for span in spans(run)}

    def test_arrives(self):
        """Ids, parents, times, attributes, links and events arrive at the receiver."""
        run = with_end(run_of((job("build"),), (job("test", dependencies=("build",)),)), "build", "SUCCESS")
        run = with_end(run, "test", "FAILED", "EXITED", exit_code=3)
        got = self.received(run)
        root, build, test = (got[span_id(each.id)] for each in (run, run.stages[0].jobs[0], run.stages[1].jobs[0]))
        assert {span.trace_id for span in got.values()} == {trace_id(run.id).to_bytes(16)}
        assert (root.parent_span_id, root.kind) == (b"", 2)
        assert test.parent_span_id == span_id(run.stages[1].id).to_bytes(8)
        assert (test.end_time_unix_nano - test.start_time_unix_nano) == 60 * SECOND
        assert [link.span_id for link in test.links] == [build.span_id]
        assert [event.name for event in test.events] == ["cicd_common.queued"]
        assert {each.key: each.value.int_value for each in test.attributes}["process.exit.code"] == 3
        assert (test.status.code, test.status.message) == (2, "Its process ended by itself.")
        assert root.status.message == run.explain().text

    @staticmethod
    def received(run: PipelineExecution):
        """Return the decoded spans that a receiver gets of a run, by their ids."""
        with receiver() as server:
            provider = TracerProvider(id_generator=RunIdGenerator(), resource=Resource({}), shutdown_on_exit=False)
            provider.add_span_processor(
                BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{server.url}/v1/traces", timeout=60))
            )
            record_trace(run, provider)
            provider.shutdown()
            requests = server.requests
        assert {request.path for request in requests} == {"/v1/traces"}
        found = {}
        for request in requests:
            for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans:
                for scope in resource.scope_spans:
                    assert scope.scope.name == "cicd_common"
                    found |= {int.from_bytes(span.span_id): span for span in scope.spans}
        return found


class TestTraceparent:
    @given(executions())
    def test_is_the_span_of_the_job(self, run):
        """A span that a job makes with its TRACEPARENT has the job's span as its parent."""
        each = run.stages[0].jobs[0]
        request = job_execution_request(run, each.id)
        context = TraceContextTextMapPropagator().extract({"traceparent": traceparent(request)})
        parent = trace.get_current_span(context).get_span_context()
        assert (parent.trace_id, parent.span_id) == (trace_id(run.id), span_id(each.id))
        assert parent.is_remote
        assert parent.trace_flags.sampled

    def test_is_in_the_environment(self):
        """The request is otherwise unchanged, and an earlier TRACEPARENT is replaced."""
        run = run_of((job("build", environment=Environment({"TRACEPARENT": "x", "A": "b"})),))
        request = job_execution_request(run, run.stages[0].jobs[0].id)
        told = with_traceparent(request)
        assert told.environment == {"TRACEPARENT": traceparent(request), "A": "b"}
        assert attrs.evolve(told, environment=request.environment) == request

    def test_of_the_least_id(self):
        """Ids are the same in all versions, and never all zeros, which would be invalid."""
        assert f"{trace_id(UUID(int=0)):032x}" == "374708fff7719dd5979ec875d56cd228"
        assert f"{span_id(UUID(int=0)):016x}" == "25632aab28ec37bb"


def test_needs_opentelemetry(monkeypatch):
    """Without OpenTelemetry, the import raises an ImportError that names the extra."""
    for name in [name for name in sys.modules if name.startswith("cicd_common.integrations.opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    monkeypatch.delattr(sys.modules["opentelemetry"], "sdk", raising=False)
    with pytest.raises(ImportError) as caught:
        importlib.import_module("cicd_common.integrations.opentelemetry")
    assert str(caught.value) == (
        "cicd_common.integrations.opentelemetry needs the SDK and the semantic conventions of OpenTelemetry, which are "
        "not both installed; the extra 'opentelemetry' brings them: pip install 'cicd-common[opentelemetry]'"
    )
