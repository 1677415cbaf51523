"""The elements of pages that change, for the templates and for the events."""

from __future__ import annotations

from datetime import datetime, timedelta

from markupsafe import Markup, escape

from cicd_common import ExecutionStatus
from cicd_common.dto import JobExecutionDTO
from cicd_common.model import JobExecution, PipelineExecution

from .drawing import Timeline, timeline_of
from .live import Part, Parts

__all__ = ["attributes_of", "content_of", "duration", "job_parts", "run_parts", "shown"]

_CONTENT = ("text", "html")


def attributes_of(parts: Parts, id: str) -> Markup:
    """The attributes of an element, with its id.

    Args:
        parts: The elements.
        id: The id of the element.
    """
    given = {"id": id, **{name: value for name, value in parts[id].items() if name not in _CONTENT}}
    return Markup(" ").join(Markup('{}="{}"').format(name, value) for name, value in given.items() if value is not None)


def content_of(parts: Parts, id: str) -> Markup:
    """The content of an element.

    Args:
        parts: The elements.
        id: The id of the element.
    """
    part = parts[id]
    html = part.get("html")
    return escape(part.get("text") or "") if html is None else Markup(html)


def run_parts(run: PipelineExecution, now: datetime) -> dict[str, Part]:
    """The changing elements of the page of a run: texts, and the bars of the timeline.

    Args:
        run: The run.
        now: The current time, for the duration of running jobs.
    """
    timeline = timeline_of(run, now)
    parts: dict[str, Part] = {
        "status": _status(run.status),
        "why": {"text": run.explain().text},
        "started": {"text": shown(run.start_time)},
        "took": {"text": duration(_taken(run.start_time, run.completion_time, now))},
        "scale": {"text": "When" if timeline.whole is None else f"When, in {duration(timeline.whole)}"},
        "cancel": {"hidden": "" if run.status.is_terminal else None},
    }
    for number, stage in enumerate(run.stages):
        parts[f"stage-{number}"] = _status(stage.status)
    jobs = [job for stage in run.stages for job in stage.jobs]
    for number, job in enumerate(jobs):
        parts |= _job_parts(f"job-{number}", job, timeline, now)
    return parts


def _job_parts(name: str, job: JobExecution, timeline: Timeline, now: datetime) -> dict[str, Part]:
    bar = timeline.bars.get(job.id)
    x, width = ("0", "0") if bar is None else (str(bar.x), str(bar.width))
    is_allowed = job.status is ExecutionStatus.FAILED and job.job.allow_failure
    status = f"{job.status}, allowed" if is_allowed else str(job.status)
    return {
        f"{name}-status": {"text": status, "class": f"status {job.status}"},
        f"{name}-reason": {"text": str(job.reason or "")},
        f"{name}-attempt": {"text": str(job.attempt)},
        f"{name}-took": {"text": duration(_taken(job.start_time, job.completion_time, now))},
        f"{name}-bar": {"class": str(job.status), "x": x, "width": width},
        f"{name}-box": {"class": str(job.status)},
        f"{name}-mark": {"text": _MARKS[job.status]},
        f"{name}-link": {"aria-label": f"{job.job.name}: {status}"},
    }


# Statuses differ by marks, not only by colours.
_MARKS = {
    ExecutionStatus.PENDING: "○",
    ExecutionStatus.RUNNING: "▶",
    ExecutionStatus.SUCCESS: "✓",
    ExecutionStatus.FAILED: "✗",
    ExecutionStatus.CANCELED: "■",
}


def job_parts(job: JobExecutionDTO, now: datetime) -> dict[str, Part]:
    """The changing elements of the page of a job, without its output.

    Args:
        job: The job.
        now: The current time, for the duration of a running job.
    """
    facts: dict[str, object] = {"attempt": job.attempt, "on": job.worker, "exit code": job.exit_code}
    told = [f"{name} {value}" for name, value in facts.items() if value is not None]
    told += [str(job.reason)] if job.reason else []
    taken = _taken(job.start_time, job.completion_time, now)
    told += [] if taken is None else [f"took {duration(taken)}" if job.completion_time else f"{duration(taken)} so far"]
    return {
        "status": _status(job.status),
        "facts": {"text": ", ".join(told)},
    }


def _status(status: ExecutionStatus) -> Part:
    return {"text": str(status), "class": f"status {status}"}


def _taken(start: datetime | None, end: datetime | None, now: datetime) -> timedelta | None:
    return None if start is None else max((end or now) - start, timedelta())


def duration(time: timedelta | None) -> str:
    """A duration as text for people; empty if there is none.

    Args:
        time: The duration.
    """
    if time is None:
        return ""
    minutes, seconds = divmod(int(time.total_seconds()), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def shown(time: datetime | None) -> str:
    """A time as text for people; empty if there is none.

    Args:
        time: The time.
    """
    return "" if time is None else time.strftime("%Y-%m-%d %H:%M:%S UTC")
