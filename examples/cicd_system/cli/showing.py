"""What the CLI shows: runs as they go, and reports as tables. Nothing shown is taken for markup or for control."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cicd_common import ExecutionStatus
from cicd_common.api.response import JobReportResponse, PipelineReportResponse, StageReportResponse

from .following import Snapshot

__all__ = ["changes", "console", "now", "report_table", "run_table", "visible"]

_STYLES = {
    ExecutionStatus.PENDING: "dim",
    ExecutionStatus.RUNNING: "yellow",
    ExecutionStatus.SUCCESS: "green",
    ExecutionStatus.FAILED: "bold red",
    ExecutionStatus.CANCELED: "magenta",
}
# What says most comes first, where there is no room for all.
_URGENCY = [
    ExecutionStatus.FAILED,
    ExecutionStatus.RUNNING,
    ExecutionStatus.CANCELED,
    ExecutionStatus.PENDING,
    ExecutionStatus.SUCCESS,
]


def visible(text: str) -> str:
    """A text in which no character moves the cursor or forges anything: control characters are shown as escapes.

    Args:
        text: Any text. Its line breaks and tabs stay.
    """
    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)


def run_table(snapshot: Snapshot, now: datetime, *, height: int, note: str = "") -> Table:
    """A run at one moment, stage by stage and job by job.

    Args:
        snapshot: The run.
        now: The time, for how long what runs has taken.
        height: For how many lines there is room; where there is too little, the jobs that say least are counted only.
        note: What else there is to say.
    """
    shown = _shown(snapshot, height)
    table = Table.grid(padding=(0, 2))
    table.add_row(Text(f"run {snapshot.run.run_number}"), _status(snapshot.run.status), _duration(snapshot.run, now))
    for stage in snapshot.run.stages:
        table.add_row(Text(f"  {visible(stage.stage_name)}"), _status(stage.status), _duration(stage, now))
        jobs = snapshot.jobs.get(stage.stage_name, ())
        chosen = [job for place, job in enumerate(jobs) if (stage.stage_name, place) in shown]
        for job in chosen:
            table.add_row(Text(f"    {visible(job.job_name)}"), _status(job.status), _duration(job, now))
        if len(chosen) < len(jobs):
            table.add_row(Text(f"    {len(jobs)} jobs: {_counts(jobs)}", style="dim"))
    if note:
        table.add_row(Text(note, style="yellow"))
    return table


def _shown(snapshot: Snapshot, height: int) -> set[tuple[str, int]]:
    """Which jobs are shown: stages and places in them."""
    jobs = [(stage, place, job) for stage, jobs in snapshot.jobs.items() for place, job in enumerate(jobs)]
    room = height - 2 - len(snapshot.run.stages)
    if len(jobs) > room:
        room = max(room - len(snapshot.jobs), 1)  # Each stage may need a line that counts.
    jobs.sort(key=lambda each: _URGENCY.index(each[2].status))
    return {(stage, place) for stage, place, _ in jobs[:room]}


def _counts(jobs: Iterable[Any]) -> str:
    statuses = [job.status for job in jobs]
    return ", ".join(f"{statuses.count(status)} {status.value}" for status in ExecutionStatus if status in statuses)


def changes(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    """What has changed between two moments, a line each, for where nothing can be drawn anew.

    Args:
        before: The run at the moment before; none at the start.
        after: The run now.
    """
    known = {} if before is None else dict(_statuses(before))
    for name, status in _statuses(after):
        if known.get(name) is not status and (before is not None or status is not ExecutionStatus.PENDING):
            yield f"{visible(name)}: {status.value}"


def _statuses(snapshot: Snapshot) -> Iterator[tuple[str, ExecutionStatus]]:
    for stage in snapshot.run.stages:
        for job in snapshot.jobs.get(stage.stage_name, ()):
            yield f"  {stage.stage_name} / {job.job_name}", job.status
        yield stage.stage_name, stage.status
    yield f"run {snapshot.run.run_number}", snapshot.run.status


def report_table(report: PipelineReportResponse | StageReportResponse | JobReportResponse) -> Table:
    """A page of a report as a table.

    Args:
        report: The page.
    """
    columns, row = _COLUMNS[type(report)]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("run", "status", *columns, "started", "took"):
        table.add_column(column)
    for record in report.executions:
        started = "" if record.start_time is None else f"{record.start_time:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(record.run_number), _status(record.status), *row(record), started, _duration(record))
    return table


def _parts(name: str, parts: Iterable[Any]) -> Text:
    """Names in the colours of their statuses; what is not well says so in words, too."""
    shown = Text()
    for part in parts:
        status = "" if part.status is ExecutionStatus.SUCCESS else f" ({part.status.value})"
        shown.append(f"{', ' if shown else ''}{visible(getattr(part, name))}{status}", style=_STYLES[part.status])
    return shown


_COLUMNS: dict[type[Any], Any] = {
    PipelineReportResponse: (
        ("commit", "stages"),
        lambda record: (Text((record.commit_hash or "")[:12]), _parts("stage_name", record.stages)),
    ),
    StageReportResponse: (("jobs",), lambda record: (_parts("job_name", record.jobs),)),
    JobReportResponse: (
        ("exit code", "job execution"),
        lambda record: ("" if record.exit_code is None else str(record.exit_code), str(record.execution_id)),
    ),
}


def _status(status: ExecutionStatus) -> Text:
    return Text(status.value, style=_STYLES[status])


def _duration(part: Any, now: datetime | None = None) -> Text:
    end = part.completion_time or now
    if part.start_time is None or end is None:
        return Text("")
    seconds = max((end - part.start_time).total_seconds(), 0)
    return Text(f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s")


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def console() -> Console:
    """The standard output, on which nothing is markup or highlighted; drawn on only if it is a terminal.

    Where it is none, lines are as long as they need to be, whatever the environment says of terminals.
    """
    is_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    width = None if is_terminal else 10_000
    return Console(markup=False, highlight=False, emoji=False, force_terminal=is_terminal, width=width)
