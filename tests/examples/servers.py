"""The servers that the tests of the system run on: shared ones at their URLs, and private ones that may be killed.

Shared are PostgreSQL, RabbitMQ and Redis at ``CICD_TEST_POSTGRES_URL``, ``CICD_TEST_RABBITMQ_URL`` and
``CICD_TEST_REDIS_URL``; each system has a schema and a queue of its own there. Where one does not answer, its tests are
skipped, and say so; but where ``CI`` is set, they fail.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn, TypeVar
from uuid import uuid4

import pytest

POSTGRES_URL = os.environ.get("CICD_TEST_POSTGRES_URL") or "postgresql+psycopg://postgres@127.0.0.1:5432/test"
RABBITMQ_URL = os.environ.get("CICD_TEST_RABBITMQ_URL") or "amqp://guest:guest@127.0.0.1:5672//"
REDIS_URL = os.environ.get("CICD_TEST_REDIS_URL") or "redis://127.0.0.1:6379/0"

T = TypeVar("T")

DEADLINE = 60  # Seconds; for what takes one or two.


def until(condition: Callable[[], T], what: str, *, deadline: float = DEADLINE, pause: float = 0.05) -> T:
    """Ask until the answer is true, and return it; fail when the deadline has passed."""
    end = time.monotonic() + deadline
    while not (answer := condition()):
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline} s in vain for: {what}")
        time.sleep(pause)
    return answer


@dataclass(frozen=True)
class Setting:
    """What a system runs on, and how many processes it has.

    Attributes:
        name: ``embedded``, ``rabbitmq`` or ``redis``.
        store: The URL of its store.
        broker: The URL of its broker.
        queue: The name of its queue, which nobody else uses.
    """

    name: str
    store: str
    broker: str
    queue: str
    backends: int
    workers: int


@contextlib.contextmanager
def embedded(directory: Path) -> Iterator[Setting]:
    """SQLite and the spool: nothing to install or start."""
    yield Setting("embedded", f"sqlite:///{directory}/cicd.db", f"spool://{directory}/spool", "cicd.jobs", 1, 2)


@contextlib.contextmanager
def rabbitmq(_directory: Path, url: str | None = None) -> Iterator[Setting]:
    """PostgreSQL and RabbitMQ."""
    url = url or answering_rabbitmq()
    queue = f"cicd-test-{uuid4().hex}"
    with postgres_schema() as store:
        yield Setting("rabbitmq", store, url, queue, 2, 4)
    delete_from_rabbitmq(url, queue)


@contextlib.contextmanager
def redis(_directory: Path, url: str | None = None) -> Iterator[Setting]:
    """PostgreSQL and Redis."""
    url = url or answering_redis()
    queue = f"cicd-test-{uuid4().hex}"
    with postgres_schema() as store:
        yield Setting("redis", store, url, queue, 2, 4)
    delete_from_redis(url, queue)


SETTINGS = {"embedded": embedded, "rabbitmq": rabbitmq, "redis": redis}


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it where ``CI`` is set."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def postgres_schema() -> Iterator[str]:
    """The URL of a schema of its own, which is dropped afterwards."""
    from sqlalchemy import create_engine, make_url, text

    name = f"cicd_system_test_{uuid4().hex}"
    engine = create_engine(answering_postgres(), connect_args={"connect_timeout": 5})
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    url = make_url(POSTGRES_URL).update_query_dict({"options": f"-csearch_path={name}"})
    try:
        yield url.render_as_string(hide_password=False)
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
        engine.dispose()


@cache
def _answers_postgres() -> bool:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import OperationalError

    engine = create_engine(POSTGRES_URL, connect_args={"connect_timeout": 5})
    try:
        engine.connect().close()
    except OperationalError:
        return False
    finally:
        engine.dispose()
    return True


def answering_postgres() -> str:
    """The URL of PostgreSQL, if it answers."""
    if not _answers_postgres():
        missing("no PostgreSQL answers at the URL in CICD_TEST_POSTGRES_URL, or at the default one")
    return POSTGRES_URL


# --- RabbitMQ -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _amqp(url: str) -> Iterator[object]:
    from kombu import Connection

    with Connection(url, connect_timeout=5) as connection:
        connection.ensure_connection(max_retries=1)
        yield connection


@cache
def _answers_rabbitmq() -> bool:
    from kombu.exceptions import OperationalError

    try:
        with _amqp(RABBITMQ_URL):
            return True
    except (OSError, OperationalError):
        return False


def answering_rabbitmq() -> str:
    """The URL of RabbitMQ, if it answers."""
    if not _answers_rabbitmq():
        missing("no RabbitMQ answers at the URL in CICD_TEST_RABBITMQ_URL, or at the default one")
    return RABBITMQ_URL


def delete_from_rabbitmq(url: str, queue: str) -> None:
    """Delete the queue, and the exchange of the same name that Celery declares with it."""
    with _amqp(url) as connection:
        for delete in ("queue_delete", "exchange_delete"):
            with contextlib.suppress(connection.channel_errors):
                getattr(connection.channel(), delete)(queue)


# --- Redis ----------------------------------------------------------------------------------------------------------


@cache
def _answers_redis() -> bool:
    from redis import Redis, RedisError

    with Redis.from_url(REDIS_URL, socket_connect_timeout=5) as client:
        try:
            return bool(client.ping())
        except RedisError:
            return False


def answering_redis() -> str:
    """The URL of Redis, if it answers."""
    if not _answers_redis():
        missing("no Redis answers at the URL in CICD_TEST_REDIS_URL, or at the default one")
    return REDIS_URL


def delete_from_redis(url: str, queue: str) -> None:
    """Delete every key that names the queue."""
    from redis import Redis

    with Redis.from_url(url) as client:
        for key in client.scan_iter(f"*{queue}*"):
            client.delete(key)


# --- private servers ------------------------------------------------------------------------------------------------


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, from below those that the system gives away by itself."""
    ports: list[int] = []
    candidate = 10_000 + os.getpid() % 10_000
    while len(ports) < count:
        candidate += 1
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", candidate))
            ports.append(candidate)
    return ports


def accepts(port: int) -> bool:
    """Whether somebody listens on a port of the loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


class Server:
    """A server of the test's own, that may be killed and started again, with its data in a directory.

    As a context manager it runs, and is killed in the end.
    """

    url: str

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {}

    def answers(self) -> bool:
        return accepts(self.port)

    def spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a process that writes to the log of the server."""
        with open(self.directory / "log.txt", "ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.directory,
                env={**os.environ, **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = self.spawn(self.command())
        until(self._has_started, f"{type(self).__name__} to answer; its log is in {self.directory}")

    def _has_started(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"{type(self).__name__} has ended: " + (self.directory / "log.txt").read_text()[-2000:])
        return self.answers()

    def kill(self) -> None:
        """``kill -9`` it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class PrivateRedis(Server):
    """A Redis that keeps all that it has acknowledged."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        super().__init__(directory, *free_ports(1))
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._program = shutil.which("redis-server") or missing("there is no redis-server")

    def command(self) -> list[str]:
        settings = {"port": self.port, "bind": "127.0.0.1", "appendonly": "yes", "appendfsync": "always", "save": ""}
        return [self._program, *(part for key, value in settings.items() for part in (f"--{key}", str(value)))]

    def answers(self) -> bool:
        from redis import Redis, RedisError

        with Redis(port=self.port) as client, contextlib.suppress(RedisError):
            return bool(client.ping())  # Not while it loads.
        return False


class PrivateRabbitMQ(Server):
    """A node of RabbitMQ beside any other on the machine: with names, ports and an epmd of its own."""

    PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # The one on the path of Debian changes to another user.

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        port, self._distribution, self._epmd_port = free_ports(3)
        super().__init__(directory, port)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        program = self.PROGRAM if self.PROGRAM.exists() else shutil.which("rabbitmq-server")
        self._program = str(program or missing("there is no rabbitmq-server"))
        self._epmd_program = shutil.which("epmd") or missing("there is no epmd")
        self._epmd: subprocess.Popen[bytes] | None = None

    def __enter__(self):
        (self.directory / "rabbitmq.conf").write_text(f"listeners.tcp.local = 127.0.0.1:{self.port}\n")
        (self.directory / "enabled_plugins").write_text("[].\n")
        # In the foreground: a node that finds none would start one that stays.
        self._epmd = self.spawn([self._epmd_program, "-address", "127.0.0.1", "-port", str(self._epmd_port)])
        until(lambda: accepts(self._epmd_port), "epmd to answer")
        return super().__enter__()

    def __exit__(self, *_):
        super().__exit__()
        assert self._epmd is not None
        self._epmd.kill()
        self._epmd.wait()

    def command(self) -> list[str]:
        return [self._program, "-noinput"]

    def environment(self) -> dict[str, str]:
        here = self.directory
        return {
            "HOME": str(here),  # For the cookie.
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_FLAGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "none"),
            "RABBITMQ_ALLOW_INPUT": "1",  # So that the process that is started is the node, not a shell around it.
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(here / "none"),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "enabled_plugins"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(here / "feature_flags"),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_MNESIA_BASE": str(here / "mnesia"),
            "RABBITMQ_NODENAME": f"cicd{self.port}@localhost",
            "RABBITMQ_PID_FILE": str(here / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
        }
