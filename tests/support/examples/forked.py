"""Fork programs of the example from a process that has imported them, because the imports take a second.

A forked program has the same arguments, directory, environment, output files, file descriptors, threads and exit code
as one that is started by ``python -m``. But ``/proc`` shows the command and the environment of the process from which
it was forked.
"""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

LOADED = (
    "cicd_system.backend.program",
    "cicd_system.cli.__main__",
    "cicd_system.worker.program",
    "kombu.transport.pyamqp",
    "kombu.transport.redis",
    "kombu.transport.sqlalchemy",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
)
"""The modules that are imported before programs are forked. None of them starts a thread."""

_PR_SET_PDEATHSIG = 1
_FIRST_OTHER = 3  # The file descriptors before are standard input, output and errors.

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(list(LOADED))


class Forked:
    """``python -m MODULE`` without input, with the interface of `subprocess.Popen`.

    Output and errors are appended to files. The program is killed when this process ends.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        output: Path,
        errors: Path,
    ) -> None:
        for path in (output, errors):
            path.touch()  # It exists when the program starts.
        given = (module, list(arguments), dict(environment), directory, output, errors)
        self._process = _server.Process(target=_run, args=given, daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self._exit_code: int | None = None

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end for at most some seconds, and return the exit code, as `poll`."""
        if self._exit_code is None:
            self._process.join(timeout)
            self._exit_code = self._process.exitcode
            if self._exit_code is not None:
                self._process.close()  # Its file descriptors.
        return self._exit_code

    def kill(self) -> None:
        """Send SIGKILL."""
        if self.poll() is None:
            self._process.kill()


def _run(
    module: str, arguments: list[str], environment: dict[str, str], directory: Path, output: Path, errors: Path
) -> None:
    """Run the program in the new process."""
    # The server ends after its last client. With these open, this process is a client, too, so the server lives here.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.closerange(_FIRST_OTHER, os.sysconf("SC_OPEN_MAX"))
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    if module in ("cicd_system.backend", "cicd_system.worker"):
        _hand_over_variables()
    _open_standard_files(output, errors)
    sys.argv = [module, *arguments]
    sys.orig_argv = [sys.executable, "-m", module, *arguments]
    sys.modules.pop(f"{module}.__main__", None)  # Then it is run again, although it was imported.
    runpy.run_module(module, run_name="__main__", alter_sys=True)


# ruff: noqa: SIM115 - the standard files stay open
def _open_standard_files(output: Path, errors: Path) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    for number, path, how in ((0, Path(os.devnull), os.O_RDONLY), (1, output, flags), (2, errors, flags)):
        opened = os.open(path, how, 0o666)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)


def _hand_over_variables() -> None:
    """Do as a program that has executed itself again with a clean environment; see `cicd_system.environment`."""
    own = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("CICD_")}
    file = os.memfd_create("environment")
    os.write(file, json.dumps(own).encode("ascii"))
    os.lseek(file, 0, os.SEEK_SET)
    os.environ["CICD_ENVIRONMENT_FILE"] = str(file)
