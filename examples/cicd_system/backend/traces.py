"""Traces of runs by OpenTelemetry, if the environment names a collector."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from attrs import frozen

from cicd_common.api.request import JobExecutionRequest
from cicd_common.logging import get_logger
from cicd_common.model import PipelineExecution

__all__ = ["Traces", "tracing"]

log = get_logger(__name__)

_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


@frozen
class Traces:
    """Sends the traces of runs to a collector.

    Attributes:
        record: Puts the trace of a run that ended into the queue of the exporter, without waiting.
        given_up: Returns how many spans the collector did not accept.
        with_parent: Returns a job whose processes find their parent span in the variable ``TRACEPARENT``.
    """

    record: Callable[[PipelineExecution], None]
    given_up: Callable[[], int]
    with_parent: Callable[[JobExecutionRequest], JobExecutionRequest]


@contextmanager
def tracing() -> Iterator[Traces | None]:
    """Export traces during a block, with the settings that OpenTelemetry reads from the environment.

    Raises:
        ImportError: A collector is named, and the SDK or the exporter is not installed.
    """
    if not any(map(os.environ.get, _VARIABLES)):
        yield None
        return
    # These need an extra.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

    from cicd_common.integrations.opentelemetry import RunIdGenerator, record_trace, with_traceparent

    class CountingExporter(OTLPSpanExporter):
        given_up = 0

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result = super().export(spans)
            if result is not SpanExportResult.SUCCESS:
                self.given_up += len(spans)
                log.warning("the collector does not take traces", spans=len(spans))
            return result

    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "cicd-backend")})
    provider = TracerProvider(id_generator=RunIdGenerator(), resource=resource, shutdown_on_exit=False)
    exporter = CountingExporter()
    # Its queue is bounded: spans that do not fit are dropped with a log message.
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield Traces(lambda run: record_trace(run, provider), lambda: exporter.given_up, with_traceparent)
    finally:
        provider.shutdown()  # Sends the remaining spans.
