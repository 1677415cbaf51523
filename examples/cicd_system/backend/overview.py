"""Pages of pipelines with their last runs."""

from __future__ import annotations

from uuid import UUID

from attrs import frozen

from cicd_common.api.request import ReportRequest
from cicd_common.api.response import PipelineReportResponse
from cicd_common.store import ExecutionStore

from ..recent import RecentRuns

__all__ = ["Overview", "overview", "recent_runs"]

_MOST_NAMES = 20
_RUNS = 5
_DEFINITIONS = 1000  # In one query. A name has several definitions, one for each edit.
_QUERIES = 10


@frozen
class Overview:
    """A page of pipelines.

    Attributes:
        pipelines: The pipelines with their last runs, in the order of their names.
        after: The definition after which the next page begins; None if this is the last page.
    """

    pipelines: tuple[PipelineReportResponse, ...]
    after: UUID | None


def overview(store: ExecutionStore, after: UUID | None, *, runs: int = _RUNS) -> Overview:
    """Read a page of pipelines, with a bounded number of queries.

    Args:
        store: The store.
        after: The definition after which the page begins; None for the first page.
        runs: The most runs of each pipeline.
    """
    names, last = _names(store, after)
    reports = [store.report(ReportRequest(pipeline_name=name, limit=runs)) for name in names]
    return Overview(tuple(each for each in reports if isinstance(each, PipelineReportResponse)), last)


def recent_runs(store: ExecutionStore) -> RecentRuns:
    """The last run of each pipeline.

    Args:
        store: The store.
    """
    page = overview(store, None, runs=1)
    reports = [*page.pipelines]
    while page.after is not None:
        page = overview(store, page.after, runs=1)
        reports += page.pipelines
    return RecentRuns(reports=tuple(reports))


def _names(store: ExecutionStore, after: UUID | None) -> tuple[list[str], UUID | None]:
    """The next names, and the last definition that was read if there are more."""
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
