"""A whole system for a test: Backends and Workers as processes, and functions to use and to inspect them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from secrets import token_hex
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from tests.support.examples.private_servers import free_ports
from tests.support.examples.programs import Program, marked_processes, parent_of, stop
from tests.support.examples.proxy import HttpProxy
from tests.support.examples.settings import Setting
from tests.support.examples.system_api import Api
from tests.support.examples.system_checks import Logs, check_secrets
from tests.support.examples.waiting import DEADLINE, until

OURS = "side"  # The directory for files that the tests and the jobs write, and not the system.
MARK = "SYSTEM_UNDER_TEST"  # A variable in the environment of all processes of a system, including jobs.


class System:
    """Backends and Workers on a store and a broker, with a directory for all their files.

    As a context manager it runs until the end of the block. Then it stops all processes, and checks that none is left,
    that `CicdLogger` wrote all lines of the logs, and that no file and no row of the store contains a secret.

    Args:
        directory: The directory for all files.
        store: The URL of the store.
        broker: The URL of the broker.
        queue: The name of the queue.
        backends: The number of Backends.
        workers: The number of Workers.
        secrets: The secrets of the Workers for jobs, by name.
        via_proxy: Whether there is an `HttpProxy` between the Workers and each Backend.
        job_timeout: The time limit of jobs, in seconds.
        lease: The seconds of a lease. The default is longer than the start of a Backend on a busy machine.
        resend: The seconds after which an unclaimed job is sent again.
        are_forked: Whether the programs are forked, which is faster, instead of started by their command lines.
    """

    def __init__(
        self,
        directory: Path,
        *,
        store: str,
        broker: str,
        queue: str = "cicd.jobs",
        backends: int = 1,
        workers: int = 2,
        secrets: dict[str, str] | None = None,
        via_proxy: bool = False,
        job_timeout: float = 120,
        lease: int = 300,
        resend: int = 5,
        are_forked: bool = True,
    ) -> None:
        self.directory = directory
        self.store = store
        self.secrets = {"DEPLOY_KEY": token_hex(12)} if secrets is None else secrets
        self.token = token_hex(16)
        self._mark = uuid4().hex
        self._are_forked = are_forked
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CICD_")},
            MARK: self._mark,
            "CICD_TOKEN": self.token,
            "CICD_STORE": store,
            "CICD_ARTIFACTS": str(directory / "artifacts"),
            "CICD_BROKER": broker,
            "CICD_QUEUE": queue,
            "CICD_JOB_TIMEOUT": str(job_timeout),
            "CICD_LEASE": str(lease),
            "CICD_RESEND": str(resend),
        }
        self.proxies = [HttpProxy() for _ in range(backends)] if via_proxy else []
        self.urls = [""] * backends
        self.backends = [self._backend(number, port) for number, port in enumerate(free_ports(backends))]
        self.workers: list[Program] = []
        self._new_workers = workers
        self.api = Api(self.token)
        self.logs = Logs(directory)

    @classmethod
    def on(cls, setting: Setting, directory: Path, **changes: Any) -> Self:
        """A system on a setting, with changed arguments."""
        names = ("store", "broker", "queue", "backends", "workers")
        return cls(directory, **{name: getattr(setting, name) for name in names} | changes)

    def __enter__(self) -> Self:
        self.repository = self.directory / "repository"
        self.repository.mkdir()
        (self.repository / "README").write_text("A repository without git.\n")
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        killed = self.stop()
        if kind is None:
            assert not killed, "had to be killed"
            self.logs.check()
            self.check_secrets()

    def start(self) -> None:
        """Start all programs and wait until the Backends answer."""
        for backend in self.backends:
            backend.start()
        if self.proxies:
            self.add_workers(self._new_workers)
        for number in range(len(self.backends)):
            self._wait_for_backend(number)
        if not self.proxies:
            self.add_workers(self._new_workers)

    def stop(self) -> list[str]:
        """Stop all programs. Return the names of those that had to be killed, and the commands of other processes."""
        for proxy in self.proxies:
            proxy.mend()
        # The Workers first, because they report their jobs to a Backend at their end.
        killed = stop(self.workers) + stop(self.backends)
        for proxy in self.proxies:
            proxy.close()
        self.api.close()
        return killed + self._end_strays()

    def _end_strays(self) -> list[str]:
        """Wait a moment for processes that Workers have killed. Kill the others and return their commands."""
        with contextlib.suppress(pytest.fail.Exception):
            until(lambda: not self.strays(), "the end of all processes", deadline=30)
        left = self.strays()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return list(left.values())

    def strays(self) -> dict[int, str]:
        """The running processes that the programs have started, with their commands."""
        known = {program.pid for program in (*self.backends, *self.workers) if program.runs}
        return {pid: command for pid, command in marked_processes(f"{MARK}={self._mark}") if pid not in known}

    def check_secrets(self) -> None:
        """Check that no file of the system and no row of its store contains a secret or the token."""
        # Unlike `Path.rglob`, `os.walk` allows for directories that Workers are removing.
        files = (Path(root, name) for root, _, names in os.walk(self.directory) for name in names)
        of_system = (file for file in files if file.is_file() and OURS not in file.parts)
        check_secrets([self.token, *self.secrets.values()], of_system, self.store)

    # --- its processes ----------------------------------------------------------------------------------------------

    def _program(self, module: str, name: str, flags: Iterable[str], **environment: str) -> Program:
        given = self._environment | environment
        return Program(name, f"cicd_system.{module}", flags, given, self.directory, is_forked=self._are_forked)

    def _backend(self, number: int, port: int) -> Program:
        flags = ["--host", "127.0.0.1", "--port", str(port), "--url-file", str(self._url_file(number))]
        return self._program("backend", f"backend-{number}", flags)

    def _url_file(self, number: int) -> Path:
        return self.directory / f"backend-{number}.url"

    def _wait_for_backend(self, number: int) -> None:
        until(lambda: self._answers(number), f"{self.backends[number].name} to answer")
        url = self._url_file(number).read_text().strip()
        if not self.urls[number]:
            self._found_backend(number, url)
        assert self.urls[number] == url

    def _answers(self, number: int) -> bool:
        if not self.backends[number].runs:
            pytest.fail(f"{self.backends[number].name} has ended: {self.logs.tails()}")
        with contextlib.suppress(FileNotFoundError, httpx.TransportError):
            url = self._url_file(number).read_text().strip()
            return httpx.get(f"{url}/health", timeout=DEADLINE).status_code == 200
        return False

    def _found_backend(self, number: int, url: str) -> None:
        self.urls[number] = url
        self.api.add(url)
        if self.proxies:
            parts = urlsplit(url)
            self.proxies[number].target = (str(parts.hostname), int(parts.port or 0))

    def restart_backend(self, number: int = 0) -> None:
        """Restart a killed Backend on the same port."""
        self._url_file(number).unlink()
        self.backends[number].start()
        self._wait_for_backend(number)

    def add_workers(self, count: int = 1, *flags: str) -> None:
        """Start more Workers, with additional flags."""
        added = [self._worker(len(self.workers) + number, *flags) for number in range(count)]
        for worker in added:
            worker.start()
        self.workers += added

    def _worker(self, number: int, *more: str) -> Program:
        turn = number % len(self.backends)
        url = f"http://127.0.0.1:{self.proxies[turn].port}" if self.proxies else self.urls[turn]
        workdir = self.directory / f"work-{number}"
        workdir.mkdir()
        flags = ["--name", f"worker-{number}", "--allow-host", "--workdir", str(workdir), *more]
        secrets = {f"CICD_SECRET_{name}": value for name, value in self.secrets.items()}
        return self._program("worker", f"worker-{number}", flags, CICD_BACKEND=url, **secrets)

    def worker_of(self, process: int) -> Program:
        """The Worker that started a process of a job."""
        by_pid = {worker.pid: worker for worker in self.workers if worker.runs}
        while process not in by_pid:
            assert process > 1, "the job has no Worker"
            process = parent_of(process)
        return by_pid[process]

    def cli(self, *arguments: str, deadline: float = DEADLINE, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the CLI and wait for its end."""
        return self.cli_program(*arguments, **environment).run(deadline)

    def cli_program(self, *arguments: str, **environment: str) -> Program:
        """The CLI as a program to start. Its output goes to a file that is not checked as a log."""
        patient = ("--patience", str(DEADLINE), *arguments)
        program = self._program("cli", "cli", patient, **{"CICD_BACKEND": self.urls[0]} | environment)
        program.log = self.directory / f"cli-{uuid4().hex}.txt"
        return program
