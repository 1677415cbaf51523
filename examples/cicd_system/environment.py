"""Keep the variables of a Backend and of a Worker away from jobs.

On Linux, ``/proc/PID/environ`` shows the environment with which a process was started to all processes of the same
user, even if the process removes its variables. So a program executes itself again with a clean environment, and gets
its variables from an anonymous file in memory.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys

__all__ = ["conceal"]

_PREFIX = "CICD_"  # Of the variables of this system's programs.
_FILE = "CICD_ENVIRONMENT_FILE"
_PR_SET_DUMPABLE = 4


def conceal() -> dict[str, str]:
    """Remove the program's own variables from its environment, and return them; on Linux, execute the program again.

    Other processes of the same user can then read neither its variables nor its memory; processes of root can read its
    memory. On other systems, the variables are only removed from the environment of jobs.
    """
    handed = os.environ.pop(_FILE, None)
    own = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(_PREFIX)}
    if sys.platform != "linux":
        return own
    if handed is not None:
        with open(int(handed), encoding="ascii") as file:
            own = json.load(file)
    elif own:
        _start_anew(own)
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    return own


def _start_anew(own: dict[str, str]) -> None:
    """Execute this program again in this process, with the remaining environment."""
    descriptor = os.memfd_create("environment")
    with open(descriptor, "w", encoding="ascii", closefd=False) as file:
        json.dump(own, file)
        file.flush()
        file.seek(0)
    os.set_inheritable(descriptor, True)
    arguments = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, arguments, {**os.environ, _FILE: str(descriptor)})
