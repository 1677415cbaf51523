"""Run the whole system on this machine for one pipeline: ``scripts/demo``."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from secrets import token_urlsafe
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any
from uuid import uuid4

import click

from cicd_common.api.request import ReportRequest
from cicd_common.model import Job, Pipeline
from cicd_common.store import ExecutionStore

from .cli.definition import DefinitionFileError, read_definition
from .cli.repository import completed
from .cli.showing import visible
from .job_queue import JobQueue

__all__ = ["main"]

_ROOT = Path(__file__).parents[2]
_WORKERS = 2
_PATIENCE = 60  # Seconds in which a program has to start.
_GRACE = 5  # Seconds in which a program has to end after each signal.


class StartError(Exception):
    """A program of the system did not start. The text is the end of its log."""


class _Part:
    """A process of the system, with its log in a file."""

    def __init__(self, module: str, name: str, *flags: str, directory: Path, environment: dict[str, str]) -> None:
        self.name = name
        self._log = directory / f"{name}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"cicd_system.{module}", *flags],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Only the CLI gets a Ctrl-C of the terminal.
            )

    def wait_for(self, said: str) -> None:
        """Wait until its log contains a text.

        Raises:
            StartError: The program ended before, or took too long.
        """
        deadline = time.monotonic() + _PATIENCE
        while said not in self._log.read_text(errors="replace"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                last = self._log.read_text(errors="replace").splitlines()[-10:]
                raise StartError("\n".join([f"the {self.name} did not start; its log ends:", *last]))
            time.sleep(0.05)

    def end(self) -> None:
        """Ask the program to end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    def wait(self) -> None:
        """Wait for the end of the program, and kill it if it takes too long."""
        for grace, hasten in ((_GRACE, self._process.terminate), (_GRACE, self._process.kill)):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
                return
            hasten()  # The second signal makes a Worker stop its job.
        self._process.wait()


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option("--postgres", help="The URL of a PostgreSQL database for the store; SQLite by default.")
@click.option("--broker", help="The URL of a broker, RabbitMQ or Redis; a file by default.")
@click.option("--stay", is_flag=True, help="Go on until Ctrl-C, so that the pages can be looked at.")
def main(file: Path | None, postgres: str | None, broker: str | None, stay: bool) -> None:
    """Run a pipeline, by default this project's own, on a system that is started for it and leaves nothing behind."""
    file = (file or _ROOT / "examples" / "pipelines" / "cicd-common.yaml").absolute()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    with TemporaryDirectory(prefix="cicd-demo-") as directory:
        try:
            code = _show(file, Path(directory), postgres, broker, stay=stay)
        except StartError as error:
            click.echo(error, err=True)
            code = 1
        except KeyboardInterrupt:
            code = 130
    sys.exit(code)


def _leave(number: int, _: object) -> None:
    sys.exit(128 + number)  # The context managers end the programs.


def _show(file: Path, directory: Path, postgres: str | None, broker: str | None, *, stay: bool) -> int:
    environment = _environment(directory, postgres, broker)
    try:
        pipeline = read_definition(file, completed(file))
    except DefinitionFileError as error:
        click.echo(visible(str(error)), err=True)
        return 2
    click.echo(visible(_introduction(file, pipeline, postgres, broker)))
    with _system(directory, environment) as url:
        click.echo(f"Its pages are at {url} for as long as it runs.")
        cicd = _Cli(environment | {"CICD_BACKEND": url})
        code = cicd("run", str(file))
        if code in (0, 1):  # The run has ended.
            cicd("report", pipeline.name)
            for stage in pipeline.stages:
                cicd("report", pipeline.name, "--stage", stage.name)
            _show_artifacts(pipeline, environment["CICD_STORE"])
            if stay:
                _stay(url, environment["CICD_TOKEN"])
        return code


def _stay(url: str, token: str) -> None:
    click.echo(f"\nThe pages are at {url}\nThe token to sign in: {token}\nCtrl-C ends all.")
    with contextlib.suppress(KeyboardInterrupt):
        Event().wait()


def _introduction(file: Path, pipeline: Pipeline, postgres: str | None, broker: str | None) -> str:
    """Say which programs are started and what is shown."""
    jobs = sum(len(stage.jobs) for stage in pipeline.stages)
    store = "PostgreSQL" if postgres else "SQLite"
    queue = "the given broker" if broker else "a file as the broker"
    return (
        f"This starts a CI/CD system: a Backend and {_WORKERS} Workers, on {store} and {queue}.\n"
        f"They run the pipeline {pipeline.name} (stages: {len(pipeline.stages)}, jobs: {jobs}) from\n"
        f"{file}.\n"
        "The run is shown while it lasts, then the reports on it and its artifacts.\n"
        "In the end all is stopped, and nothing is left behind."
    )


def _show_artifacts(pipeline: Pipeline, store_url: str) -> None:
    """List the artifacts of the jobs. No report has them, so they are read from the store."""
    with ExecutionStore(store_url) as store:
        for stage in pipeline.stages:
            for job in filter(_leaves_files, stage.jobs):
                asked = ReportRequest(pipeline_name=pipeline.name, stage_name=stage.name, job_name=job.name, limit=1000)
                # A shared store may have later runs of other definitions with the same name.
                started = [record for record in store.report(asked).executions if record.start_time is not None]
                for record in sorted(started, key=_start)[-1:]:
                    for artifact in store.artifacts(record.execution_id):
                        said = f"{artifact.path}, {artifact.size} bytes, sha256 {artifact.sha256}"
                        click.echo(visible(f"\nartifact of {job.name}: {said}"))


def _leaves_files(job: Job) -> bool:
    return bool(job.artifacts)


def _start(record: Any) -> datetime:
    start: datetime = record.start_time
    return start


class _Cli:
    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    def __call__(self, *arguments: str) -> int:
        """Run a command of the CLI in the foreground, and return its exit code."""
        click.secho(visible(f"\n$ python -m cicd_system.cli {shlex.join(arguments)}"), bold=True)
        process = subprocess.Popen([sys.executable, "-m", "cicd_system.cli", *arguments], env=self._environment)
        try:
            while True:
                # The CLI also gets the Ctrl-C, and asks what to do.
                with contextlib.suppress(KeyboardInterrupt):
                    return process.wait()
        finally:
            process.terminate()  # If it still runs, this program was interrupted.


def _environment(directory: Path, postgres: str | None, broker: str | None) -> dict[str, str]:
    bin_directory = str(Path(sys.executable).parent)
    return {
        **os.environ,
        # Jobs find the tools of the environment that runs this.
        "PATH": os.pathsep.join([bin_directory, os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "CICD_TOKEN": token_urlsafe(),
        "CICD_STORE": postgres or f"sqlite:///{directory}/cicd.db",
        "CICD_ARTIFACTS": f"{directory}/artifacts",
        "CICD_BROKER": broker or f"sqla+sqlite:///{directory}/broker.db",
        "CICD_QUEUE": f"cicd-demo-{uuid4().hex[:12]}",
        "CICD_JOB_TIMEOUT": "600",
    }


@contextlib.contextmanager
def _system(directory: Path, environment: dict[str, str]) -> Iterator[str]:
    """Start a Backend and Workers, and yield the URL of the Backend."""
    parts: list[_Part] = []

    def start(module: str, name: str, *flags: str, **more: str) -> _Part:
        part = _Part(module, name, *flags, directory=directory, environment=environment | more)
        parts.append(part)
        return part

    try:
        start("backend", "Backend", "--port", "0", "--url-file", "url").wait_for('"listening"')
        url = (directory / "url").read_text()
        workers = [
            start("worker", f"Worker {number}", "--name", f"worker-{number}", "--workdir", ".", CICD_BACKEND=url)
            for number in range(1, _WORKERS + 1)
        ]
        for worker in workers:
            worker.wait_for('"ready"')
        yield url
    finally:
        for part in reversed(parts):
            part.end()
        for part in reversed(parts):
            part.wait()
        _delete_queue(environment["CICD_BROKER"], environment["CICD_QUEUE"])


def _delete_queue(broker: str, queue: str) -> None:
    """Delete the queue of this system at the broker."""
    # The broker may be gone, and the errors of brokers have no common type.
    with contextlib.suppress(Exception), contextlib.closing(JobQueue(broker, queue=queue)) as jobs:
        jobs.delete()


if __name__ == "__main__":
    main(prog_name="scripts/demo")
