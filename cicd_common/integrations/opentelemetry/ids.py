"""Ids of traces and spans, made from the ids of executions."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID

import attrs

from ...api.request import JobExecutionRequest

__all__ = ["span_id", "trace_id", "traceparent", "with_traceparent"]

# Ids are hashed, since samplers decide by their bits, and not all bits of a random UUID are random.


def trace_id(pipeline_execution_id: UUID) -> int:
    """Return the id of the trace of a run.

    Args:
        pipeline_execution_id: The run.
    """
    return int.from_bytes(sha256(pipeline_execution_id.bytes).digest()[:16])


def span_id(execution_id: UUID) -> int:
    """Return the id of the span of a run, a stage or a job.

    Args:
        execution_id: The pipeline, stage or job execution.
    """
    return int.from_bytes(sha256(execution_id.bytes).digest()[-8:])


def traceparent(request: JobExecutionRequest) -> str:
    """Return the header ``traceparent`` of W3C Trace Context with the span of a job as the parent.

    Args:
        request: The request that hands the job to a Worker.
    """
    return f"00-{trace_id(request.pipeline_execution_id):032x}-{span_id(request.job_execution_id):016x}-01"


def with_traceparent(request: JobExecutionRequest) -> JobExecutionRequest:
    """Return a copy of a request with its `traceparent` in the environment variable ``TRACEPARENT``.

    Args:
        request: The request that hands the job to a Worker.
    """
    return attrs.evolve(request, environment=request.environment | {"TRACEPARENT": traceparent(request)})
