"""Traces, metrics and log lines of runs for OpenTelemetry. Needs the extra ``opentelemetry``."""

from . import _extra as _extra
from .ids import span_id, trace_id, traceparent, with_traceparent
from .logs import SpanIds
from .metrics import RunMetrics
from .record import RunIdGenerator, record_trace
from .spans import RunSpan, SpanEvent, spans

__all__ = [
    "RunIdGenerator",
    "RunMetrics",
    "RunSpan",
    "SpanEvent",
    "SpanIds",
    "record_trace",
    "span_id",
    "spans",
    "trace_id",
    "traceparent",
    "with_traceparent",
]
