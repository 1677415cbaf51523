"""Tables of runs and reports, for a console without markup. Control characters in texts of users are escaped."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cicd_common import ExecutionStatus
from cicd_common.api.response import (
    JobExecutionRecord,
    JobReportResponse,
    PipelineExecutionRecord,
    PipelineReportResponse,
    StageExecutionRecord,
    StageReportResponse,
)
from cicd_common.model import PipelineExecution

from ..messages import RecentRuns

__all__ = ["console", "report_table", "run_table", "runs_table", "status_of", "visible"]

_STYLES = {
    ExecutionStatus.FAILED: "bold red",
    ExecutionStatus.RUNNING: "yellow",
    ExecutionStatus.CANCELED: "magenta",
    ExecutionStatus.PENDING: "dim",
    ExecutionStatus.SUCCESS: "green",
}
_UNUSUAL = re.compile(r"[^\n\t -~]")
_NEVER = datetime.min.replace(tzinfo=UTC)


def visible(text: str) -> str:
    """A text with control characters, except line breaks and tabs, as escapes, so that it cannot move the cursor."""
    return _UNUSUAL.sub(lambda found: found[0] if found[0].isprintable() else ascii(found[0])[1:-1], text)


def console() -> Console:
    """The standard output. If it is not a terminal, lines are not wrapped, whatever the environment says."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    width = None if is_terminal else 10_000
    return Console(markup=False, highlight=False, emoji=False, force_terminal=is_terminal, width=width)


def status_of(part: Any) -> Text:
    """The status of an execution, a record or a summary in its colour. It says if a failure is allowed."""
    if part.status is ExecutionStatus.FAILED and getattr(getattr(part, "job", part), "allow_failure", False):
        return Text("FAILED, allowed", style="yellow")
    return Text(part.status.value, style=_STYLES[part.status])


def run_table(run: PipelineExecution, now: datetime, height: int | None = None) -> Table:
    """A table of the stages of a run, with the jobs of those that have begun.

    If all that does not fit into `height` lines, only running and failed jobs are shown, and the others are counted.
    """
    table = Table.grid(padding=(0, 2))
    table.add_row(f"run {run.run_number}", status_of(run), _duration(run, now))
    jobs = {
        stage.name: stage.jobs if run.status.is_terminal or stage.status is not ExecutionStatus.PENDING else ()
        for stage in run.stages
    }
    is_short = height is not None and 1 + len(jobs) + sum(map(len, jobs.values())) > height
    for stage in run.stages:
        table.add_row(f"  {visible(stage.name)}", status_of(stage), _duration(stage, now))
        for job in jobs[stage.name]:
            if not is_short or job.status in (ExecutionStatus.RUNNING, ExecutionStatus.FAILED):
                table.add_row(f"    {visible(job.job.name)}", status_of(job), _duration(job, now))
        if is_short and jobs[stage.name]:
            counts = Counter(job.status.value for job in stage.jobs)
            text = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
            table.add_row(Text(f"    {len(stage.jobs)} jobs: {text}", style="dim"))
    return table


def runs_table(runs: RecentRuns) -> Table:
    """The last run of each pipeline, newest first."""
    found = [(report.pipeline_name, run) for report in runs.reports for run in report.executions]
    found.sort(key=lambda each: each[1].start_time or _NEVER, reverse=True)
    return _table([{"pipeline": visible(name), **_row(run)} for name, run in found])


def report_table(report: PipelineReportResponse | StageReportResponse | JobReportResponse) -> Table:
    """A page of a report."""
    return _table([_row(record) for record in report.executions])


def _table(rows: list[dict[str, str | Text]]) -> Table:
    """A table of rows, which have the same columns."""
    table = Table(*(rows[0] if rows else ["no runs"]), box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*row.values())
    return table


def _row(record: PipelineExecutionRecord | StageExecutionRecord | JobExecutionRecord) -> dict[str, str | Text]:
    row: dict[str, str | Text] = {"run": str(record.run_number), "status": status_of(record)}
    match record:
        case PipelineExecutionRecord():
            row["commit"] = (record.commit_hash or "")[:12]
            row["stages"] = _statuses((stage.stage_name, stage) for stage in record.stages)
        case StageExecutionRecord():
            row["jobs"] = _statuses((job.job_name, job) for job in record.jobs)
        case JobExecutionRecord():
            row["exit code"] = "" if record.exit_code is None else str(record.exit_code)
    row["started"] = f"{record.start_time:%Y-%m-%d %H:%M:%S}" if record.start_time else ""
    row["took"] = _duration(record)
    return row


def _statuses(parts: Iterable[tuple[str, Any]]) -> Text:
    """Names in the colours of their statuses, with the status in words unless it is SUCCESS."""
    shown = []
    for name, part in parts:
        status = status_of(part)
        words = "" if part.status is ExecutionStatus.SUCCESS else f" ({status})"
        shown.append(Text(visible(name) + words, style=status.style))
    return Text(", ").join(shown)


def _duration(part: Any, now: datetime | None = None) -> str:
    end = part.completion_time or now
    if part.start_time is None or end is None:
        return ""
    seconds = max((end - part.start_time).total_seconds(), 0)
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
