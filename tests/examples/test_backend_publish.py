"""The events and traces that the Backend sends, also with receivers that fail."""

from __future__ import annotations

import socket
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from threading import current_thread

import pytest
from cicd_system.backend.publish import Publisher, sending_events
from cicd_system.backend.repeating import repeating
from cicd_system.backend.traces import Traces, tracing
from sqlalchemy import select, update

from cicd_common.api.request import Artifact, ArtifactUploadRequest
from cicd_common.integrations.cdevents import execution_of, from_http
from cicd_common.logging import capture_logs
from cicd_common.store import OutboxCounts
from cicd_common.store.tables import outbox
from tests.support.examples.backend_in_process import backend_on, order, simple
from tests.support.examples.waiting import DEADLINE, until
from tests.support.http_receiver import DROP, receiver

pytest.importorskip("cloudevents")

TO_START = ["pipelinerun.queued"]
TO_END = ["pipelinerun.started", "taskrun.started", "taskrun.finished", "pipelinerun.finished"]


@pytest.fixture
def backend():
    """A Backend whose store has an outbox."""
    with backend_on(outbox=True) as backend:
        yield backend


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """No event is sent again because its receiver is slow, and each run has one claim."""
    monkeypatch.setattr("cicd_system.backend.publish._TIMEOUT", DEADLINE)
    monkeypatch.setattr("cicd_system.backend.publish._CLAIM_SECONDS", 10 * DEADLINE)


@contextmanager
def publishing(backend, *answers):
    """A receiver with these answers, and a publisher that sends events to it."""
    with receiver(*answers) as events, sending_events(events.url, source="/ci", token="its-token") as send:
        yield events, Publisher(backend.store, send, None)


def end(backend, job):
    for sequence, status in enumerate(("RUNNING", "SUCCESS"), 1):
        assert backend.report(job, sequence, status).status_code == 200


def told(events):
    """The events that a receiver has received."""
    return [from_http(request.headers, request.body) for request in events.requests]


def kinds(events):
    return [event.type.removeprefix("dev.cdevents.").rpartition(".0.")[0].removesuffix(".0") for event in told(events)]


def counts(waiting, given_up=0):
    return {"events": {"waiting": waiting, "given_up": given_up}}


def due_time(store):
    """When the only run in the outbox is due."""
    with store._database.read() as connection:
        return connection.execute(select(outbox.c.due_at)).scalar_one()


def make_due(store):
    """Make all failed changes due now."""
    with store._database.write() as connection:
        connection.execute(update(outbox).where(outbox.c.due_at.is_not(None)).values(due_at=datetime.now(UTC)))


class TestEvents:
    def test_are_sent_as_they_happen(self, backend):
        """The thread of the publisher sends them, also those of artifacts, and the run can be rebuilt from them."""
        files = tuple(Artifact(path=f"dist/{at}.whl", size=3, sha256=f"{at:064x}") for at in range(2))
        with publishing(backend) as (events, publisher), repeating(publisher.look, 0.01):
            job = backend.start(simple())
            until(lambda: kinds(events) == TO_START, "the start", pause=0.01)
            backend.store.add_artifacts(ArtifactUploadRequest(job_execution_id=job, artifacts=files))
            end(backend, job)
            until(lambda: len(told(events)) == 9, "the end", pause=0.01)
        assert sorted(kinds(events)) == sorted(TO_START + TO_END + 2 * ["artifact.packaged", "artifact.published"])
        run = execution_of(told(events))
        assert run == backend.store.execution(run.id)
        assert len({event.id for event in told(events)}) == 9
        assert {event.source for event in told(events)} == {"/ci"}
        assert {request.headers["Authorization"] for request in events.requests} == {"Bearer its-token"}

    @pytest.mark.parametrize("answer", [500, DROP, 403])
    def test_are_sent_again(self, backend, answer):
        """After an error all events of the change are sent again."""
        with publishing(backend, 200, answer) as (events, publisher):
            end(backend, backend.start(simple()))
            began = datetime.now(UTC)
            with capture_logs() as lines:
                assert publisher.look()
                assert due_time(backend.store) >= began + timedelta(seconds=1)
                assert publisher.state() == counts(1)
                make_due(backend.store)
                assert publisher.look()
                assert not publisher.look()
            assert publisher.state() == counts(0)
        both = TO_START + TO_END
        assert kinds(events) == both[:2] + both
        assert [line["level"] for line in lines] == ["WARNING", "INFO"]

    def test_are_given_up(self, backend, monkeypatch):
        """After a number of attempts the change is given up, until the Backend is started again."""
        monkeypatch.setattr("cicd_system.backend.publish.MAX_ATTEMPTS", 1)
        with publishing(backend, 500) as (events, publisher), capture_logs() as lines:
            backend.start(simple())
            assert publisher.look()
            assert publisher.state() == counts(0, given_up=1)
        [line] = [line for line in lines if line["level"] == "ERROR"]
        assert line["cicd.pipeline.run.id"] == str(backend.queue.jobs[0].pipeline_execution_id)
        with publishing(backend) as (events, publisher):
            assert publisher.look()
            assert kinds(events) == TO_START

    def test_that_cannot_be_made_keep_no_others_back(self, backend):
        """A change whose events cannot be made fails alone, and the reason is logged."""
        sent = []

        def send(change, _):
            if change.after.run_number == 1:
                raise ZeroDivisionError
            sent.append(change.after.run_number)

        publisher = Publisher(backend.store, send, None)
        for _ in range(2):
            backend.post("/api/pipeline/execute", order(simple()))
        with capture_logs() as lines:
            assert [publisher.look() for _ in range(2)] == [True, True]
        assert sent == [2]
        assert publisher.state() == counts(1)
        assert [line["level"] for line in lines] == ["ERROR"]

    def test_no_request_waits_for_a_receiver_that_hangs(self, backend, monkeypatch):
        """Runs start and end while the receiver does not answer. At the end, the events are left to other Backends."""
        monkeypatch.setattr("cicd_system.backend.repeating._AT_END", 0.1)
        with (
            socket.create_server(("127.0.0.1", 0)) as silent,
            sending_events(f"http://127.0.0.1:{silent.getsockname()[1]}", source="/ci") as send,
        ):
            senders = []

            def noting(*change):
                senders.append(current_thread())
                send(*change)

            publisher = Publisher(backend.store, noting, None)
            with closing(publisher), repeating(publisher.look, 0.01):
                job = backend.start(simple())
                accepted, _ = silent.accept()
                end(backend, job)
                backend.start(simple())
                assert backend.ask("GET", "/health").status_code == 200
                assert publisher.state() == counts(2)
            in_seconds = datetime.now(UTC) + timedelta(seconds=5)  # Less than a claim lasts.
            assert len(backend.store.outbox.claim(at=in_seconds)) == 2
            accepted.close()
            senders[0].join()  # Other tests count what is logged.


class TestTraces:
    def test_are_recorded_once(self, backend):
        """A trace is recorded when its run has ended, also while the receiver refuses its events."""
        recorded = []

        def send(*_):
            raise ConnectionRefusedError

        publisher = Publisher(backend.store, send, Traces(recorded.append, lambda: 7, None))
        job = backend.start(simple())
        publisher.look()
        assert recorded == []
        end(backend, job)
        for _ in range(2):
            make_due(backend.store)
            assert publisher.look()
        run = backend.queue.jobs[0].pipeline_execution_id
        assert recorded == [backend.store.execution(run)]
        assert publisher.state() == counts(1) | {"traces": {"given_up": 7}}

    def test_that_fail_keep_no_events_back(self, backend):
        """The error is logged, and the events are sent."""
        sent = []

        def record(_):
            raise ZeroDivisionError

        publisher = Publisher(backend.store, lambda change, _: sent.append(change), Traces(record, int, None))
        end(backend, backend.start(simple()))
        with capture_logs() as lines:
            assert publisher.look()
        assert len(sent) == 1
        assert [line["level"] for line in lines] == ["ERROR"]

    @pytest.mark.parametrize(("answer", "given_up"), [(200, 0), (400, 3)])
    def test_are_exported_where_a_collector_is_named(self, backend, monkeypatch, answer, given_up):
        """A run is one trace, and jobs get their parent span. Spans that are not accepted are counted."""
        pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        from cicd_common.integrations.opentelemetry import trace_id, traceparent

        with receiver(answer) as collector:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(DEADLINE))
            monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")  # So all spans are sent at the end, together.
            with capture_logs(), tracing() as traces:
                end(backend, backend.start(simple()))
                Publisher(backend.store, None, traces).look()
        assert traces.given_up() == given_up
        assert backend.store.outbox.counts() == OutboxCounts(waiting=0, given_up=0)
        [request] = collector.requests
        assert request.path == "/v1/traces"
        [sent] = ExportTraceServiceRequest.FromString(request.body).resource_spans
        [service] = [each.value.string_value for each in sent.resource.attributes if each.key == "service.name"]
        assert service == "cicd-backend"
        [scope] = sent.scope_spans
        job = backend.queue.jobs[0]
        assert {int.from_bytes(span.trace_id) for span in scope.spans} == {trace_id(job.pipeline_execution_id)}
        assert [span.name for span in scope.spans if not span.parent_span_id] == ["RUN app"]
        assert traces.with_parent(job).environment["TRACEPARENT"] == traceparent(job)

    def test_are_not_where_nothing_is_named(self, backend, monkeypatch):
        """Then the outbox is not read, and the state is empty."""
        monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
        with tracing() as traces, sending_events(None, source="/ci") as send:
            publisher = Publisher(backend.store, send, traces)
        backend.start(simple())
        assert not publisher.look()
        assert publisher.state() == {}
        assert backend.store.outbox.counts() == OutboxCounts(waiting=1, given_up=0)
