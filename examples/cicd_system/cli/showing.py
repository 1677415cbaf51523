"""Tables of runs and reports. Texts of users are never markup, and control characters are escaped."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cicd_common import ExecutionStatus
from cicd_common.api.response import JobReportResponse, PipelineReportResponse, StageReportResponse

from ..recent import RecentRuns
from .following import Snapshot

__all__ = ["changes", "console", "report_table", "run_table", "runs_table", "status_of", "visible"]

# The most important status first, for tables with too little space.
_STYLES = {
    ExecutionStatus.FAILED: "bold red",
    ExecutionStatus.RUNNING: "yellow",
    ExecutionStatus.CANCELED: "magenta",
    ExecutionStatus.PENDING: "dim",
    ExecutionStatus.SUCCESS: "green",
}
_URGENCY = list(_STYLES)
_UNUSUAL = re.compile(r"[^\n\t -~]+")
_NEVER = datetime.min.replace(tzinfo=UTC)


def visible(text: str) -> str:
    """A text with control characters as escapes, so that it cannot move the cursor.

    Args:
        text: Any text. Its line breaks and tabs are kept.
    """
    return _UNUSUAL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in found[0])


def run_table(snapshot: Snapshot, now: datetime, *, height: int | None = None, note: str = "") -> Table:
    """A table of the stages and jobs of a run at one moment.

    Args:
        snapshot: The run.
        now: The current time, for the duration of running jobs.
        height: The most lines. If they are too few, the least important jobs are only counted. By default all jobs are
            shown.
        note: A note below the table.
    """
    shown = _shown(snapshot, height and height - bool(note))
    table = Table.grid(padding=(0, 2))
    table.add_row(Text(f"run {snapshot.run.run_number}"), status_of(snapshot.run), _duration(snapshot.run, now))
    for stage in snapshot.run.stages:
        table.add_row(Text(f"  {visible(stage.stage_name)}"), status_of(stage), _duration(stage, now))
        jobs = snapshot.jobs.get(stage.stage_name, ())
        chosen = [job for job in jobs if job.job_execution_id in shown]
        for job in chosen:
            table.add_row(Text(f"    {visible(job.job_name)}"), status_of(job), _duration(job, now))
        if len(chosen) < len(jobs):
            table.add_row(Text(f"    {len(jobs)} jobs: {_counts(jobs)}", style="dim"))
    if note:
        table.add_row(Text(note, style="yellow"))
    return table


def _shown(snapshot: Snapshot, height: int | None) -> set[UUID]:
    """The ids of the jobs that are shown."""
    jobs = [job for jobs in snapshot.jobs.values() for job in jobs]
    room = len(jobs) if height is None else height - 1 - len(snapshot.run.stages)
    if len(jobs) > room:
        room = max(room - len(snapshot.jobs), 1)  # Each stage may need a line with counts.
    jobs.sort(key=lambda job: _URGENCY.index(job.status))
    return {job.job_execution_id for job in jobs[:room]}


def _counts(jobs: Iterable[Any]) -> str:
    statuses = [job.status for job in jobs]
    return ", ".join(f"{statuses.count(status)} {status.value}" for status in ExecutionStatus if status in statuses)


def changes(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    """The changes between two snapshots, a line each, for an output that is not a terminal.

    Args:
        before: The snapshot before; None at the start.
        after: The run now.
    """
    known = {} if before is None else dict(_parts_of(before))
    for name, part in _parts_of(after):
        was = known[name].status if name in known else None
        if part.status is not was and (before is not None or part.status is not ExecutionStatus.PENDING):
            yield f"{visible(name)}: {status_of(part)}"


def _parts_of(snapshot: Snapshot) -> Iterator[tuple[str, Any]]:
    for stage in snapshot.run.stages:
        for job in snapshot.jobs.get(stage.stage_name, ()):
            yield f"  {stage.stage_name} / {job.job_name}", job
        yield stage.stage_name, stage
    yield f"run {snapshot.run.run_number}", snapshot.run


def runs_table(runs: RecentRuns) -> Table:
    """The last runs of pipelines as a table, newest first.

    Args:
        runs: The runs.
    """
    columns, row = _COLUMNS[PipelineReportResponse]
    table = _table("pipeline", "run", "status", *columns, "started", "took")
    found = [(report.pipeline_name, run) for report in runs.reports for run in report.executions]
    for name, run in sorted(found, key=lambda each: each[1].start_time or _NEVER, reverse=True):
        table.add_row(Text(visible(name)), *_row(run, row))
    return table


def report_table(report: PipelineReportResponse | StageReportResponse | JobReportResponse) -> Table:
    """A page of a report as a table.

    Args:
        report: The page.
    """
    columns, row = _COLUMNS[type(report)]
    table = _table("run", "status", *columns, "started", "took")
    for record in report.executions:
        table.add_row(*_row(record, row))
    return table


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))


def _row(record: Any, row: Callable[[Any], Iterable[str | Text]]) -> Iterator[str | Text]:
    yield str(record.run_number)
    yield status_of(record)
    yield from row(record)
    yield "" if record.start_time is None else f"{record.start_time:%Y-%m-%d %H:%M:%S}"
    yield _duration(record)


def _names(name: str, parts: Iterable[Any]) -> Text:
    """Names in the colours of their statuses, with the status in words unless it is SUCCESS."""
    shown = Text()
    for part in parts:
        status = status_of(part)
        words = "" if part.status is ExecutionStatus.SUCCESS else f" ({status})"
        shown.append(f"{', ' if shown else ''}{visible(getattr(part, name))}{words}", style=status.style)
    return shown


_COLUMNS: dict[type[Any], Any] = {
    PipelineReportResponse: (
        ("commit", "stages"),
        lambda record: (Text((record.commit_hash or "")[:12]), _names("stage_name", record.stages)),
    ),
    StageReportResponse: (("jobs",), lambda record: (_names("job_name", record.jobs),)),
    JobReportResponse: (
        ("exit code", "job execution"),
        lambda record: ("" if record.exit_code is None else str(record.exit_code), str(record.execution_id)),
    ),
}


def status_of(part: Any) -> Text:
    """The status of a run, a stage or a job in its colour. It says if a failure is allowed.

    Args:
        part: A record or a summary.
    """
    if part.status is ExecutionStatus.FAILED and getattr(part, "allow_failure", False):
        return Text("FAILED, allowed", style="yellow")
    return Text(part.status.value, style=_STYLES[part.status])


def _duration(part: Any, now: datetime | None = None) -> Text:
    end = part.completion_time or now
    if part.start_time is None or end is None:
        return Text("")
    seconds = max((end - part.start_time).total_seconds(), 0)
    return Text(f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s")


def console() -> Console:
    """The standard output without markup and highlighting. Only a terminal is redrawn.

    If the output is not a terminal, lines are not wrapped, whatever the environment says about terminals.
    """
    is_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    width = None if is_terminal else 10_000
    return Console(markup=False, highlight=False, emoji=False, force_terminal=is_terminal, width=width)
