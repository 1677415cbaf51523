"""The command line: ``python -m cicd_system.cli``."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote
from uuid import UUID, uuid4

import click
from rich.live import Live
from rich.table import Table

from cicd_common import ContractError, ExecutionStatus
from cicd_common.api.request import PipelineExecutionRequest, ReportRequest
from cicd_common.api.response import JobExecutionRecord, PipelineExecutionResponse
from cicd_common.logging import configure
from cicd_common.model import Pipeline, PipelineExecution, Plan
from cicd_common.values import Environment

from ..again import request_again
from ..git import RepositoryError, commit_of
from .client import BackendError, Client
from .definition import DefinitionFileError, read_definition
from .following import Snapshot, failed_jobs, follow
from .repository import completed
from .showing import changes, console, now, report_table, run_table, visible

_FAILED, _BAD_FILE, _NO_BACKEND, _LEFT = 1, 2, 3, 130
_LAST_LINES = 20
_FOLLOWING = 300  # For how many seconds a Backend may be away while a run is followed.

_DETACH = click.option("--detach", is_flag=True, help="Do not follow the run: only say its id.")
_FILE = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@click.group(context_settings={"show_default": True})
@click.option(
    "--backend", envvar="CICD_BACKEND", show_envvar=True, default="http://127.0.0.1:8000", help="Where the Backend is."
)
@click.option("--patience", default=10.0, help="For how many seconds to ask a Backend that does not answer.")
@click.pass_context
def main(context: click.Context, backend: str, patience: float) -> None:
    """Start pipelines, follow them, and look at what they did.

    The Backend's token is in the environment variable CICD_TOKEN. Exit codes: 0 all is well, 1 the run failed or was
    canceled, 2 the command line or the file is wrong, 3 the Backend does not answer or refuses, 130 interrupted.
    """
    token = os.environ.get("CICD_TOKEN") or None
    configure(service="cli", level="WARNING", secrets=[token] if token else [])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # So that a terminal is left in order.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # What the terminal has no characters for.
    try:
        context.obj = context.with_resource(Client(backend, token, patience=patience))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


# --- definitions ------------------------------------------------------------------------------------------------


@main.command()
@_FILE
def check(file: Path) -> None:
    """Say what is wrong with a definition, with line and column."""
    pipeline = _read(file)
    jobs = sum(len(stage.jobs) for stage in pipeline.stages)
    click.echo(visible(f"{file}: pipeline {pipeline.name}, {len(pipeline.stages)} stages, {jobs} jobs"))


@main.command()
@_FILE
def plan(file: Path) -> None:
    """Show in which order a definition will run."""
    click.echo(visible(str(Plan.of(_read(file)))))


def _read(file: Path, repo: str | None = None, branch: str | None = None) -> Pipeline:
    try:
        return read_definition(file, completed(file, repo, branch))
    except DefinitionFileError as error:
        click.echo(visible(str(error)), err=True)
        sys.exit(_BAD_FILE)
    except OSError as error:
        click.echo(visible(f"{file}: {error.strerror}"), err=True)
        sys.exit(_BAD_FILE)


# --- runs -------------------------------------------------------------------------------------------------------


@main.command()
@_FILE
@click.option("--repo", help="The repository, as a directory or a URL.  [default: see above]")
@click.option("--commit", help="The commit to run on.  [default: the last one of the branch]")
@click.option("--branch", help="The branch to run on.  [default: see above]")
@click.option("--local/--no-local", help="Run on the files as they are, not as they were committed.")
@click.option(
    "--env", "variables", multiple=True, metavar="NAME=VALUE", help="A variable for all jobs; may be repeated."
)
@_DETACH
@click.pass_obj
def run(
    client: Client,
    file: Path,
    repo: str | None,
    commit: str | None,
    branch: str | None,
    local: bool,
    variables: tuple[str, ...],
    detach: bool,
) -> None:
    """Start a run, and follow it to its end.

    The repository and the branch are those that the definition names. Where it names none, they are the git repository
    around the file, and the branch or the commit that is checked out there. All jobs run on one commit.

    Ctrl-C asks whether to cancel the run; without a terminal the run goes on. Either way the exit code is 130 if it
    goes on.
    """
    pipeline = _read(file, repo, branch)
    commit = commit or pipeline.commit_hash
    with _problems():
        request = PipelineExecutionRequest(
            request_id=uuid4(),
            repo=pipeline.repo_url,
            branch=pipeline.branch,
            commit_hash=None if local else commit_of(pipeline.repo_url, pipeline.branch, commit),
            pipeline=pipeline,
            environment=_environment(variables),
            is_local=local,
        )
        _run(client, pipeline, request, detach=detach)


def _environment(variables: tuple[str, ...]) -> Environment:
    pairs = [each.partition("=") for each in variables]
    if not all(sign for _, sign, _ in pairs):
        raise click.UsageError("expected NAME=VALUE behind --env")
    return Environment({name: value for name, _, value in pairs})


def _run(client: Client, pipeline: Pipeline, request: PipelineExecutionRequest, *, detach: bool) -> NoReturn:
    """Start a run, and follow it to its end if that is wanted."""
    started = _started(client, request)
    click.echo(f"run {started.run_number} of {visible(pipeline.name)}: {started.execution_id}")
    if detach:
        sys.exit(0)
    client = client.patient(_FOLLOWING)
    snapshot = _followed(client, pipeline, started)
    for name, record in failed_jobs(client, pipeline, started, snapshot):
        _show_end(name, record)
    sys.exit(0 if snapshot.run.status is ExecutionStatus.SUCCESS else _FAILED)


@main.command()
@click.argument("execution_id", type=click.UUID)
@_DETACH
@click.pass_obj
def rerun(client: Client, execution_id: UUID, detach: bool) -> None:
    """Run once more what a run was for: its definition, its branch, its commit and its variables."""
    with _problems():
        before = client.execution(execution_id)
        _run(client, before.pipeline, request_again(before), detach=detach)


def _started(client: Client, request: PipelineExecutionRequest) -> PipelineExecutionResponse:
    try:
        return client.execute(request)
    except KeyboardInterrupt:
        click.echo("interrupted; it is not known whether the run has started", err=True)
        sys.exit(_LEFT)


def _followed(client: Client, pipeline: Pipeline, started: PipelineExecutionResponse) -> Snapshot:
    """The run at its end. When interrupted, ask what is to become of it; when interrupted again, leave it."""
    with suppress(KeyboardInterrupt):
        try:
            return _follow(client, pipeline, started)
        except KeyboardInterrupt:
            if _wants_to_cancel():
                client.cancel(started.execution_id)
                return _follow(client, pipeline, started)
    click.echo(f"it goes on; to see how: status {started.execution_id}", err=True)
    sys.exit(_LEFT)


def _wants_to_cancel() -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    click.echo("\nCancel the run? Otherwise it goes on. [y/N]: ", nl=False, err=True)
    try:
        # Not by readline, which at times does not hear of a Ctrl-C.
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        return False


def _follow(client: Client, pipeline: Pipeline, started: PipelineExecutionResponse) -> Snapshot:
    out = console()
    snapshots = follow(client, pipeline, started)
    last = next(snapshots)
    if not out.is_terminal:
        _echo(changes(None, last))
        for snapshot in snapshots:
            _echo(changes(last, snapshot))
            last = snapshot
        return last

    def view() -> Table:
        note = "the Backend does not answer; asking again" if client.is_silent else ""
        return run_table(last, now(), height=out.height, note=note)

    with Live(get_renderable=view, console=out):
        for snapshot in snapshots:
            last = snapshot
    return last


def _echo(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


def _show_end(name: str, record: JobExecutionRecord) -> None:
    lines = visible(record.logs).splitlines()
    more = f", the last {_LAST_LINES} of {len(lines)} lines; all: logs {record.execution_id}"
    click.echo(f"\n--- {visible(name)} failed{more if len(lines) > _LAST_LINES else ''}")
    _echo(iter(lines[-_LAST_LINES:]))


@main.command()
@click.argument("execution_id", type=click.UUID)
@click.pass_obj
def status(client: Client, execution_id: UUID) -> None:
    """Show how a run is doing. It is well to ask: the exit code is 0 whatever the answer is."""
    with _problems():
        _show_status(client.status(execution_id))


@main.command()
@click.argument("execution_id", type=click.UUID)
@click.pass_obj
def cancel(client: Client, execution_id: UUID) -> None:
    """Cancel a run. What is running is stopped by its Workers, so the run may end a moment later."""
    with _problems():
        _show_status(client.cancel(execution_id))


def _show_status(response: PipelineExecutionResponse) -> None:
    click.echo(f"run {response.run_number}: {response.status.value}")


# --- what they did ----------------------------------------------------------------------------------------------


@main.command()
@click.argument("id", type=click.UUID)
@click.argument("job", required=False)
@click.option("--follow", "follows", is_flag=True, help="Go on until the job has ended.")
@click.option("--events", is_flag=True, help="Show what the Backend and the Workers logged about the run instead.")
@click.pass_obj
def logs(client: Client, id: UUID, job: str | None, follows: bool, events: bool) -> None:
    """Show the output of a job: of a job execution by its id, or of a run by its id and the job's name."""
    with _problems():
        if events:
            for log in client.execution_logs(id):
                click.echo(visible(f"{log.timestamp.isoformat()} {log.log_text}").rstrip("\n"))
            return
        _show_log(client, id if job is None else _job_of(client.execution(id), job), follows=follows)


def _job_of(run: PipelineExecution, name: str) -> UUID:
    """The execution of the job of a name."""
    found = {each.job.name: each.id for stage in run.stages for each in stage.jobs}
    if name not in found:
        raise click.UsageError(visible(f"the run has no job {name}; it has {', '.join(found)}"))
    return found[name]


def _show_log(client: Client, job_execution_id: UUID, *, follows: bool) -> None:
    after = 0
    if follows:
        client = client.patient(_FOLLOWING)
    while True:
        for page in client.log_pages(job_execution_id, after):
            click.echo(visible(page.logs), nl=False)
            after = page.last_sequence
        if not follows or page.status.is_terminal:
            return
        time.sleep(0.5)


@main.command()
@click.argument("execution_id", type=click.UUID)
@click.option("--download", type=click.Path(path_type=Path, file_okay=False), help="Write them below this directory.")
@click.pass_obj
def artifacts(client: Client, execution_id: UUID, download: Path | None) -> None:
    """List what the jobs of a run left: job, size in bytes, SHA-256 and path."""
    with _problems():
        for stage in client.execution(execution_id).stages:
            for each in stage.jobs:
                for left in client.artifacts(each.id).artifacts:
                    click.echo(visible(f"{each.job.name}\t{left.size}\t{left.sha256}\t{left.path}"))
                    if download is not None:
                        target = download / quote(each.job.name, safe=" ") / left.path
                        target.parent.mkdir(parents=True, exist_ok=True)
                        client.download(left, target)


@main.command()
@click.argument("pipeline")
@click.option("--stage", help="Report on this stage.")
@click.option("--job", help="Report on this job of the stage.")
@click.option("--run", "run_number", type=int, help="Only runs of this number.")
@click.option(
    "--status",
    "status_",
    type=click.Choice([each.value for each in ExecutionStatus], case_sensitive=False),
    help="Only runs that ended, or are, like this.",
)
@click.option("--limit", default=20, help="How many to show, 1 to 1000.")
@click.option("--cursor", help="Where the page before said that the next one starts.")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", help="How to show it.")
@click.pass_obj
def report(
    client: Client, /, pipeline: str, stage: str | None, job: str | None, status_: str | None, format_: str, **rest: Any
) -> None:
    """Report on the runs of a pipeline, a stage or a job, newest first."""
    with _problems():
        wanted = None if status_ is None else ExecutionStatus[status_]
        request = ReportRequest(pipeline_name=pipeline, stage_name=stage, job_name=job, status=wanted, **rest)
        if format_ == "json":
            # To the byte what the contract says, and readable on a terminal.
            click.echo(client.report_bytes(request), nl=sys.stdout.isatty())
            return
        page = client.report(request)
        console().print(report_table(page))
        if page.next_cursor is not None:
            click.echo(f"more: --cursor {page.next_cursor}")


@contextmanager
def _problems() -> Iterator[None]:
    """Say in one message what is wrong, and end."""
    try:
        yield
    except (ContractError, RepositoryError) as error:
        click.echo(visible(str(error)), err=True)
        sys.exit(_BAD_FILE)
    except BackendError as error:
        click.echo(visible(str(error)), err=True)
        sys.exit(_NO_BACKEND)
    except KeyboardInterrupt:
        sys.exit(_LEFT)


if __name__ == "__main__":
    main()
