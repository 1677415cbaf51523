"""Start, kill and inspect processes on Linux."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.examples.forked import Forked
from tests.support.examples.waiting import DEADLINE


class Program:
    """A program of the example that tests can kill and restart, with a log file.

    Args:
        name: The name of its log file.
        module: The module for ``python -m``.
        arguments: Its arguments.
        environment: Its whole environment.
        directory: Its working directory.
        is_forked: Whether it is forked, which is faster, instead of started by its command line; see `Forked`.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Iterable[str],
        environment: Mapping[str, str],
        directory: Path,
        *,
        is_forked: bool = True,
    ) -> None:
        self.name = name
        self.module = module
        self.arguments = list(arguments)
        self.environment = dict(environment)
        self.directory = directory
        self.is_forked = is_forked
        self.log = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | Forked | None = None

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", self.module, *self.arguments]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        assert self._process is not None
        return self._process.poll()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def start(self) -> None:
        self._start(self.log, self.log)

    def run(self, deadline: float = DEADLINE) -> subprocess.CompletedProcess[str]:
        """Run it and wait for its end. Its output does not go to its log."""
        with tempfile.TemporaryDirectory() as directory:
            output, errors = Path(directory) / "output", Path(directory) / "errors"
            self._start(output, errors)
            assert self._process is not None
            self._process.wait(deadline)
            assert not self.runs, f"{self.name} has not ended: {output.read_text()}{errors.read_text()}"
            assert self.exit_code is not None
            return subprocess.CompletedProcess(self.command, self.exit_code, output.read_text(), errors.read_text())

    def _start(self, output: Path, errors: Path) -> None:
        if self.is_forked:
            self._process = Forked(self.module, self.arguments, self.environment, self.directory, output, errors)
            return
        with output.open("ab") as to, errors.open("ab") as to_errors:
            self._process = subprocess.Popen(
                bound(self.command),
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=to,
                stderr=to_errors,
            )

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


def bound(command: Sequence[str]) -> list[str]:
    """A command whose process is killed when the process of the tests ends."""
    program = shutil.which("setpriv")
    return [program, "--pdeathsig", "KILL", *command] if program else list(command)


def stop(programs: Sequence[Program], seconds: float = 60) -> list[str]:
    """Send SIGTERM to programs and wait for their ends. Return the names of those that had to be killed."""
    running = [program for program in programs if program.runs]
    for program in running:
        program.send(signal.SIGTERM)
    deadline = time.monotonic() + seconds
    return [program.name for program in running if not _ended(program, deadline)]


def _ended(program: Program, deadline: float) -> bool:
    while program.runs:
        if time.monotonic() > deadline:
            program.kill()
            return False
        time.sleep(0.02)
    return True


def parent_of(pid: int) -> int:
    return int(_stat(pid)[1])


def is_alive(pid: int) -> bool:
    """Whether a process runs and is not a zombie."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return _stat(pid)[0] not in "ZX"
    return False


def _stat(pid: int) -> list[str]:
    """The fields of a process behind its name: state, parent, group, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def marked_processes(mark: str) -> Iterator[tuple[int, str]]:
    """The ids and commands of processes with a mark in their environment."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
