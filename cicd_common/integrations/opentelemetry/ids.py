"""Ids of traces and spans, made from the ids of executions."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID

import attrs

from ...api.request import JobExecutionRequest

__all__ = ["span_id", "trace_id", "traceparent", "with_traceparent"]

# The bits of a random UUID are not all random, and samplers decide by the bits of the id: so it is hashed.


def trace_id(pipeline_execution_id: UUID) -> int:
    """The id of the trace of a run.

    Args:
        pipeline_execution_id: The run.
    """
    return int.from_bytes(sha256(pipeline_execution_id.bytes).digest()[:16])


def span_id(execution_id: UUID) -> int:
    """The id of the span of a run, of one of its stages or of one of its jobs.

    Args:
        execution_id: The pipeline, stage or job execution.
    """
    return int.from_bytes(sha256(execution_id.bytes).digest()[-8:])


def traceparent(request: JobExecutionRequest) -> str:
    """The header ``traceparent`` of W3C Trace Context for what a job does: its parent is the span of the job.

    Args:
        request: The request that hands the job to a Worker.
    """
    return f"00-{trace_id(request.pipeline_execution_id):032x}-{span_id(request.job_execution_id):016x}-01"


def with_traceparent(request: JobExecutionRequest) -> JobExecutionRequest:
    """The same request, whose job finds its `traceparent` in the environment variable ``TRACEPARENT``.

    Args:
        request: The request that hands the job to a Worker.
    """
    return attrs.evolve(request, environment=request.environment | {"TRACEPARENT": traceparent(request)})
