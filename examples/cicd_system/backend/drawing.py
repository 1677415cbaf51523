"""The layout of drawings of a run: the graph of its jobs, and their timeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from attrs import frozen

from cicd_common.model import JobExecution, PipelineExecution, Plan

__all__ = ["Bar", "Box", "Graph", "Line", "Timeline", "graph_of", "timeline_of"]

_WIDTH, _HEIGHT, _GAP, _ROW = 150, 28, 40, 40
_SCALE = 1000


@frozen
class Box:
    """A job in a graph.

    Attributes:
        job: The job.
        x: Its left edge.
        y: Its upper edge.
    """

    job: JobExecution
    x: int
    y: int


@frozen
class Line:
    """A line from a job to a job that depends on it."""

    x1: int
    y1: int
    x2: int
    y2: int


@frozen
class Graph:
    """The graph of the jobs of a run. Jobs that may run at the same time are in one column.

    Attributes:
        boxes: The jobs.
        lines: The dependencies.
        width: The width of the drawing.
        height: Its height.
        box_width: The width of a box.
        box_height: Its height.
    """

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: int
    height: int
    box_width: int = _WIDTH
    box_height: int = _HEIGHT


@frozen
class Bar:
    """When a job ran.

    Attributes:
        x: Its start, in thousandths of the time of the run.
        width: Its duration, in thousandths of the time of the run; at least 1.
    """

    x: int
    width: int


@frozen
class Timeline:
    """When the jobs of a run ran, to scale.

    Attributes:
        bars: The bars of the started jobs, by the ids of their executions.
        whole: The duration of the whole scale; None if no job has started.
    """

    bars: Mapping[UUID, Bar]
    whole: timedelta | None = None


def graph_of(run: PipelineExecution) -> Graph:
    """Lay out the jobs of a run: a column for each wave of each stage.

    Args:
        run: The run.
    """
    jobs = {job.job.name: job for stage in run.stages for job in stage.jobs}
    columns = [wave for stage in Plan.of(run.pipeline).stages for wave in stage.waves]
    boxes = {
        name: Box(jobs[name], column * (_WIDTH + _GAP), row * _ROW)
        for column, names in enumerate(columns)
        for row, name in enumerate(names)
    }
    return Graph(
        boxes=tuple(boxes.values()),
        lines=tuple(_lines(boxes)),
        width=len(columns) * (_WIDTH + _GAP) - _GAP,
        height=max(map(len, columns)) * _ROW,
    )


def _lines(boxes: dict[str, Box]) -> Iterator[Line]:
    for box in boxes.values():
        for name in dict.fromkeys(box.job.job.dependencies):
            other = boxes[name]
            yield Line(other.x + _WIDTH, other.y + _HEIGHT // 2, box.x, box.y + _HEIGHT // 2)


def timeline_of(run: PipelineExecution, now: datetime) -> Timeline:
    """Lay out the timeline of a run. Clocks of Workers may differ, so bars are kept within the scale.

    Args:
        run: The run.
        now: The current time, as the end of running jobs.
    """
    started = [job for stage in run.stages for job in stage.jobs if job.start_time is not None]
    if not started:
        return Timeline({})
    begin = min(job.start_time for job in started if job.start_time is not None)
    end = max([begin, *(_end(job, now) for job in started)])
    seconds = (end - begin).total_seconds() or 1.0

    def bar(job: JobExecution) -> Bar:
        assert job.start_time is not None
        x = min(int((job.start_time - begin).total_seconds() / seconds * _SCALE), _SCALE - 1)
        width = int((_end(job, now) - job.start_time).total_seconds() / seconds * _SCALE)
        return Bar(x, max(min(width, _SCALE - x), 1))

    return Timeline({job.id: bar(job) for job in started}, end - begin)


def _end(job: JobExecution, now: datetime) -> datetime:
    return job.completion_time or now
