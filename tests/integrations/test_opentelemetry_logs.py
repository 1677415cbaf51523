"""Log lines have the ids of their span."""

from __future__ import annotations

import io
import json
import logging
import logging.handlers
import queue
from datetime import UTC, datetime, timedelta
from itertools import groupby
from uuid import UUID

import attrs
import pytest

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.logging import JsonFormatter, LineHandler, get_logger
from cicd_common.mapping import job_execution_request
from cicd_common.model import Job, Pipeline, PipelineExecution, Stage
from tests.logging.conftest import _as_it_was  # noqa: F401 - a fixture that every test here uses
from tests.support.http_receiver import receiver
from tests.support.sessions import DOCS, run_sessions

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.trace import TracerProvider

from cicd_common.integrations.opentelemetry import SpanIds

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("test")


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def handler(stream):
    handler = LineHandler(stream)
    handler.setFormatter(JsonFormatter())
    return handler


@pytest.fixture
def logger(handler):
    logger = get_logger("tests.opentelemetry")
    logger.logger.propagate = False
    logger.setLevel(logging.INFO)
    handler.addFilter(SpanIds())
    logger.addHandler(handler)
    return logger


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def ids(span) -> dict[str, str]:
    context = span.get_span_context()
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def test_lines_within_a_span(logger, stream):
    """Lines of any logger have the ids of the innermost span, and lines outside of spans none."""
    logger.info("before", job="a")
    with TRACER.start_as_current_span("outer") as outer:
        logger.info("outer", job="a")
        with TRACER.start_as_current_span("inner") as inner:
            logging.getLogger("tests.opentelemetry").info("inner", extra={"job": "a"})
    logger.info("after", job="a")
    before, within, innermost, after = lines(stream)
    assert ids(outer).items() <= within.items()
    assert ids(inner).items() <= innermost.items()
    assert not {"trace_id", "span_id"} & (before.keys() | after.keys())
    assert {line["job"] for line in lines(stream)} == {"a"}


def test_a_field_of_the_caller_stays(logger, stream):
    """A line with a trace_id of the caller keeps it."""
    with TRACER.start_as_current_span("span"):
        logger.info("line", trace_id="mine")
    (line,) = lines(stream)
    assert line["trace_id"] == "mine"
    assert "span_id" not in line


def test_through_a_queue(handler, stream):
    """A filter on the handler that fills a queue finds the span of the logging thread."""
    records = queue.SimpleQueue()
    filling = logging.handlers.QueueHandler(records)
    filling.addFilter(SpanIds())
    logger = get_logger("tests.opentelemetry.queue")
    logger.logger.propagate = False
    logger.addHandler(filling)
    with TRACER.start_as_current_span("span") as span:
        logger.warning("line")
    handler.handle(records.get())
    (line,) = lines(stream)
    assert ids(span).items() <= line.items()


def test_documentation():
    """The examples of docs/how-to/traces.md have the output on the page, and a receiver gets the data."""
    job = Job(name="make", script=("make",))
    pipeline = Pipeline(name="checkout", repo_url="r", stages=(Stage(name="build", jobs=(job,)),))
    queued = PipelineExecution.of(pipeline, run_number=1, id=UUID(int=0))
    running, (execution,) = queued.hand_out(NOW)
    update = JobStatusUpdate(
        job_execution_id=execution.id,
        sequence=1,
        status=ExecutionStatus.RUNNING,
        occurred_at=NOW,
        worker="worker",
    )
    running, _ = running.apply(update)
    end = attrs.evolve(update, sequence=2, status=ExecutionStatus.FAILED, occurred_at=NOW + timedelta(minutes=1))
    run, _ = running.apply(end)
    with receiver() as server:
        names = {"url": server.url, "run": run, "queued": queued}
        run_sessions(DOCS / "how-to" / "traces.md", request=job_execution_request(run, execution.id), **names)
        paths = [request.path for request in server.requests]
    # Each provider sends by itself, too, so a slow machine may send the spans of a step in several requests.
    assert [path for path, _ in groupby(paths)] == ["/v1/traces", "/v1/metrics", "/v1/traces", "/v1/metrics"]
