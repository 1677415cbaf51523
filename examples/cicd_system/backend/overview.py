"""Pages of pipelines with their last runs."""

from __future__ import annotations

from uuid import UUID

from cicd_common.api.request import ReportRequest
from cicd_common.api.response import PipelineReportResponse
from cicd_common.store import ExecutionStore

from ..messages import RecentRuns

__all__ = ["overview", "recent_runs"]

_MOST_NAMES = 20
_DEFINITIONS = 1000  # In one query. A name has several definitions, one for each edit.
_QUERIES = 10


def overview(
    store: ExecutionStore, after: UUID | None, *, runs: int
) -> tuple[list[PipelineReportResponse], UUID | None]:
    """Read a page of pipelines in the order of their names, each with its last runs, by a bounded number of queries.

    The page begins after a definition, and the next page after the one that is returned; it is None on the last page.
    """
    names, last = _names(store, after)
    reports = [store.report(ReportRequest(pipeline_name=name, limit=runs)) for name in names]
    return [report for report in reports if isinstance(report, PipelineReportResponse)], last


def recent_runs(store: ExecutionStore) -> RecentRuns:
    """The last run of each pipeline."""
    reports, after = overview(store, None, runs=1)
    while after is not None:
        page, after = overview(store, after, runs=1)
        reports += page
    return RecentRuns(reports=tuple(reports))


def _names(store: ExecutionStore, after: UUID | None) -> tuple[list[str], UUID | None]:
    names: dict[str, None] = {}
    for _ in range(_QUERIES):
        page = store.pipelines(after=after, limit=_DEFINITIONS)
        for pipeline in page:
            if pipeline.name not in names and len(names) == _MOST_NAMES:
                return list(names), after
            names[pipeline.name] = None
            after = pipeline.id
        if len(page) < _DEFINITIONS:
            return list(names), None
    return list(names), after
