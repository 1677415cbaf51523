"""Start a run, and show its status until it has ended."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress

import click
from attrs import define, field
from rich.console import Console, Group
from rich.live import Live
from rich.rule import Rule
from rich.text import Text

from cicd_common import ExecutionStatus
from cicd_common.api.request import PipelineExecutionRequest
from cicd_common.api.response import JobReportSummary, PipelineExecutionResponse

from .client import Client, LostAnswerError
from .following import Snapshot, follow
from .showing import changes, console, run_table, status_of, visible

__all__ = ["FOLLOWING", "LEFT", "start_run"]

LEFT = 130
"""The exit code after an interrupt, if the run continues."""
FOLLOWING = 300
"""For how many seconds a followed run may have no answers from the Backend."""
_FAILED = 1
_LAST_LINES = 20
_TAIL = 64 * 1024  # Bytes of a log that are read for its last lines.
_SHORTEST = 3  # The least number of lines of the table.


def start_run(client: Client, name: str, request: PipelineExecutionRequest, *, detach: bool) -> int:
    """Start a run, and follow it to its end.

    Args:
        client: The client for the Backend.
        name: The name of the pipeline.
        request: The request for the run.
        detach: Whether to print only the id of the run.

    Returns:
        The exit code.

    Raises:
        BackendError: The Backend does not answer, or refuses.
    """
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
    client.patience = max(client.patience, FOLLOWING)
    snapshot = _followed(client, name, started)
    if snapshot is None:
        click.echo(f"it goes on; to see how: status {started.execution_id}", err=True)
        return LEFT
    for job in snapshot.jobs_that_are(ExecutionStatus.FAILED):
        _show_end(client, job)
    return 0 if snapshot.run.status is ExecutionStatus.SUCCESS else _FAILED


def _followed(client: Client, name: str, started: PipelineExecutionResponse) -> Snapshot | None:
    """The run at its end. The first interrupt asks whether to cancel it; after the second one, return None."""
    with suppress(KeyboardInterrupt):
        try:
            return _follow(client, name, started)
        except KeyboardInterrupt:
            if _wants_to_cancel():
                client.cancel(started.execution_id)
                return _follow(client, name, started)
    return None


def _wants_to_cancel() -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    click.echo("\nCancel the run? Otherwise it goes on. [y/N]: ", nl=False, err=True)
    try:
        # Without readline, which sometimes does not notice a Ctrl-C.
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        return False


def _follow(client: Client, name: str, started: PipelineExecutionResponse) -> Snapshot:
    out = console()
    snapshots = follow(client, name, started.run_number)
    last = next(snapshots)
    if out.is_terminal:
        view = _View(client, out, last)
        with Live(get_renderable=view.draw, console=out):
            for last in snapshots:
                view.look(last)
        return last
    _echo(changes(None, last))
    for snapshot in snapshots:
        _echo(changes(last, snapshot))
        last = snapshot
    return last


@define
class _View:
    """A run on a terminal: its table, and below it the end of the log of the first running job.

    While the run continues, both fit into the height of the terminal. At its end the whole table is shown, and the
    terminal scrolls.
    """

    _client: Client
    _out: Console
    _snapshot: Snapshot
    _log: tuple[str, list[str]] = field(init=False, default=("", []))

    def look(self, snapshot: Snapshot) -> None:
        """Update the view with a new snapshot."""
        log: tuple[str, list[str]] = ("", [])
        for job in snapshot.jobs_that_are(ExecutionStatus.RUNNING):
            lines = visible(self._client.log_tail(job.job_execution_id, _TAIL)).expandtabs().splitlines()
            log = visible(job.job_name), lines[-self._out.height :]
            break
        self._snapshot, self._log = snapshot, log

    def draw(self) -> Group:
        """Draw the current state."""
        note = "the Backend does not answer; asking again" if self._client.is_silent else ""
        if self._snapshot.run.status.is_terminal:
            return Group(run_table(self._snapshot, self._client.now(), note=note))
        name, lines = self._log
        height = self._out.height - 1  # The last line is for the cursor.
        room = min(len(lines), max(height // 2, height - _SHORTEST - _height(self._snapshot))) if lines else 0
        shown = [Text(line, no_wrap=True, overflow="ellipsis") for line in lines[max(len(lines) - room, 0) :]]
        log: list[Rule | Text] = [Rule(Text(name), align="left", style="dim"), *shown] if shown else []
        return Group(run_table(self._snapshot, self._client.now(), height=height - len(log), note=note), *log)


def _height(snapshot: Snapshot) -> int:
    return 1 + len(snapshot.run.stages) + sum(map(len, snapshot.jobs.values()))


def _echo(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


def _show_end(client: Client, job: JobReportSummary) -> None:
    lines = visible(client.log_tail(job.job_execution_id, _TAIL)).splitlines()
    more = f", its last {_LAST_LINES} lines; all: logs {job.job_execution_id}" if len(lines) > _LAST_LINES else ""
    click.echo(f"\n--- {visible(job.job_name)}: {status_of(job)}{more}")
    _echo(iter(lines[-_LAST_LINES:]))
