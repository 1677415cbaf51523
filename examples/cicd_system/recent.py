"""The last run of each pipeline: a message of this system, beside those of the contract."""

from __future__ import annotations

from attrs import frozen

from cicd_common.api.request import ReportRequest
from cicd_common.api.response import PipelineReportResponse
from cicd_common.fields import checked
from cicd_common.store import ExecutionStore

__all__ = ["RecentRuns", "recent_runs"]


@frozen(kw_only=True)
@checked
class RecentRuns:
    """The last run of each pipeline.

    Attributes:
        reports: A report for each name of pipelines, in the order of the names, with its last run.

    Raises:
        ContractError: A field is refused.
    """

    reports: tuple[PipelineReportResponse, ...]


def recent_runs(store: ExecutionStore) -> RecentRuns:
    """Look up the last run of each pipeline.

    Args:
        store: Knows the runs.
    """
    names: dict[str, None] = {}
    page = store.pipelines()
    while page:  # Each definition of a name is a pipeline.
        names |= dict.fromkeys(pipeline.name for pipeline in page)
        page = store.pipelines(after=page[-1].id)
    reports = [store.report(ReportRequest(pipeline_name=name, limit=1)) for name in names]
    return RecentRuns(reports=tuple(each for each in reports if isinstance(each, PipelineReportResponse)))
