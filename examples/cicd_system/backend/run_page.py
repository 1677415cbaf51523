"""What the page of a run draws: a graph of its jobs, and when they ran."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from cicd_common.model import PipelineExecution, Plan

__all__ = ["places_of", "timeline_of"]

SCALE = 1000
"""The width of the timeline."""

_COLUMN, _ROW = 190, 40  # Pixels of the graph; the template draws boxes of 150 by 28.


def places_of(run: PipelineExecution) -> Mapping[str, tuple[int, int]]:
    """The left upper corners of jobs in the graph, by their names: a column for each wave of each stage."""
    columns = [wave for stage in Plan.of(run.pipeline).stages for wave in stage.waves]
    return {
        name: (column * _COLUMN, row * _ROW) for column, names in enumerate(columns) for row, name in enumerate(names)
    }


def timeline_of(run: PipelineExecution, now: datetime) -> tuple[Mapping[UUID, tuple[int, int]], timedelta]:
    """The positions and widths of the bars of started jobs, by their ids, and the duration of the whole scale.

    Clocks of Workers may differ, so bars are kept within the scale. Running jobs end now.
    """
    times = {
        job.id: (job.start_time, job.completion_time or now)
        for stage in run.stages
        for job in stage.jobs
        if job.start_time is not None
    }
    if not times:
        return {}, timedelta()
    begin = min(start for start, _ in times.values())
    whole = max(end for _, end in (*times.values(), (begin, begin))) - begin
    unit = whole / SCALE or timedelta.resolution

    def bar(start: datetime, end: datetime) -> tuple[int, int]:
        x = min((start - begin) // unit, SCALE - 1)
        return x, max(min((end - start) // unit, SCALE - x), 1)

    return {job_id: bar(start, end) for job_id, (start, end) in times.items()}, whole
