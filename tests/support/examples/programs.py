"""Processes that tests start, kill and look at; for Linux."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path


class Program:
    """A process that may be killed and started again, with a log file."""

    def __init__(self, name: str, command: Sequence[str], environment: dict[str, str], directory: Path) -> None:
        self.name = name
        self.command = list(command)
        self.environment = environment
        self.directory = directory
        self.log = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

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
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                bound(self.command),
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """``kill -9`` it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


def bound(command: Sequence[str]) -> list[str]:
    """A command whose process is killed when that of the tests ends, in whatever way."""
    program = shutil.which("setpriv")
    return [program, "--pdeathsig", "KILL", *command] if program else list(command)


def stop(programs: Sequence[Program], seconds: float = 20) -> list[str]:
    """Ask programs to end, and wait for it. Returns the names of those that had to be killed."""
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
    """Whether there is a process of this id that is more than an entry in a table."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return _stat(pid)[0] not in "ZX"
    return False


def _stat(pid: int) -> list[str]:
    """What comes after the name of a process: state, parent, group, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def marked_processes(mark: str) -> Iterator[tuple[int, str]]:
    """Processes with a mark in their environment, and their commands."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
