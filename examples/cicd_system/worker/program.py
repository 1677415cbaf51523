"""The Worker as a program, with its options."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import celery.apps.worker
import celery.worker.state
import click
from celery import signals
from celery.exceptions import Reject

from cicd_common.api.request import JobExecutionRequest
from cicd_common.logging import configure, execution_context, get_logger

from ..job_queue import TASK, WORKER_OPTIONS, JobQueue
from ..log_shipping import shipping_logs
from ..options import passwords_in, queue_options, setting, with_log_level
from .attempt import run_job
from .backend_client import BackendClient, DeniedError, GivenUpError, RefusedError
from .directory import own_directory
from .leaving import Leaving, LeavingError
from .settings import Settings, job_environment, secrets_in, unmaskable_in

log = get_logger("cicd_system.worker")


@click.command("cicd-worker", context_settings={"show_default": True})
@click.pass_obj
@click.option("--name", default=lambda: f"{socket.gethostname()}-{os.getpid()}", help="The Worker's name.")
@click.option(
    "--workdir",
    type=click.Path(path_type=Path, exists=True, file_okay=False, writable=True),
    help="Where working copies are made.",
)
@click.option("--allow-host", is_flag=True, help="Run jobs with an image on this machine where there is no docker.")
@click.option("--grace", default=5.0, help="For how many seconds a job may go on after it was told to stop.")
@with_log_level
@setting("--backend", default="http://127.0.0.1:8000", help="The URL of the Backend.")
@queue_options
def _main(
    own: Mapping[str, str],
    name: str,
    workdir: Path | None,
    allow_host: bool,
    grace: float,
    log_level: str,
    backend: str,
    broker: str,
    queue: str,
    job_timeout: float,
    redeliver_after: float | None,
) -> None:
    """Run a Worker, which runs one job at a time.

    The bearer token of the Backend is in the environment variable CICD_TOKEN. What is in a variable CICD_SECRET_NAME is
    given as NAME to jobs that ask for it, and masked in all that they print. The first SIGTERM ends the Worker once its
    job has ended, the second one stops the job and gives it back.
    """
    token = own.get("CICD_TOKEN") or None
    if short := unmaskable_in(own):
        raise click.UsageError(f"too short to be masked, expected 8 characters or more: {', '.join(short)}")
    secrets = [*secrets_in(own).values(), *passwords_in(broker)]
    configure(service="worker", level=log_level, secrets=[*secrets, token] if token else secrets)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # It writes a line for each request.
    leaving = Leaving(_end_main_loop)
    try:
        jobs = JobQueue(broker, queue=queue, job_timeout=job_timeout, redeliver_after=redeliver_after)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--broker") from None
    client = BackendClient(backend, token, ending=leaving.at_once)
    with own_directory(workdir) as directory, shipping_logs(client.add_logs, RefusedError):
        settings = Settings(
            name=name,
            directory=directory,
            job_timeout=job_timeout,
            grace=grace,
            allow_host=allow_host,
            environment=job_environment(),
            secrets=secrets_in(own),
        )
        _register(jobs, client, settings, leaving)
        code = _start(jobs, name, leaving)
    client.close()
    sys.exit(code)


def run(own: Mapping[str, str]) -> None:
    """Run a Worker with the options of the command line.

    Args:
        own: The variables that are for the Worker alone.
    """
    given = {option.name: own[str(option.envvar)] for option in _main.params if own.get(str(option.envvar))}
    _main.main(prog_name="python -m cicd_system.worker", obj=own, default_map=given)


def _register(jobs: JobQueue, client: BackendClient, settings: Settings, leaving: Leaving) -> None:
    """Make the task of the queue the one that runs jobs."""

    @jobs.app.task(name=TASK, bind=True)  # type: ignore[untyped-decorator]  # Celery has no types.
    def run(_: Any, request: JobExecutionRequest) -> None:
        with execution_context(
            job_execution_id=request.job_execution_id,
            stage_execution_id=request.stage_execution_id,
            job_name=request.job_name,
            worker=settings.name,
        ):
            try:
                with leaving.job():
                    run_job(request, client, settings, ending=leaving.at_once)
            except (GivenUpError, LeavingError):
                log.warning("the Worker ends before the job does; another one takes it over")
                raise Reject(requeue=True) from None
            except DeniedError as error:
                log.critical("the Backend does not let this Worker in; it takes no more jobs", reason=str(error))
                leaving.fail()
                raise Reject(requeue=True) from None


class _Celery(celery.apps.worker.Worker):  # type: ignore[misc]  # Celery has no types.
    """Celery's program without what is for people at a terminal, and without signals of its own."""

    def on_start(self) -> None:
        """Say nothing, and leave signals to who runs it."""


def _start(jobs: JobQueue, name: str, leaving: Leaving) -> int:
    """Take jobs until a signal ends it.

    Returns:
        The exit code.
    """
    signals.setup_logging.connect(_leave_logging, weak=False)
    signals.worker_ready.connect(lambda **_: log.info("ready", worker=name), weak=False)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leaving.tell)
    worker = _Celery(app=jobs.app, hostname=f"cicd@{name}", **WORKER_OPTIONS)
    worker.start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # It does end.
    jobs.close()
    return worker.exitcode or int(leaving.has_failed)


def _end_main_loop() -> None:
    celery.worker.state.should_stop = 0  # The exit code.


def _leave_logging(**_: object) -> None:
    """Celery sets up logging unless somebody says that he does."""
