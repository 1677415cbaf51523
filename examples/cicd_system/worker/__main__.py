"""Run a Worker: ``python -m cicd_system.worker``."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
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
from ..options import passwords_in, queue_options, setting, with_log_level
from .attempt import run_job
from .backend_client import BackendClient, GivenUpError
from .directory import own_directory
from .leaving import Leaving, LeavingError
from .settings import Settings, job_environment, secrets_in, unmaskable_in

log = get_logger("cicd_system.worker")


@click.command(context_settings={"show_default": True})
@click.option("--name", default=lambda: f"{socket.gethostname()}-{os.getpid()}", help="The Worker's name.")
@click.option("--workdir", type=click.Path(path_type=Path, file_okay=False), help="Where working copies are made.")
@click.option("--allow-host", is_flag=True, help="Run jobs with an image on this machine where there is no docker.")
@click.option("--grace", default=5.0, help="For how many seconds a job may go on after it was told to stop.")
@with_log_level
@setting("--backend", default="http://127.0.0.1:8000", help="The URL of the Backend.")
@queue_options
def main(
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
    given to jobs as NAME, and masked in all that they print. The first SIGTERM ends the Worker once its job has ended,
    the second one stops the job; it is then delivered again.
    """
    token = os.environ.get("CICD_TOKEN") or None
    if short := unmaskable_in(os.environ):
        raise click.UsageError(f"too short to be masked, expected 8 characters or more: {', '.join(short)}")
    secrets = [*secrets_in(os.environ).values(), *passwords_in(broker)]
    configure(service="worker", level=log_level, secrets=[*secrets, token] if token else secrets)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # It writes a line for each request.
    leaving = Leaving(_end_main_loop)
    try:
        jobs = JobQueue(broker, queue=queue, job_timeout=job_timeout, redeliver_after=redeliver_after)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--broker") from None
    client = BackendClient(backend, token, ending=leaving.at_once)
    with own_directory(workdir) as directory:
        settings = Settings(
            name=name,
            directory=directory,
            job_timeout=job_timeout,
            grace=grace,
            allow_host=allow_host,
            environment=job_environment(),
            variables=("CI", *secrets_in(os.environ)),
        )
        _register(jobs, client, settings, leaving)
        code = _start(jobs, name, leaving)
    client.close()
    sys.exit(code)


def _register(jobs: JobQueue, client: BackendClient, settings: Settings, leaving: Leaving) -> None:
    """Make the task of the queue the one that runs jobs."""

    @jobs.app.task(name=TASK, bind=True)  # type: ignore[untyped-decorator]  # Celery has no types.
    def run(task: Any, request: JobExecutionRequest) -> None:
        redelivered = bool(task.request.delivery_info.get("redelivered"))
        with execution_context(
            job_execution_id=request.job_execution_id,
            stage_execution_id=request.stage_execution_id,
            job_name=request.job_name,
            worker=settings.name,
        ):
            try:
                with leaving.job():
                    run_job(request, client, settings, redelivered=redelivered, ending=leaving.at_once)
            except (GivenUpError, LeavingError):
                log.warning("the Worker ends before the job does; it is to be delivered again")
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
    return worker.exitcode or 0


def _end_main_loop() -> None:
    celery.worker.state.should_stop = 0  # The exit code.


def _leave_logging(**_: object) -> None:
    """Celery sets up logging unless somebody says that he does."""


if __name__ == "__main__":
    main(prog_name="cicd-worker")
