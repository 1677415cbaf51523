"""The variables that are for the Worker alone, taken out of the reach of jobs.

On Linux, a process of the same user can read the environment with which another was started, in ``/proc/PID/environ``,
whatever the other does to its variables. So the Worker executes itself anew with a clean environment, and is handed its
variables in a file that is in memory and has no name.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys

__all__ = ["OURS", "conceal"]

OURS = "CICD_"
"""How the names of variables begin that are for the programs of this system."""
_FILE = "CICD_ENVIRONMENT_FILE"
_PR_SET_DUMPABLE = 4


def conceal() -> dict[str, str]:
    """Take the Worker's own variables out of its environment, and start anew if they would still be seen.

    On Linux, processes of the same user can then read neither its environment nor its memory; those of root can read
    its memory. On other systems, the variables are only kept out of the environment of jobs.

    Returns:
        The variables.
    """
    handed = os.environ.pop(_FILE, None)
    own = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(OURS)}
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
    """Execute this program again in this process, with what is left of the environment."""
    descriptor = os.memfd_create("environment")
    with open(descriptor, "w", encoding="ascii", closefd=False) as file:
        json.dump(own, file)
        file.flush()
        file.seek(0)
    os.set_inheritable(descriptor, True)
    arguments = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, arguments, {**os.environ, _FILE: str(descriptor)})
