"""A job's process, with all that it starts: watched, stopped and cleared away as one group."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

__all__ = ["JobProcess"]

# A watcher in the job's own group waits for the end of a pipe that the Worker holds open. If the Worker dies, in
# whatever way, it ends and takes the job with it. As a member, it also keeps the group's number from being used anew.
_WATCHED = """
exec 3<&0 </dev/null
trap '' HUP INT TERM
{ read -r _; %s; kill -KILL 0; } <&3 >/dev/null 2>&1 &
trap - HUP INT TERM
exec 3<&-
exec "$@"
"""


class JobProcess:
    """A command in a session of its own, with no input, and one pipe for its output and its errors.

    As a context manager it leaves no process of its group behind. Only what has made a session of its own is out of
    reach.

    Args:
        command: The program with its arguments.
        directory: Where it runs.
        environment: All of its environment.
        grace: For how many seconds it may go on after it was told to stop.
        clearing: A command that ends what does not end with the group, in case the Worker dies.

    Attributes:
        output: The file descriptor to read its output from.

    Raises:
        OSError: It cannot be started.
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
        self._grace = grace
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
        self.kill()
        self._process.wait()
        os.close(self._watch)
        os.close(self.output)

    def clear(self) -> bool:
        """Whether the command is at its end. What it has left running is then ended, too."""
        has_ended = self._process.poll() is not None
        if has_ended:
            self.kill()
        return has_ended

    def stop(self) -> None:
        """Tell the group to end, and end it if it does not within the grace."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self._grace)
        self.kill()

    def kill(self) -> None:
        """End the group at once."""
        self._signal(signal.SIGKILL)

    def wait(self) -> int:
        """Wait for the command's end.

        Returns:
            Its exit code; as in a shell, 128 and the number of the signal that has ended it.
        """
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def _signal(self, number: signal.Signals) -> None:
        with self._signaling:
            # Once all were killed, the group's number may be another's.
            if not self._is_killed:
                self._is_killed = number == signal.SIGKILL
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, number)
