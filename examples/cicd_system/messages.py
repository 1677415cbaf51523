"""Messages between the CLI and the Backend beside those of the contract, and the request to repeat a run."""

from __future__ import annotations

from uuid import UUID, uuid4

from attrs import frozen

from cicd_common.api.request import PipelineExecutionRequest
from cicd_common.api.response import PipelineReportResponse
from cicd_common.fields import checked
from cicd_common.model import PipelineExecution

__all__ = ["RecentRuns", "rerun_request"]


@frozen(kw_only=True)
@checked
class RecentRuns:
    """A report for each name of pipelines, sorted by name, with its last run."""

    reports: tuple[PipelineReportResponse, ...]


def rerun_request(run: PipelineExecution, request_id: UUID | None = None) -> PipelineExecutionRequest:
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
