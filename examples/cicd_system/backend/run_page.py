"""What the pages of a run and of a job show, as elements for the templates and for the events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from markupsafe import Markup, escape

from cicd_common import ExecutionStatus
from cicd_common.dto import JobExecutionDTO
from cicd_common.model import JobExecution, PipelineExecution, Plan

from .live import Part, Parts

__all__ = ["attributes_of", "content_of", "job_parts", "places_of", "run_parts", "shown", "timeline_of"]

SCALE = 1000
"""The width of the timeline."""

_COLUMN, _ROW = 190, 40  # Pixels of the graph; the template draws boxes of 150 by 28.
# Statuses differ by marks, not only by colours.
_MARKS = {
    ExecutionStatus.PENDING: "○",
    ExecutionStatus.RUNNING: "▶",
    ExecutionStatus.SUCCESS: "✓",
    ExecutionStatus.FAILED: "✗",
    ExecutionStatus.CANCELED: "■",
}


def attributes_of(parts: Parts, id: str) -> Markup:
    """The attributes of an element, with its id."""
    given = {"id": id, **{name: value for name, value in parts[id].items() if name not in ("text", "html")}}
    return Markup(" ").join(Markup('{}="{}"').format(name, value) for name, value in given.items() if value is not None)


def content_of(parts: Parts, id: str) -> Markup:
    """The content of an element."""
    html = parts[id].get("html")
    return escape(parts[id].get("text") or "") if html is None else Markup(html)


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


def run_parts(run: PipelineExecution, now: datetime) -> dict[str, Part]:
    """The changing elements of the page of a run. Running jobs have taken the time until now."""
    bars, whole = timeline_of(run, now)
    parts: dict[str, Part] = {
        "status": _status(run.status),
        "why": {"text": run.explain().text},
        "started": {"text": shown(run.start_time)},
        "took": {"text": _took(run.start_time, run.completion_time, now)},
        "scale": {"text": f"When, in {_duration(whole)}" if bars else "When"},
        "cancel": {"hidden": "" if run.status.is_terminal else None},
    }
    for number, stage in enumerate(run.stages):
        parts[f"stage-{number}"] = _status(stage.status)
    for number, job in enumerate(job for stage in run.stages for job in stage.jobs):
        parts |= _job_parts(f"job-{number}", job, bars.get(job.id, (0, 0)), now)
    return parts


def _job_parts(name: str, job: JobExecution, bar: tuple[int, int], now: datetime) -> dict[str, Part]:
    is_allowed = job.status is ExecutionStatus.FAILED and job.job.allow_failure
    status = f"{job.status}, allowed" if is_allowed else str(job.status)
    return {
        f"{name}-status": {"text": status, "class": f"status {job.status}"},
        f"{name}-reason": {"text": str(job.reason or "")},
        f"{name}-attempt": {"text": str(job.attempt)},
        f"{name}-took": {"text": _took(job.start_time, job.completion_time, now)},
        f"{name}-bar": {"class": str(job.status), "x": str(bar[0]), "width": str(bar[1])},
        f"{name}-box": {"class": str(job.status)},
        f"{name}-mark": {"text": _MARKS[job.status]},
        f"{name}-link": {"aria-label": f"{job.job.name}: {status}"},
    }


def job_parts(job: JobExecutionDTO, now: datetime) -> dict[str, Part]:
    """The changing elements of the page of a job, without its output and its artifacts."""
    facts: dict[str, object] = {"attempt": job.attempt, "on": job.worker, "exit code": job.exit_code}
    texts = [f"{name} {value}" for name, value in facts.items() if value is not None]
    if job.reason:
        texts.append(str(job.reason))
    if took := _took(job.start_time, job.completion_time, now):
        texts.append(f"took {took}" if job.completion_time else f"{took} so far")
    return {"status": _status(job.status), "facts": {"text": ", ".join(texts)}}


def _status(status: ExecutionStatus) -> Part:
    return {"text": str(status), "class": f"status {status}"}


def _took(start: datetime | None, end: datetime | None, now: datetime) -> str:
    return "" if start is None else _duration(max((end or now) - start, timedelta()))


def _duration(time: timedelta) -> str:
    minutes, seconds = divmod(int(time.total_seconds()), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def shown(time: datetime | None) -> str:
    """A time as text for people; empty if there is none."""
    return "" if time is None else time.strftime("%Y-%m-%d %H:%M:%S UTC")
