"""Run programs and copy files for a job, until the job is halted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attrs import frozen

__all__ = ["HaltedError", "Tools"]

_PAUSE = 0.1  # Seconds between two checks whether the job is halted.


class HaltedError(Exception):
    """The job was halted before this was done."""


class _Program(subprocess.Popen[bytes]):
    """A program that `communicate` waits for only after its pipes were closed."""

    def wait(self, timeout: float | None = None) -> int:  # noqa: ARG002 - the signature of `Popen.wait`
        """Wait for its end without a timeout: with one, `Popen` looks for the end in pauses of milliseconds."""
        return super().wait()


@frozen
class Tools:
    """Runs programs and copies files until the job is halted.

    Attributes:
        is_halted: Returns whether the job is halted; called repeatedly.
    """

    is_halted: Callable[[], bool]

    def copy(self, source: Path, target: Path) -> None:
        """Copy a file, a link, or a directory with all that is in it.

        Args:
            source: What to copy.
            target: Where to put the copy.

        Raises:
            HaltedError: The job is halted.
        """
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, target, symlinks=True, copy_function=self._copy_file)
        else:
            self._copy_file(source, target)

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], text: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program to its end, and kill it with all that it has started if the job is halted before.

        Args:
            command: The program with its arguments.
            environment: The whole environment.
            text: Its standard input; empty by default.

        Raises:
            HaltedError: The job is halted.
        """
        with _Program(
            command,
            env=environment,
            stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                output, errors = self._await(process, text)
            except BaseException:
                # Its child processes hold the pipes, too.
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def _copy_file(self, source: str | Path, target: str | Path) -> None:
        self.go_on()
        shutil.copy2(source, target, follow_symlinks=False)

    def _await(self, process: subprocess.Popen[bytes], text: bytes | None) -> tuple[bytes, bytes]:
        while True:
            self.go_on()
            try:
                return process.communicate(text, timeout=_PAUSE)
            except subprocess.TimeoutExpired:
                text = None  # `communicate` keeps the input, and refuses it on the next call.

    def go_on(self) -> None:
        """Do nothing while the job goes on.

        Raises:
            HaltedError: The job is halted.
        """
        if self.is_halted():
            raise HaltedError
