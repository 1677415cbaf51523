"""The program of a Backend: its options, and what it starts."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import click

from cicd_common import ContractError
from cicd_common.artifacts import ArtifactStore
from cicd_common.logging import configure, get_logger
from cicd_common.store import ExecutionStore, StoreError

from ..git import commit_of
from ..job_queue import JobQueue
from ..log_shipping import shipping_logs
from ..options import passwords_in, queue_options, run_with, setting, with_log_level
from .app import create_app
from .dispatch import Dispatcher
from .guard import is_loopback
from .publish import Publisher, sending_events
from .repeating import repeating
from .server import listening, make_server
from .traces import tracing

__all__ = ["run"]

log = get_logger("cicd_system.backend")


@click.command(context_settings={"show_default": True})
@click.pass_obj
@click.option("--host", default="127.0.0.1", help="The address to listen on.")
@click.option("--port", default=8000, type=click.IntRange(0, 65535), help="The port to listen on; 0 takes a free one.")
@click.option("--url-file", type=click.Path(path_type=Path, dir_okay=False), help="A file to write the address to.")
@with_log_level
@setting("--store", default="sqlite:///cicd.db", help="The URL of the store.")
@setting("--lease", default=60, type=click.IntRange(1), help="Seconds without an update until a Worker loses its job.")
@setting(
    "--resend", default=300, type=click.IntRange(1), help="Seconds until a job that no Worker claims is sent again."
)
@setting(
    "--artifacts", default="cicd-artifacts", help="Where the contents of artifacts are stored: a directory or a URL."
)
@setting("--events", metavar="URL", help="The receiver of events of runs, as CDEvents over HTTP.")
@setting("--events-source", default="cicd-backend", help="The source of the events, as a URI reference.")
@queue_options
def _main(
    own: Mapping[str, str],
    host: str,
    port: int,
    url_file: Path | None,
    log_level: str,
    store: str,
    lease: int,
    resend: int,
    artifacts: str,
    events: str | None,
    events_source: str,
    broker: str,
    queue: str,
) -> None:
    """Run a Backend.

    The bearer token is in the environment variable CICD_TOKEN. Without a token the Backend listens on the loopback
    only. CICD_EVENTS_TOKEN is the bearer token for the receiver of events. If OTEL_EXPORTER_OTLP_ENDPOINT names a
    collector, the Backend sends a trace of each run.
    """
    token = own.get("CICD_TOKEN") or None
    events_token = own.get("CICD_EVENTS_TOKEN") or None
    secrets = [*passwords_in(store, broker, events or ""), *filter(None, (token, events_token))]
    configure(service="backend", level=log_level, secrets=secrets)
    _check_access(token, host)
    try:
        with (
            tracing() as traces,
            sending_events(events, source=events_source, token=events_token) as send,
            ExecutionStore(store, lease_seconds=lease, resend_seconds=resend, outbox=bool(send or traces)) as opened,
            closing(JobQueue(broker, queue=queue)) as jobs,
            listening(host, port) as listener,
        ):
            put = jobs.put if traces is None else lambda job: jobs.put(traces.with_parent(job))
            dispatcher = Dispatcher(opened, put)
            publisher = Publisher(opened, send, traces)
            contents = ArtifactStore(artifacts)
            server = make_server(
                create_app(opened, contents, dispatcher.send, token=token, commit_of=commit_of, state=publisher.state)
            )
            _announce(listener, url_file)
            with (
                shipping_logs(opened.add_logs, ContractError),
                closing(publisher),
                repeating(dispatcher.look, min(1.0, lease / 10)),
                repeating(publisher.look, 1.0),
            ):
                server.run(sockets=[listener])
    except (StoreError, ImportError, OSError, ValueError) as error:
        log.critical("the Backend cannot start: %s", error)
        sys.exit(1)


def run(own: Mapping[str, str]) -> None:
    """Run a Backend with the options of the command line and with its variables."""
    run_with(own, _main, "python -m cicd_system.backend")


def _check_access(token: str | None, host: str) -> None:
    if token is None and not is_loopback(host):
        raise click.UsageError("without a token in CICD_TOKEN the Backend listens on the loopback alone")
    if token is not None and not re.fullmatch(r"[A-Za-z0-9\-._~+/]+=*", token):
        raise click.UsageError("the token in CICD_TOKEN may have letters, digits and -._~+/ alone, and = at the end")


def _announce(listener: socket.socket, url_file: Path | None) -> None:
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    if url_file is not None:
        unfinished = url_file.with_name(url_file.name + ".new")
        unfinished.write_text(url)
        unfinished.replace(url_file)  # A program that waits for the file never reads a part of it.
    log.info("listening", url=url)
