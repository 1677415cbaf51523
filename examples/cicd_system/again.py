"""Requests that repeat a run."""

from __future__ import annotations

from uuid import UUID, uuid4

from cicd_common.api.request import PipelineExecutionRequest
from cicd_common.model import PipelineExecution

__all__ = ["request_again"]


def request_again(run: PipelineExecution, request_id: UUID | None = None) -> PipelineExecutionRequest:
    """Make a request for another run with the same definition, branch, commit and variables.

    The Backend knows the definition, so only its id is sent.
    """
    return PipelineExecutionRequest(
        request_id=request_id or uuid4(),
        repo=run.pipeline.repo_url,
        branch=run.branch,
        commit_hash=run.commit_hash,
        pipeline_id=run.pipeline.id,
        environment=run.environment,
        is_local=run.is_local,
    )
