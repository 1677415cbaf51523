"""Traces of runs by OpenTelemetry, if the environment names a collector."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import frozen

from cicd_common.api.request import JobExecutionRequest
from cicd_common.logging import get_logger
from cicd_common.model import PipelineExecution

from .dispatch import Queue

__all__ = ["TracedQueue", "Traces", "tracing"]

log = get_logger(__name__)

_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


@frozen
class Traces:
    """Records the traces of runs.

    Attributes:
        record: Puts the trace of a run that ended into the queue of the exporter, without waiting.
        given_up: Returns how many spans the collector did not accept.
    """

    record: Callable[[PipelineExecution], None]
    given_up: Callable[[], int]


@frozen
class TracedQueue:
    """A queue of jobs whose processes find their parent span in the variable ``TRACEPARENT``.

    Attributes:
        queue: The queue that the jobs go on to.
    """

    queue: Queue

    def put(self, request: JobExecutionRequest) -> None:
        """Send a job; it raises if the broker did not take it."""
        from cicd_common.integrations.opentelemetry import with_traceparent

        self.queue.put(with_traceparent(request))


@contextmanager
def tracing(environment: Mapping[str, str] = os.environ) -> Iterator[Traces | None]:
    """Export traces for the time of a block, with the settings that OpenTelemetry has in the environment.

    Args:
        environment: Where a collector may be named; the environment of the process by default.

    Yields:
        Where the traces go; none if no collector is named.

    Raises:
        ImportError: A collector is named, and the SDK or the exporter is not installed.
    """
    if not any(environment.get(name) for name in _VARIABLES):
        yield None
        return
    from cicd_common.integrations.opentelemetry import record_trace  # It needs an extra.

    provider, given_up = _provider(environment)
    try:
        yield Traces(lambda run: record_trace(run, provider), given_up)
    finally:
        provider.shutdown()  # Sends the remaining spans.


def _provider(environment: Mapping[str, str]) -> tuple[Any, Callable[[], int]]:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

    from cicd_common.integrations.opentelemetry import RunIdGenerator

    class CountingExporter(OTLPSpanExporter):
        given_up = 0

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result = super().export(spans)
            if result is not SpanExportResult.SUCCESS:
                self.given_up += len(spans)
                log.warning("the collector does not take traces", spans=len(spans))
            return result

    resource = Resource.create({"service.name": environment.get("OTEL_SERVICE_NAME", "cicd-backend")})
    provider = TracerProvider(id_generator=RunIdGenerator(), resource=resource, shutdown_on_exit=False)
    exporter = CountingExporter()
    # Its queue is bounded: spans that do not fit are dropped with a log message.
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider, lambda: exporter.given_up
