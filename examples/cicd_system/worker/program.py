"""The Worker as a program, with its options."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

import click

from cicd_common import ContractError, structure
from cicd_common.fields import Kind, Name
from cicd_common.logging import configure, execution_context, get_logger
from cicd_common.model import SCRIPT

from ..connection import DeniedError, NoAnswerError, RefusedError
from ..job_queue import Delivery, JobQueue
from ..log_shipping import shipping_logs
from ..options import maskable, passwords_in, queue_options, run_with, setting, with_log_level
from .attempt import Settings, run_job
from .backend_client import BackendClient
from .directory import UnfitError, check_room, worker_directory

log = get_logger("cicd_system.worker")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SECRET = "CICD_SECRET_"
_LOOK = 0.1  # Seconds between two looks for signals.


def _checked(value: str, type: Any) -> str:
    """A value of a type of the contract."""
    try:
        return str(structure(value, type))
    except ContractError as error:
        raise click.BadParameter(error.problems[0].message) from None


def _name(_: click.Context, __: click.Parameter, given: str) -> str:
    return _checked(given, Name)


def _kinds(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """The command for each kind."""
    kinds = {_checked(kind, Kind): command for kind, sign, command in (each.partition("=") for each in given) if sign}
    if len(kinds) < len(given) or SCRIPT in kinds:
        raise click.BadParameter(f"expected KIND=COMMAND, once for each kind but {SCRIPT}")
    return kinds


@click.command("cicd-worker", context_settings={"show_default": True})
@click.pass_obj
@click.option(
    "--name", default=lambda: f"{socket.gethostname()}-{os.getpid()}", callback=_name, help="The Worker's name."
)
@click.option(
    "--workdir",
    type=click.Path(path_type=Path, exists=True, file_okay=False, writable=True),
    help="The directory for working copies.",
)
@click.option("--allow-host", is_flag=True, help="Run jobs with an image on this machine if there is no docker.")
@click.option("--grace", default=5, type=click.IntRange(0), help="Seconds that a job may take to stop.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND=COMMAND",
    callback=_kinds,
    help="Run jobs of this kind, too, by a shell command that gets the request on its standard input; may be repeated.",
)
@with_log_level
@setting("--backend", default="http://127.0.0.1:8000", help="The URL of the Backend.")
@setting("--job-timeout", default=3600, type=click.IntRange(0), help="The time limit of a job, in seconds.")
@queue_options
def _main(
    own: Mapping[str, str],
    workdir: Path | None,
    log_level: str,
    backend: str,
    broker: str,
    queue: str,
    **options: Any,
) -> None:
    """Run a Worker, which runs one job at a time.

    The bearer token of the Backend is in the environment variable CICD_TOKEN. A job that lists the secret NAME gets the
    value of the variable CICD_SECRET_NAME, which is masked in its output. After SIGTERM the Worker stops its job, gives
    it back, and ends. After Ctrl-C it ends when its job has ended, and after a second Ctrl-C as after SIGTERM.
    """
    token = own.get("CICD_TOKEN") or None
    secrets = {name.removeprefix(_SECRET): value for name, value in own.items() if name.startswith(_SECRET)}
    if short := [f"{_SECRET}{name}" for name, value in secrets.items() if not maskable(value.strip())]:
        raise click.UsageError(f"too short to be masked, expected 8 characters or more: {', '.join(short)}")
    hidden = [*secrets.values(), *passwords_in(broker), *([token] if token else [])]
    configure(service="worker", level=log_level, secrets=hidden)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # It logs each request.
    leaving, at_once = Event(), Event()
    try:
        jobs = JobQueue(broker, queue=queue, kinds=[SCRIPT, *options["kinds"]])
        client = BackendClient(backend, token, ending=at_once)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with worker_directory(workdir) as directory, shipping_logs(client.add_logs, RefusedError):
        settings = Settings(directory=directory, secrets=secrets, **options)

        # Handlers may interrupt each other, so they must not need a lock. A signal that arrives just before a wait does
        # not end the wait, so the waits are short.
        received: SimpleQueue[int] = SimpleQueue()
        _handle_signals(lambda number, _: received.put(number))
        with ThreadPoolExecutor(1) as executor:
            work = executor.submit(_work, jobs, client, settings, leaving, at_once)
            while not work.done():
                with suppress(Empty):
                    number = received.get(timeout=_LOOK)
                    if number == signal.SIGTERM or leaving.is_set():
                        at_once.set()
                    leaving.set()
                    log.info("told to end", signal=signal.Signals(number).name)
        _handle_signals(signal.SIG_IGN)  # The Worker is ending.
        jobs.close()
    client.close()
    sys.exit(0 if work.result() else 1)


def _handle_signals(handler: Any) -> None:
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # As SIGHUP is after nohup.
            signal.signal(number, handler)


def run(own: Mapping[str, str]) -> None:
    """Run a Worker with its own variables and the options of the command line."""
    run_with(own, _main, "python -m cicd_system.worker")


def _work(jobs: JobQueue, client: BackendClient, settings: Settings, leaving: Event, at_once: Event) -> bool:
    """Run one job after the other until the Worker has to end. Returns False if it cannot run jobs."""
    log.info("ready", worker=settings.name)
    while (delivery := jobs.take(lambda: not leaving.is_set())) and not leaving.is_set():
        try:
            run_delivery(delivery, client, settings, at_once)
        except (DeniedError, UnfitError) as error:
            log.critical("this Worker takes no more jobs, since all would fail", reason=str(error))
            return False
    return True


def run_delivery(delivery: Delivery, client: BackendClient, settings: Settings, ending: Event) -> None:
    """Make an attempt at a job from the queue. It is removed from the queue when the Backend has answered the claim.

    When `ending` is set, the job is stopped and given back.

    Raises:
        DeniedError: The Backend refuses this Worker.
        UnfitError: No file can be written to the directory of the Worker.
    """
    request = delivery.request
    with execution_context(
        job_execution_id=request.job_execution_id,
        stage_execution_id=request.stage_execution_id,
        job_name=request.job_name,
        worker=settings.name,
    ):
        try:
            check_room(settings.directory)
            client.set_clock()
            run_job(request, client, settings, ending=ending, claimed=delivery.acknowledge)
        except NoAnswerError:
            log.warning("the Worker ends before the job does; another one takes it over")
            return
        except (DeniedError, UnfitError):
            raise
        except Exception:
            log.exception("the attempt at the job has failed")
        delivery.acknowledge()  # The claim may have been refused.
