"""Start a run, and show its status until it has ended."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID

import click
from rich.console import Console, Group
from rich.live import Live
from rich.rule import Rule
from rich.text import Text

from cicd_common import ExecutionStatus
from cicd_common.api.request import PipelineExecutionRequest
from cicd_common.model import JobExecution, PipelineExecution, StageExecution

from .client import Client, LostAnswerError
from .tables import console, run_table, status_of, visible

__all__ = ["LEFT", "jobs_of", "show_log", "start_run"]

LEFT = 130
"""The exit code after an interrupt, if the run continues."""
_FAILED = 1
_FOLLOWING = 300  # Seconds without an answer from the Backend, after which a run is no longer followed.
_LAST_LINES = 20
_TAIL = 64 * 1024  # Bytes of a log that are read for its last lines.


def start_run(client: Client, name: str, request: PipelineExecutionRequest, *, detach: bool) -> int:
    """Start a run of the pipeline `name`, follow it to its end unless it is detached, and return the exit code."""
    try:
        started = client.execute(request)
    except (KeyboardInterrupt, LostAnswerError) as error:
        again = f"to ask again, and start no second run: --request-id {request.request_id}"
        click.echo(f"it is not known whether the run has started; {again}", err=True)
        if isinstance(error, LostAnswerError):
            raise
        return LEFT
    click.echo(f"run {started.run_number} of {visible(name)}: {started.execution_id}")
    if detach:
        return 0
    client.patience = max(client.patience, _FOLLOWING)
    run = _follow_or_cancel(client, started.execution_id)
    if run is None:
        click.echo(f"the run continues; to see its status: status {started.execution_id}", err=True)
        return LEFT
    for job in jobs_of(run, ExecutionStatus.FAILED):
        _show_end_of_log(client, run, job)
    return 0 if run.status is ExecutionStatus.SUCCESS else _FAILED


def _follow_or_cancel(client: Client, id: UUID) -> PipelineExecution | None:
    """Follow a run to its end. The first interrupt asks whether to cancel it; after the second one, return None."""
    with suppress(KeyboardInterrupt):
        try:
            return _follow(client, id)
        except KeyboardInterrupt:
            if _wants_to_cancel():
                client.cancel(id)
                return _follow(client, id)
    return None


def _wants_to_cancel() -> bool:
    if not all(stream and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        return False
    click.echo("\nCancel the run? Otherwise it continues. [y/N]: ", nl=False, err=True)
    try:
        # Without readline, which sometimes does not notice a Ctrl-C.
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        return False


def _follow(client: Client, id: UUID) -> PipelineExecution:
    """Show a run until it has ended, and return it."""
    out = console()
    if not out.is_terminal:
        known: dict[UUID, str] = {}
        for run in _snapshots(client, id):
            for part, name in _parts(run):
                status = str(status_of(part))
                if known.get(part.id, ExecutionStatus.PENDING.value) != status:
                    click.echo(f"{visible(name)}: {status}")
                    known[part.id] = status
        return run
    snapshots = _snapshots(client, id)
    view = _View(client, out, next(snapshots))
    with Live(get_renderable=view.draw, console=out):
        for run in snapshots:
            view.show(run)
    return view.run


def _snapshots(client: Client, id: UUID) -> Iterator[PipelineExecution]:
    """Read a run repeatedly until it has ended, with growing pauses, which are longer for a run with many jobs."""
    pause = 0.2
    while True:
        begin = time.monotonic()
        run = client.execution(id)
        yield run
        if run.status.is_terminal:
            return
        time.sleep(max(pause, time.monotonic() - begin))
        pause = min(pause * 1.2, 1)


def _parts(run: PipelineExecution) -> Iterator[tuple[JobExecution | StageExecution | PipelineExecution, str]]:
    """The jobs and stages of a run, and the run itself, with their names."""
    for stage in run.stages:
        yield from ((job, f"  {stage.name} / {job.job.name}") for job in stage.jobs)
        yield stage, stage.name
    yield run, f"run {run.run_number}"


def jobs_of(run: PipelineExecution, *statuses: ExecutionStatus) -> Iterator[JobExecution]:
    """The jobs of a run; if there are statuses, only those with one of them."""
    return (job for stage in run.stages for job in stage.jobs if not statuses or job.status in statuses)


class _View:
    """A run on a terminal: its table, and below it the end of the log of the first running job.

    While the run continues, both fit into the height of the terminal. At its end the whole table is shown, and the
    terminal scrolls.
    """

    def __init__(self, client: Client, out: Console, run: PipelineExecution) -> None:
        self._client = client
        self._out = out
        self.run = run
        self._log: list[Rule | Text] = []

    def show(self, run: PipelineExecution) -> None:
        log: list[Rule | Text] = []
        for job in jobs_of(run, ExecutionStatus.RUNNING):
            text = visible(self._client.log_tail(job.id, _TAIL)).expandtabs()
            lines = text.splitlines()[-self._out.height // 2 :]
            if lines:
                log = [Rule(Text(visible(job.job.name)), align="left", style="dim")]
                log += [Text(line, no_wrap=True, overflow="ellipsis") for line in lines]
            break
        self.run, self._log = run, log

    def draw(self) -> Group:
        run, log = self.run, self._log
        if run.status.is_terminal:
            return Group(run_table(run, self._client.now()))
        note = [Text("the Backend does not answer; asking again", style="yellow")] if self._client.is_silent else []
        height = self._out.height - 1 - len(note) - len(log)  # The last line is for the cursor.
        return Group(run_table(run, self._client.now(), height), *note, *log)


def show_log(client: Client, id: UUID, *, follow: bool) -> None:
    """Show the output of a job so far; if it is followed, continue until it has ended."""
    if follow:
        client.patience = max(client.patience, _FOLLOWING)
    after = 0
    while True:
        for page in client.log_pages(id, after):
            click.echo(visible(page.logs), nl=False)
            after = page.last_sequence
        if not follow or page.status.is_terminal:
            return
        time.sleep(0.5)


def _show_end_of_log(client: Client, run: PipelineExecution, job: JobExecution) -> None:
    lines = visible(client.log_tail(job.id, _TAIL)).splitlines()
    more = f", its last {_LAST_LINES} lines; all: logs {run.id} {shlex.quote(job.job.name)}"
    click.echo(visible(f"\n--- {job.job.name}: {status_of(job)}{more if len(lines) > _LAST_LINES else ''}"))
    for line in lines[-_LAST_LINES:]:
        click.echo(line)
