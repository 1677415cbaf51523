"""The process of a job, and the programs that a Worker runs to prepare a job."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Self

__all__ = ["GoOn", "JobProcess", "run"]

GoOn = Callable[[], None]
"""A function that is called repeatedly while something is done. It raises an exception if the job has to stop."""

_TICK = 0.1  # Seconds between two calls of `go_on`.
_PATIENCE = 30  # Seconds in which a container has to be removed.

# A watcher in the job's process group waits for the end of a pipe that the Worker holds open. If the Worker dies, the
# watcher kills the group. While it lives, the number of the group is not used again.
_WATCHED = """
exec 3<&0 </dev/null
trap '' HUP INT TERM
{ read -r _; %s; kill -KILL 0; } <&3 >/dev/null 2>&1 &
trap - HUP INT TERM
exec 3<&-
exec "$@"
"""


def run(
    command: Sequence[str],
    go_on: GoOn,
    *,
    environment: Mapping[str, str] | None = None,
    text: bytes | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program, and kill it with all that it has started if the job has to stop.

    Args:
        environment: The whole environment; by default that of the Worker.
        text: The standard input; empty by default.
    """
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            while True:
                go_on()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    output, errors = process.communicate(text, timeout=_TICK)
                    return subprocess.CompletedProcess(command, process.returncode, output, errors)
                text = None  # `communicate` keeps the input, and refuses it on the next call.
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # Its child processes hold the pipes, too.
            raise


class JobProcess:
    """A command in a new session, without input, and with one pipe for its output and its errors.

    At the end of its context all processes of its group are killed. Processes in sessions of their own are not.

    Args:
        environment: The whole environment.
        grace: The seconds between SIGTERM and SIGKILL when it is stopped.
        removal: A command that removes the container of the job. It runs at the end, also if the Worker dies.

    Attributes:
        output: The file descriptor to read its output from.

    Raises:
        OSError: The command cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        grace: float,
        removal: Sequence[str] | None = None,
    ) -> None:
        self._grace = grace
        self._removal = removal
        self._kill_at: float | None = None
        self._is_killed = False
        watched, self._watch = os.pipe()
        self.output, output = os.pipe()
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _WATCHED % shlex.join(removal or [":"]), "sh", *command],
                cwd=directory,
                env=environment,
                stdin=watched,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except BaseException:
            os.close(self._watch)
            os.close(self.output)
            raise
        finally:
            os.close(watched)
            os.close(output)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._signal(signal.SIGKILL)
        self._process.wait()
        os.close(self._watch)
        os.close(self.output)
        if self._removal:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(self._removal, capture_output=True, timeout=_PATIENCE, check=False)

    def has_ended(self, timeout: float = 0) -> bool:
        """Whether the command ends within some seconds. If so, its remaining processes are killed."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        self._signal(signal.SIGKILL)
        return True

    def stop(self) -> None:
        """Send SIGTERM to the group. Call this repeatedly: a call after the `grace` sends SIGKILL."""
        if self._kill_at is None:
            self._kill_at = monotonic() + self._grace
            self._signal(signal.SIGTERM)
        elif monotonic() >= self._kill_at:
            self._signal(signal.SIGKILL)

    def wait(self) -> int:
        """Wait for the end, and return the exit code; as in a shell, 128 plus the number of a signal that ended it."""
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def _signal(self, number: signal.Signals) -> None:
        # After the group was killed, its number may be used again.
        if not self._is_killed:
            self._is_killed = number == signal.SIGKILL
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
