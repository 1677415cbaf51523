"""The processes of a job, which are stopped and killed as one group."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock, Timer
from types import TracebackType
from typing import Self

__all__ = ["JobProcess"]

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


class JobProcess:
    """A command in a new session, without input, and with one pipe for its output and its errors.

    At the end of its context all processes of its group are killed. Processes in sessions of their own are not.

    Args:
        command: The program with its arguments.
        directory: Where it runs.
        environment: The whole environment.
        grace: The seconds between SIGTERM and SIGKILL when it is stopped.
        clearing: A command that runs if the Worker dies, to end what is not in the group.

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
        clearing: Sequence[str] = (),
    ) -> None:
        self._killer = Timer(grace, self.kill)
        self._killer.daemon = True
        self._signaling = Lock()
        self._is_killed = False
        watched, self._watch = os.pipe()
        self.output, output = os.pipe()
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _WATCHED % shlex.join(clearing or [":"]), "sh", *command],
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

    def __exit__(
        self, type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._killer.cancel()
        self.kill()
        self._process.wait()
        os.close(self._watch)
        os.close(self.output)

    def clear(self) -> bool:
        """Whether the command has ended. Its remaining processes are then killed."""
        has_ended = self._process.poll() is not None
        if has_ended:
            self.kill()
        return has_ended

    def stop(self) -> None:
        """Send SIGTERM to the group, and kill it after `grace` seconds. The call does not wait."""
        self._signal(signal.SIGTERM)
        self._killer.start()

    def kill(self) -> None:
        """Kill the group."""
        self._signal(signal.SIGKILL)

    def wait(self) -> int:
        """Wait for the command's end.

        Returns:
            Its exit code; as in a shell, 128 plus the number of the signal that ended it.
        """
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def _signal(self, number: signal.Signals) -> None:
        with self._signaling:
            # After the group was killed, its number may be used again.
            if not self._is_killed:
                self._is_killed = number == signal.SIGKILL
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, number)
