"""Run the whole system on this machine for one pipeline: ``scripts/demo``."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from secrets import token_urlsafe
from tempfile import TemporaryDirectory
from threading import Event
from uuid import uuid4

import click

from cicd_common.model import Pipeline

from .cli.definition import read_definition
from .cli.tables import visible
from .cli.yaml_reading import FileError
from .job_queue import JobQueue

__all__ = ["main"]

_ROOT = Path(__file__).parents[2]
_PATIENCE = 60  # Seconds in which a program has to start.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE = 10  # Seconds in which a program has to end; a Worker gives a job 5 seconds to stop.
_TRIES = 5  # How often the queue is deleted until the broker answers in time.


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option("--postgres", help="The URL of a PostgreSQL database for the store; SQLite by default.")
@click.option("--broker", help="The URL of a broker, RabbitMQ or Redis; a file by default.")
@click.option("--stay", is_flag=True, help="Go on until Ctrl-C, so that the pages can be looked at.")
def main(file: Path | None, postgres: str | None, broker: str | None, stay: bool) -> None:
    """Run a pipeline, by default this project's own, on a system that is started for it and leaves nothing behind."""
    file = (file or _ROOT / "examples" / "pipelines" / "cicd-common.yaml").absolute()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # The context managers end the programs.
    try:
        pipeline = read_definition(file)
        introduction = (
            f"This starts a CI/CD system: a Backend and 2 Workers, on {'PostgreSQL' if postgres else 'SQLite'} and "
            f"{'the given broker' if broker else 'a file as the broker'}.\n"
            + visible(f"They run the pipeline {pipeline.name} from\n{file}.\n")
            + "The run is shown while it lasts, then the reports on it and its artifacts.\n"
            "In the end all is stopped, and nothing is left behind."
        )
        with TemporaryDirectory(prefix="cicd-demo-") as directory:
            click.echo(introduction)
            environment = _environment(directory, postgres, broker)
            with _system(Path(directory), environment) as url:
                code = _show_run(file, pipeline, url, environment, stay=stay)
    except FileError as error:
        click.echo(visible(str(error)), err=True)
        code = 2
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _environment(directory: str, postgres: str | None, broker: str | None) -> dict[str, str]:
    """The environment of the programs, with their settings. Those of another system are left out, but for secrets."""
    kept = re.compile("(?!CICD_)|CICD_SECRET_")
    return {
        **{name: value for name, value in os.environ.items() if kept.match(name)},
        # Jobs find the tools of the environment that runs this.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": str(_ROOT / "examples"),
        "CICD_TOKEN": token_urlsafe(),
        "CICD_STORE": postgres or f"sqlite:///{directory}/cicd.db",
        "CICD_ARTIFACTS": f"{directory}/artifacts",
        "CICD_BROKER": broker or f"sqla+sqlite:///{directory}/broker.db",
        "CICD_QUEUE": f"cicd-demo-{uuid4().hex[:12]}",
        "CICD_JOB_TIMEOUT": "600",
    }


def _show_run(file: Path, pipeline: Pipeline, url: str, environment: dict[str, str], *, stay: bool) -> int:
    """Run the pipeline and show what the CLI says about it. Returns the exit code of the run."""
    environment = {**environment, "CICD_BACKEND": url}
    click.echo(f"Its pages are at {url} for as long as it runs.")
    code = _cicd(environment, "run", str(file))
    if code not in (0, 1):  # The run has not ended.
        return code
    _cicd(environment, "report", pipeline.name)
    for stage in pipeline.stages:
        _cicd(environment, "report", pipeline.name, "--stage", stage.name)
    if any(job.artifacts for stage in pipeline.stages for job in stage.jobs):
        _cicd(environment, "artifacts", pipeline.name)
    if stay:
        with suppress(KeyboardInterrupt):
            click.echo(f"\nThe pages are at {url}\nThe token to sign in: {environment['CICD_TOKEN']}\nCtrl-C ends all.")
            Event().wait()
    return code


def _cicd(environment: dict[str, str], *arguments: str) -> int:
    """Run a command of the CLI in the foreground, and return its exit code."""
    click.secho(visible(f"\n$ scripts/cicd {shlex.join(arguments)}"), bold=True)
    process = subprocess.Popen([sys.executable, "-m", "cicd_system.cli", *arguments], env=environment)
    try:
        while True:
            # The CLI also gets the Ctrl-C, and asks what to do.
            with suppress(KeyboardInterrupt):
                return process.wait()
    finally:
        process.terminate()  # If it still runs, this program was interrupted.


@contextmanager
def _system(directory: Path, environment: dict[str, str]) -> Iterator[str]:
    """Start a Backend and 2 Workers, and yield the URL of the Backend. After the block, end them."""
    with ExitStack() as programs:
        programs.callback(_delete_queue, environment["CICD_BROKER"], environment["CICD_QUEUE"])
        program = partial(_program, directory, environment)
        programs.enter_context(program("backend", '"listening"', "--port", "0", "--url-file", "url"))
        url = (directory / "url").read_text()
        for name in ("worker-1", "worker-2"):
            flags = ("--backend", url, "--name", name, "--workdir", ".")
            programs.enter_context(program("worker", '"ready"', *flags))
        yield url


@contextmanager
def _program(directory: Path, environment: dict[str, str], module: str, ready: str, *flags: str) -> Iterator[None]:
    """Start a program and wait until its log contains the text `ready`. After the block, end it."""
    path = directory / f"{uuid4().hex}.log"
    process: subprocess.Popen[bytes] | None = None
    try:
        with path.open("wb") as log, _delaying_signals():
            process = subprocess.Popen(
                [sys.executable, "-m", f"cicd_system.{module}", *flags],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Only the CLI gets a Ctrl-C of the terminal.
            )
        deadline = time.monotonic() + _PATIENCE
        while ready not in path.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > deadline:
                last = path.read_text(errors="replace").splitlines()[-10:]
                raise click.ClickException("\n".join([f"the {module} did not start; its log ends:", *last]))
            time.sleep(0.05)
        yield
    finally:
        if process is not None:
            _end(process)


@contextmanager
def _delaying_signals() -> Iterator[None]:
    """Delay signals to the end of the block, so that they do not interrupt the start of a program."""
    delayed: list[int] = []
    handlers = {number: signal.signal(number, lambda number, _: delayed.append(number)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for late in delayed:
            signal.raise_signal(late)


def _end(process: subprocess.Popen[bytes]) -> None:
    for end in (process.terminate, process.kill):
        end()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
            return


def _delete_queue(broker: str, queue: str) -> None:
    for _ in range(_TRIES):
        # The broker may be slow or gone, and the errors of brokers have no common type.
        with suppress(Exception), closing(JobQueue(broker, queue=queue)) as jobs:
            jobs.delete()
            return


if __name__ == "__main__":
    main(prog_name="scripts/demo")
