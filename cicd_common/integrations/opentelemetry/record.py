"""Record the trace of a run with a provider of OpenTelemetry, under ids made from those of the executions."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, set_span_in_context

from ...model import PipelineExecution
from .spans import RunSpan, spans

__all__ = ["RunIdGenerator", "record_trace"]

_span: ContextVar[RunSpan | None] = ContextVar("cicd_common.integrations.opentelemetry.span", default=None)


class RunIdGenerator(RandomIdGenerator):
    """Returns the ids of the spans of runs, and random ids for all other spans."""

    def generate_span_id(self) -> int:
        """Return the id of the next span."""
        span = _span.get()
        return super().generate_span_id() if span is None else span.span_id

    def generate_trace_id(self) -> int:
        """Return the id of the next trace."""
        span = _span.get()
        return super().generate_trace_id() if span is None else span.trace_id

    def is_trace_id_random(self) -> bool:
        """Tell whether the id of the next trace is random."""
        return _span.get() is None


def record_trace(
    execution: PipelineExecution, provider: TracerProvider, *, url: Callable[[UUID], str] | None = None
) -> None:
    """Record the trace of a run that ended. The provider's processors get the spans that `spans` makes.

    The ids are made from those of the executions, so a run that is recorded again has the same trace.

    Args:
        execution: The run.
        provider: A provider made with ``id_generator=RunIdGenerator()``.
        url: As for `spans`.

    Raises:
        ValueError: The run has not ended, or has no time of its end; or the provider has another id generator.
    """
    if not isinstance(provider.id_generator, RunIdGenerator):
        raise ValueError("expected a provider made with id_generator=RunIdGenerator()")  # noqa: TRY004 - its state
    tracer = provider.get_tracer("cicd_common")
    recorded: dict[int | None, Span] = {}
    run_spans = spans(execution, url=url)
    for each in run_spans:
        parent = recorded.get(each.parent_id)
        # An empty context: the run's spans are not children of a span of the recording program.
        context = Context() if parent is None else set_span_in_context(parent, Context())
        token = _span.set(each)
        try:
            recorded[each.span_id] = tracer.start_span(
                each.name,
                context,
                SpanKind.SERVER if parent is None else SpanKind.INTERNAL,
                dict(each.attributes),
                [] if parent is None else [_link(parent, linked) for linked in each.links],
                each.start_time,
            )
        finally:
            _span.reset(token)
    for each in reversed(run_spans):
        span = recorded[each.span_id]
        for event in each.events:
            span.add_event(event.name, dict(event.attributes), event.time)
        if each.error is not None:
            span.set_status(Status(StatusCode.ERROR, each.error))
        span.end(each.end_time)


def _link(relative: Span, span_id: int) -> Link:
    """Make a link to another span of the same trace."""
    context = relative.get_span_context()
    return Link(SpanContext(context.trace_id, span_id, is_remote=False, trace_flags=context.trace_flags))
