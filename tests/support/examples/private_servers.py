"""Private brokers that tests can kill and restart."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.examples.programs import bound
from tests.support.examples.waiting import until
from tests.support.servers import missing


def free_ports(count: int) -> list[int]:
    """Unused ports for servers that are restarted: no other process of tests, and no client, gets them meanwhile."""
    ports: list[int] = []
    while len(ports) < count:
        port = next(_ports())
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports.append(port)
    return ports


@functools.cache
def _ports() -> Iterator[int]:
    """The ports of this process in turn, below those that the system assigns. It reserves them by their first one."""
    for first in range(10_000, 32_000, 100):
        with socket.socket() as reserving, contextlib.suppress(OSError):
            reserving.bind(("127.0.0.1", first))
            reserving.detach()  # It stays open until the process ends.
            return itertools.cycle(range(first + 1, first + 100))
    pytest.fail("there is no unused range of ports")


def accepts(port: int) -> bool:
    """Whether a program listens on a port of the loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


class Server:
    """A private server with its data in a directory. As a context manager it runs until the end of the block."""

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
        """Start a process whose output goes to the log of the server."""
        with open(self.directory / "log.txt", "ab") as log:
            return subprocess.Popen(
                bound(command),
                cwd=self.directory,
                env={**os.environ, **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._process = self.spawn(self.command())
        until(self._has_started, f"{type(self).__name__} to answer; its log is in {self.directory}")

    def _has_started(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"{type(self).__name__} has ended: " + (self.directory / "log.txt").read_text()[-2000:])
        return self.answers()

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class PrivateRedis(Server):
    """A Redis that writes each command to the disk before it answers."""

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
            return bool(client.ping())  # False while it loads its data.
        return False


class PrivateRabbitMQ(Server):
    """A node of RabbitMQ with its own names, ports and epmd, so that other nodes on the machine do not matter."""

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
        # A node that finds no epmd would start one that continues after its end.
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
            "HOME": str(here),  # It contains the cookie.
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_FLAGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "none"),
            "RABBITMQ_ALLOW_INPUT": "1",  # Then the process is the node, and not a shell that starts the node.
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
