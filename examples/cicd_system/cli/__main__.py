"""The command line: ``python -m cicd_system.cli``."""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import closing, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import click

from cicd_common import ContractError, ExecutionStatus, converter
from cicd_common.api.request import PipelineExecutionRequest, ReportRequest
from cicd_common.logging import configure
from cicd_common.model import Plan
from cicd_common.values import Environment

from ..git import RepositoryError, commit_of, is_remote
from ..messages import rerun_request
from ..options import maskable, setting
from .client import BackendError, Client
from .definition import read_definition
from .run import LEFT, jobs_of, show_log, start_run
from .tables import console, report_table, runs_table, visible
from .yaml_reading import FileError

_BAD_USE, _NO_BACKEND = 2, 3

_DETACH = click.option("--detach", is_flag=True, help="Print the id of the run and do not follow it.")
_REQUEST_ID = click.option("--request-id", type=click.UUID, help="Repeat a request whose answer was lost.")
_FILE = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))


def _names_of_pipelines(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of pipelines for a shell; empty if the Backend does not answer at once."""
    url, token = context.find_root().params["backend"], os.environ.get("CICD_TOKEN")
    with suppress(BackendError, ValueError), closing(Client(url, token, patience=0)) as client:
        names = [each.pipeline_name for each in client.runs().reports]
        return [name for name in names if name.startswith(incomplete)]
    return []


def _find_run(context: click.Context, _: click.Parameter, value: str) -> UUID:
    """The id of a run that is given by its id, its pipeline and number, or its pipeline alone."""
    with suppress(ValueError):
        return UUID(value)
    match = re.fullmatch("(.+)#([1-9][0-9]{0,17})", value)
    name, number = (match[1], int(match[2])) if match else (value, None)
    report = context.obj.report(ReportRequest(pipeline_name=name, run_number=number, limit=1))
    if not report.executions:
        raise click.UsageError(visible(f"there is no run {value}"))
    found: UUID = report.executions[0].execution_id
    return found


_RUN = click.argument("execution_id", metavar="RUN", callback=_find_run, shell_complete=_names_of_pipelines)


class _Group(click.Group):
    """Commands whose errors are printed without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ContractError, FileError, RepositoryError) as error:
            code, text = _BAD_USE, str(error)
        except BackendError as error:
            code, text = _NO_BACKEND, str(error)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(LEFT) from None
        except BrokenPipeError:
            raise  # click ends without an error.
        except OSError as error:
            code, text = _BAD_USE, f"{error.filename or 'the output'}: {error.strerror}"
        click.echo(visible(text), err=True)
        raise click.exceptions.Exit(code)


@click.group(cls=_Group, context_settings={"show_default": True})
@setting("--backend", default="http://127.0.0.1:8000", help="The URL of the Backend.")
@click.option(
    "--patience", default=10, type=click.IntRange(0), help="Seconds to repeat a request that is not answered."
)
@click.pass_context
def main(context: click.Context, backend: str, patience: int) -> None:
    """Start and follow runs, and show their reports, logs and artifacts.

    The Backend's token is in the environment variable CICD_TOKEN. Exit codes: 0 success, 1 the run failed or was
    canceled, 2 the command line or the file is wrong, 3 the Backend does not answer or refuses, 130 interrupted.

    RUN is the id of a run, PIPELINE#NUMBER, or PIPELINE for its last run.

    Completion in bash, zsh or fish: eval "$(_CICD_COMPLETE=bash_source cicd)".
    """
    token = os.environ.get("CICD_TOKEN") or None
    configure(service="cli", level="WARNING", secrets=maskable(token or ""))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # Context managers restore the terminal.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # Characters that the terminal cannot show.
    try:
        context.obj = context.with_resource(closing(Client(backend, token, patience=patience)))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@main.command()
@_FILE
def check(file: Path) -> None:
    """Show the problems of a definition, with line and column."""
    pipeline = read_definition(file)
    jobs = sum(len(stage.jobs) for stage in pipeline.stages)
    click.echo(visible(f"{file}: pipeline {pipeline.name}, {len(pipeline.stages)} stages, {jobs} jobs"))


@main.command()
@_FILE
def plan(file: Path) -> None:
    """Show the order in which the jobs of a definition run."""
    click.echo(visible(str(Plan.of(read_definition(file)))))


@main.command()
@_FILE
@click.option("--repo", help="The repository, as a directory or a URL.  [default: see above]")
@click.option("--commit", help="The commit to run on.  [default: the last one of the branch]")
@click.option("--branch", help="The branch to run on.  [default: see above]")
@click.option("--local", is_flag=True, help="Use the files as they are, also uncommitted ones.")
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="A variable for all jobs; repeatable.")
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
    pipeline = read_definition(file, repo, branch)
    if local and (commit is not None or is_remote(pipeline.repo_url)):
        raise click.UsageError("expected --local with a directory as the repository and without --commit")
    if commit is None:
        commit = pipeline.commit_hash
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
@_RUN
@_REQUEST_ID
@_DETACH
@click.pass_obj
def rerun(client: Client, execution_id: UUID, request_id: UUID | None, detach: bool) -> None:
    """Start a run with the same definition, branch, commit and variables as an earlier run."""
    before = client.execution(execution_id)
    sys.exit(start_run(client, before.pipeline.name, rerun_request(before, request_id), detach=detach))


@main.command()
@_RUN
@click.pass_obj
def status(client: Client, execution_id: UUID) -> None:
    """Show the status of a run. The exit code is 0 for every status."""
    response = client.status(execution_id)
    click.echo(f"run {response.run_number}: {response.status.value}")


@main.command()
@_RUN
@click.pass_obj
def cancel(client: Client, execution_id: UUID) -> None:
    """Cancel a run. Workers stop its running jobs, so the run may end a moment later."""
    response = client.cancel(execution_id)
    click.echo(f"run {response.run_number}: {response.status.value}")


@main.command()
@_RUN
@click.pass_obj
def explain(client: Client, execution_id: UUID) -> None:
    """Say why a run has its status: what it waits for, or which jobs made it fail."""
    click.echo(visible(client.execution(execution_id).explain().text))


@main.command()
@_RUN
@click.argument("job", required=False)
@click.option("--follow", is_flag=True, help="Continue until the jobs have ended.")
@click.option("--events", is_flag=True, help="Show the logs of the Backend and the Workers about the run instead.")
@click.pass_obj
def logs(client: Client, execution_id: UUID, job: str | None, follow: bool, events: bool) -> None:
    """Show the output of a job of a run, or that of all its jobs, each below its name."""
    if events and (job or follow):
        raise click.UsageError("expected --events without a job and without --follow")
    if events:
        for log in client.execution_logs(execution_id):
            click.echo(visible(f"{log.timestamp.isoformat()} {log.log_text}").rstrip("\n"))
        return
    jobs = {each.job.name: each for each in jobs_of(client.execution(execution_id))}
    if job is not None and job not in jobs:
        raise click.UsageError(visible(f"the run has no job {job}; it has {', '.join(jobs)}"))
    for name in jobs if job is None else [job]:
        if job is None:
            click.echo(visible(f"\n--- {name}"))
        show_log(client, jobs[name].id, follow=follow)


@main.command()
@_RUN
@click.option("--download", type=click.Path(path_type=Path, file_okay=False), help="Write the files to this directory.")
@click.pass_obj
def artifacts(client: Client, execution_id: UUID, download: Path | None) -> None:
    """List the artifacts of a run: job, size in bytes, SHA-256 and path."""
    for execution in jobs_of(client.execution(execution_id)):
        name = execution.job.name
        # A name of one folder that is not hidden: the job may be called ".." or ".git".
        folder = re.sub(r"^\.|[%/]", lambda found: f"%{ord(found[0]):X}", name)
        for artifact in client.artifacts(execution.id).artifacts:
            path = artifact.path.translate({ord("\n"): "\\n", ord("\t"): "\\t"})
            click.echo(visible(f"{name}\t{artifact.size}\t{artifact.sha256}\t{path}"))
            if download is not None:
                target = download / folder / artifact.path
                target.parent.mkdir(parents=True, exist_ok=True)
                client.fetch(artifact, target)


@main.command()
@click.argument("pipeline", required=False, shell_complete=_names_of_pipelines)
@click.pass_obj
def runs(client: Client, pipeline: str | None) -> None:
    """Show the last runs of a pipeline, newest first; without its name, the last run of each pipeline."""
    if pipeline is None:
        console().print(runs_table(client.runs()))
    else:
        console().print(report_table(client.report(ReportRequest(pipeline_name=pipeline))))


@main.command()
@click.argument("pipeline_name", metavar="PIPELINE", shell_complete=_names_of_pipelines)
@click.option("--stage", "stage_name", help="Report on this stage.")
@click.option("--job", "job_name", help="Report on this job of the stage.")
@click.option("--run", "run_number", type=int, help="Only runs of this number.")
@click.option("--status", type=click.Choice(ExecutionStatus, case_sensitive=False), help="Only runs with this status.")
@click.option("--limit", default=20, help="How many to show, 1 to 1000.")
@click.option("--cursor", help="The cursor of the next page, from the page before.")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", help="How to show it.")
@click.pass_obj
def report(client: Client, /, format_: str, **wanted: Any) -> None:
    """Report on the runs of a pipeline, a stage or a job, newest first."""
    page = client.report(ReportRequest(**wanted))
    if format_ == "json":
        # To the byte what the contract says, and readable on a terminal.
        click.echo(converter.dumps(page), nl=console().is_terminal)
        return
    console().print(report_table(page))
    if page.next_cursor is not None:
        click.echo(f"more: --cursor {page.next_cursor}")


if __name__ == "__main__":
    main(prog_name="cicd")
