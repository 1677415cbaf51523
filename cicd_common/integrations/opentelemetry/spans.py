"""The spans of a run that ended, with the attributes of the semantic conventions for CI/CD where there are any."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from uuid import UUID

import attrs
from opentelemetry.semconv._incubating.attributes import cicd_attributes as cicd
from opentelemetry.semconv._incubating.attributes import vcs_attributes as vcs
from opentelemetry.semconv._incubating.attributes.process_attributes import PROCESS_EXIT_CODE
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE

from ...enums import EndReason, ExecutionStatus
from ...model import JobExecution, PipelineExecution, StageExecution
from .._outcomes import cause_of, job_result, plain_url, result
from .ids import span_id, trace_id

__all__ = ["Attributes", "RunSpan", "SpanEvent", "error_type", "spans"]

Attributes = Mapping[str, str | int | float]

RUN_NUMBER = "cicd_common.run.number"
STAGE_NAME = "cicd_common.stage.name"
STAGE_ID = "cicd_common.stage.run.id"
STAGE_RESULT = "cicd_common.stage.run.result"
ATTEMPT = "cicd_common.attempt"
QUEUED = "cicd_common.queued"
QUEUE_DURATION = "cicd_common.queue.duration"


@attrs.frozen(kw_only=True)
class SpanEvent:
    """An event of a span.

    Attributes:
        name: The name of the event.
        time: The time, in nanoseconds since 1970.
        attributes: The attributes of the event.
    """

    name: str
    time: int
    attributes: Attributes


@attrs.frozen(kw_only=True)
class RunSpan:
    """The span of a run, of one of its stages or of one of its jobs, before it is recorded.

    Attributes:
        trace_id: The id of the trace.
        span_id: The id of the span.
        parent_id: The id of the parent span; None for the span of the run.
        name: The name.
        start_time: The start, in nanoseconds since 1970.
        end_time: The end, in nanoseconds since 1970.
        attributes: The attributes.
        events: The events.
        links: The ids of the spans in the same trace that this one depends on.
        error: The description of the error; None if there was none.
    """

    trace_id: int
    span_id: int
    parent_id: int | None
    name: str
    start_time: int
    end_time: int
    attributes: Attributes
    events: tuple[SpanEvent, ...] = ()
    links: tuple[int, ...] = ()
    error: str | None = None


def spans(execution: PipelineExecution, *, url: Callable[[UUID], str] | None = None) -> tuple[RunSpan, ...]:
    """Make the spans of a run that ended: of the run, of each stage and of each job, each after its parent.

    A span has the start and the end of its execution. The span of an execution that never ran has no length, and lies
    at the end of the run. An execution without a start begins at its end.

    Args:
        execution: The run.
        url: Returns the URL of a run or a job for the id of its execution; None means that there are no URLs.

    Raises:
        ValueError: The run has not ended, or has no time of its end.
    """
    end = execution.completion_time
    if end is None:
        raise ValueError("expected a run that has ended, and when it ended")
    return tuple(_Spans(execution, end, url).all())


@attrs.frozen
class _Spans:
    """Makes the spans of a run."""

    run: PipelineExecution
    end: datetime
    url: Callable[[UUID], str] | None

    def all(self) -> Iterator[RunSpan]:
        yield self._of_run()
        ids = {job.job.name: span_id(job.id) for stage in self.run.stages for job in stage.jobs}
        for stage in self.run.stages:
            yield self._of_stage(stage)
            for job in stage.jobs:
                yield self._of_job(stage, job, ids)

    def _of_run(self) -> RunSpan:
        run = self.run
        jobs = [job for stage in run.stages for job in stage.jobs]
        attributes = {
            cicd.CICD_PIPELINE_ACTION_NAME: "RUN",
            cicd.CICD_PIPELINE_NAME: run.pipeline.name,
            cicd.CICD_PIPELINE_RUN_ID: str(run.id),
            cicd.CICD_PIPELINE_RUN_URL_FULL: self._url_of(run.id),
            cicd.CICD_PIPELINE_RESULT: result(run.status, jobs),
            RUN_NUMBER: run.run_number,
            vcs.VCS_REPOSITORY_URL_FULL: plain_url(run.pipeline.repo_url),
            vcs.VCS_REF_HEAD_NAME: run.branch,
            vcs.VCS_REF_HEAD_TYPE: "branch",
            vcs.VCS_REF_HEAD_REVISION: run.commit_hash,
        }
        cause = cause_of(run.status, jobs)
        return self._span(run, None, f"RUN {run.pipeline.name}", attributes, cause, run.explain().text)

    def _of_stage(self, stage: StageExecution) -> RunSpan:
        cause = cause_of(stage.status, stage.jobs)
        never_ran = {job.reason for job in stage.jobs} == {EndReason.SKIPPED}
        attributes = {
            cicd.CICD_PIPELINE_RUN_ID: str(self.run.id),
            STAGE_NAME: stage.name,
            STAGE_ID: str(stage.id),
            STAGE_RESULT: "skip" if never_ran else result(stage.status, stage.jobs),
        }
        return self._span(stage, self.run, stage.name, attributes, cause, "a job failed")

    def _of_job(self, stage: StageExecution, job: JobExecution, ids: Mapping[str, int]) -> RunSpan:
        attributes = {
            cicd.CICD_PIPELINE_RUN_ID: str(self.run.id),
            cicd.CICD_PIPELINE_TASK_NAME: job.job.name,
            cicd.CICD_PIPELINE_TASK_RUN_ID: str(job.id),
            cicd.CICD_PIPELINE_TASK_RUN_URL_FULL: self._url_of(job.id),
            cicd.CICD_PIPELINE_TASK_RUN_RESULT: job_result(job),
            cicd.CICD_WORKER_NAME: job.worker,
            PROCESS_EXIT_CODE: job.exit_code,
            ATTEMPT: job.attempt,
        }
        failed = job if job.status is ExecutionStatus.FAILED else None
        span = self._span(job, stage, job.job.name, attributes, failed, (job.reason or job.status).description)
        links = tuple(ids[name] for name in dict.fromkeys(job.job.dependencies))
        return attrs.evolve(span, links=links, events=tuple(_queued(job)))

    def _span(
        self,
        of: PipelineExecution | StageExecution | JobExecution,
        parent: PipelineExecution | StageExecution | None,
        name: str,
        attributes: Mapping[str, str | int | float | None],
        cause: JobExecution | None,
        error: str,
    ) -> RunSpan:
        known = {key: value for key, value in attributes.items() if value is not None}
        if cause is not None:
            known[ERROR_TYPE] = error_type(cause)
        end = of.completion_time or of.start_time or self.end
        start = of.start_time or end
        return RunSpan(
            trace_id=trace_id(self.run.id),
            span_id=span_id(of.id),
            parent_id=None if parent is None else span_id(parent.id),
            name=name,
            start_time=nanoseconds(start),
            # A Worker's clock may have been set back.
            end_time=nanoseconds(max(start, end)),
            attributes=MappingProxyType(known),
            error=None if cause is None else error,
        )

    def _url_of(self, execution_id: UUID) -> str | None:
        return None if self.url is None else self.url(execution_id)


def error_type(job: JobExecution) -> str:
    """Return the value of ``error.type`` for a failed job: the reason of its end.

    Args:
        job: The job.
    """
    return "_OTHER" if job.reason in (None, EndReason.OTHER) else str(job.reason)


def _queued(job: JobExecution) -> Iterator[SpanEvent]:
    """Yield the event of a job's queueing, with the time that the job waited for its Worker."""
    if job.queued_at is not None and job.queue_time is not None:
        attributes = {QUEUE_DURATION: job.queue_time.total_seconds()}
        yield SpanEvent(name=QUEUED, time=nanoseconds(job.queued_at), attributes=MappingProxyType(attributes))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 2**64 - 1


def nanoseconds(time: datetime) -> int:
    """Return a time in nanoseconds since 1970, within the range of OTLP: until the year 2554.

    Args:
        time: The time.
    """
    return min(max((time - _EPOCH) // timedelta(microseconds=1) * 1000, 0), _LATEST)
