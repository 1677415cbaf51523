"""The last run of each pipeline: a message of the example that is not part of the contract."""

from __future__ import annotations

from attrs import frozen

from cicd_common.api.response import PipelineReportResponse
from cicd_common.fields import checked

__all__ = ["RecentRuns"]


@frozen(kw_only=True)
@checked
class RecentRuns:
    """A report for each name of pipelines, sorted by name, with its last run."""

    reports: tuple[PipelineReportResponse, ...]
