"""The command line: ``python -m cicd_system.cli``."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import click

from cicd_common import ContractError, ExecutionStatus, converter
from cicd_common.api.request import PipelineExecutionRequest, ReportRequest
from cicd_common.api.response import PipelineExecutionResponse
from cicd_common.logging import configure
from cicd_common.model import Pipeline, PipelineExecution, Plan
from cicd_common.values import Environment

from ..again import request_again
from ..git import RepositoryError, commit_of
from ..options import SECONDS, maskable
from .client import BackendError, Client
from .completion import COMPLETE, PROGRAM, completion, names_of_pipelines
from .definition import DefinitionFileError, read_definition
from .repository import completed
from .running import FOLLOWING, LEFT, start_run
from .showing import console, report_table, runs_table, visible

_BAD_FILE, _NO_BACKEND = 2, 3

_DETACH = click.option("--detach", is_flag=True, help="Print the id of the run and do not follow it.")
_REQUEST_ID = click.option("--request-id", type=click.UUID, help="Repeat a request whose answer was lost.")
_FILE = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@click.group(context_settings={"show_default": True})
@click.option(
    "--backend",
    envvar="CICD_BACKEND",
    show_envvar=True,
    default="http://127.0.0.1:8000",
    help="The URL of the Backend.",
)
@click.option("--patience", default=10.0, type=SECONDS, help="Seconds to repeat a request that is not answered.")
@click.pass_context
def main(context: click.Context, backend: str, patience: float) -> None:
    """Start and follow runs, and show their reports, logs and artifacts.

    The Backend's token is in the environment variable CICD_TOKEN. Exit codes: 0 success, 1 the run failed or was
    canceled, 2 the command line or the file is wrong, 3 the Backend does not answer or refuses, 130 interrupted.
    """
    token = os.environ.get("CICD_TOKEN") or None
    configure(service="cli", level="WARNING", secrets=maskable(token or ""))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # Context managers restore the terminal.
    # A stream that the caller has closed is None.
    sys.stdin, sys.stdout, sys.stderr = (
        stream or open(os.devnull, "r+")  # noqa: SIM115 - It is used to the end of the process.
        for stream in (sys.stdin, sys.stdout, sys.stderr)
    )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # Characters that the terminal cannot show.
    try:
        context.obj = context.with_resource(Client(backend, token, patience=patience))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


main.add_command(completion)


# --- definitions ------------------------------------------------------------------------------------------------


@main.command()
@_FILE
def check(file: Path) -> None:
    """Show the problems of a definition, with line and column."""
    pipeline = _read(file)
    jobs = sum(len(stage.jobs) for stage in pipeline.stages)
    click.echo(visible(f"{file}: pipeline {pipeline.name}, {len(pipeline.stages)} stages, {jobs} jobs"))


@main.command()
@_FILE
def plan(file: Path) -> None:
    """Show the order in which the jobs of a definition run."""
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
@click.option("--local/--no-local", help="Use the files as they are, also uncommitted ones.")
@click.option(
    "--env", "variables", multiple=True, metavar="NAME=VALUE", help="A variable for all jobs; may be repeated."
)
@_REQUEST_ID
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
    request_id: UUID | None,
    detach: bool,
) -> None:
    """Start a run, and follow it to its end.

    The definition names the repository and the branch. If it does not, they are the git repository around the file, and
    the branch or the commit that is checked out there. All jobs run on one commit.

    Ctrl-C asks whether to cancel the run; without a terminal the run continues. The exit code is 130 if it continues.
    """
    pipeline = _read(file, repo, branch)
    commit = commit or pipeline.commit_hash
    with _problems():
        request = PipelineExecutionRequest(
            request_id=request_id or uuid4(),
            repo=pipeline.repo_url,
            branch=pipeline.branch,
            commit_hash=None if local else commit_of(pipeline.repo_url, pipeline.branch, commit),
            pipeline=pipeline,
            environment=_environment(variables),
            is_local=local,
        )
        sys.exit(start_run(client, pipeline.name, request, detach=detach))


def _environment(variables: tuple[str, ...]) -> Environment:
    pairs = [each.partition("=") for each in variables]
    if not all(sign for _, sign, _ in pairs):
        raise click.UsageError("expected NAME=VALUE behind --env")
    return Environment({name: value for name, _, value in pairs})


@main.command()
@click.argument("execution_id", type=click.UUID)
@_REQUEST_ID
@_DETACH
@click.pass_obj
def rerun(client: Client, execution_id: UUID, request_id: UUID | None, detach: bool) -> None:
    """Start a run with the same definition, branch, commit and variables as an earlier run."""
    with _problems():
        before = client.execution(execution_id)
        sys.exit(start_run(client, before.pipeline.name, request_again(before, request_id), detach=detach))


@main.command()
@click.argument("execution_id", type=click.UUID)
@click.pass_obj
def status(client: Client, execution_id: UUID) -> None:
    """Show the status of a run. The exit code is 0 for every status."""
    with _problems():
        _show_status(client.status(execution_id))


@main.command()
@click.argument("execution_id", type=click.UUID)
@click.pass_obj
def cancel(client: Client, execution_id: UUID) -> None:
    """Cancel a run. Workers stop its running jobs, so the run may end a moment later."""
    with _problems():
        _show_status(client.cancel(execution_id))


@main.command()
@click.argument("execution_id", type=click.UUID)
@click.pass_obj
def explain(client: Client, execution_id: UUID) -> None:
    """Say why a run has its status: what it waits for, or which jobs made it fail."""
    with _problems():
        click.echo(visible(client.execution(execution_id).explain().text))


def _show_status(response: PipelineExecutionResponse) -> None:
    click.echo(f"run {response.run_number}: {response.status.value}")


# --- what they did ----------------------------------------------------------------------------------------------


@main.command()
@click.argument("id", type=click.UUID)
@click.argument("job", required=False)
@click.option("--follow", "follows", is_flag=True, help="Continue until the job has ended.")
@click.option("--events", is_flag=True, help="Show the logs of the Backend and the Workers about the run instead.")
@click.pass_obj
def logs(client: Client, id: UUID, job: str | None, follows: bool, events: bool) -> None:
    """Show the output of a job, by the id of the job execution, or by the id of the run and the name of the job."""
    with _problems():
        if events:
            for log in client.execution_logs(id):
                click.echo(visible(f"{log.timestamp.isoformat()} {log.log_text}").rstrip("\n"))
            return
        _show_log(client, id if job is None else _job_of(client.execution(id), job), follows=follows)


def _job_of(run: PipelineExecution, name: str) -> UUID:
    """The id of the execution of a job."""
    found = {each.job.name: each.id for stage in run.stages for each in stage.jobs}
    if name not in found:
        raise click.UsageError(visible(f"the run has no job {name}; it has {', '.join(found)}"))
    return found[name]


def _show_log(client: Client, job_execution_id: UUID, *, follows: bool) -> None:
    after = 0
    if follows:
        client.patience = max(client.patience, FOLLOWING)
    while True:
        for page in client.log_pages(job_execution_id, after):
            click.echo(visible(page.logs), nl=False)
            after = page.last_sequence
        if not follows or page.status.is_terminal:
            return
        time.sleep(0.5)


@main.command()
@click.argument("execution_id", type=click.UUID)
@click.option("--download", type=click.Path(path_type=Path, file_okay=False), help="Write the files to this directory.")
@click.pass_obj
def artifacts(client: Client, execution_id: UUID, download: Path | None) -> None:
    """List the artifacts of a run: job, size in bytes, SHA-256 and path."""
    with _problems():
        for stage in client.execution(execution_id).stages:
            for each in stage.jobs:
                for left in client.artifacts(each.id).artifacts:
                    path = left.path.translate({ord("\n"): "\\n", ord("\t"): "\\t"})
                    click.echo(visible(f"{each.job.name}\t{left.size}\t{left.sha256}\t{path}"))
                    if download is not None:
                        target = download / _folder(each.job.name) / left.path
                        target.parent.mkdir(parents=True, exist_ok=True)
                        client.fetch(left, target)


def _folder(name: str) -> str:
    """The name of a job as the name of one folder."""
    return name.replace(".", "%2E") if name in (".", "..") else quote(name, safe=" ")


@main.command()
@click.argument("pipeline", required=False, shell_complete=names_of_pipelines)
@click.pass_obj
def runs(client: Client, pipeline: str | None) -> None:
    """Show the last runs of a pipeline, newest first; without its name, the last run of each pipeline."""
    with _problems():
        if pipeline is None:
            console().print(runs_table(client.runs()))
        else:
            console().print(report_table(client.report(ReportRequest(pipeline_name=pipeline))))


@main.command()
@click.argument("pipeline", shell_complete=names_of_pipelines)
@click.option("--stage", help="Report on this stage.")
@click.option("--job", help="Report on this job of the stage.")
@click.option("--run", "run_number", type=int, help="Only runs of this number.")
@click.option(
    "--status",
    "status_",
    type=click.Choice([each.value for each in ExecutionStatus], case_sensitive=False),
    help="Only runs with this status.",
)
@click.option("--limit", default=20, help="How many to show, 1 to 1000.")
@click.option("--cursor", help="The cursor of the next page, from the page before.")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", help="How to show it.")
@click.pass_obj
def report(
    client: Client, /, pipeline: str, stage: str | None, job: str | None, status_: str | None, format_: str, **rest: Any
) -> None:
    """Report on the runs of a pipeline, a stage or a job, newest first."""
    with _problems():
        wanted = None if status_ is None else ExecutionStatus[status_]
        request = ReportRequest(pipeline_name=pipeline, stage_name=stage, job_name=job, status=wanted, **rest)
        page = client.report(request)
        if format_ == "json":
            # To the byte what the contract says, and readable on a terminal.
            click.echo(converter.dumps(page), nl=sys.stdout.isatty())
            return
        console().print(report_table(page))
        if page.next_cursor is not None:
            click.echo(f"more: --cursor {page.next_cursor}")


@contextmanager
def _problems() -> Iterator[None]:
    """Print an error and exit with its code."""
    try:
        yield
    except (ContractError, RepositoryError) as error:
        click.echo(visible(str(error)), err=True)
        sys.exit(_BAD_FILE)
    except BackendError as error:
        click.echo(visible(str(error)), err=True)
        sys.exit(_NO_BACKEND)
    except KeyboardInterrupt:
        sys.exit(LEFT)
    except BrokenPipeError:
        raise  # click ends without an error.
    except OSError as error:
        click.echo(visible(f"cannot be written: {error.filename or 'the output'}: {error.strerror}"), err=True)
        sys.exit(_BAD_FILE)


if __name__ == "__main__":
    main(prog_name=PROGRAM, complete_var=COMPLETE)
