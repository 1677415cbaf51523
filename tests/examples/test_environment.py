"""The variables of a Backend and of a Worker, out of reach of jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, json, os, sys
from cicd_system.environment import conceal
own = conceal()
seen = open("/proc/self/environ", "rb").read().decode(errors="surrogateescape")
dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
print(json.dumps([os.getpid(), own, dict(os.environ), seen, dumpable, os.listdir("/proc/self/fd"), sys.argv[1:]]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
class TestConceal:
    @pytest.mark.parametrize("own", [{}, {"CICD_TOKEN": "t\udcff\n", "CICD_SECRET_BIG": "x" * 100_000}])
    def test_variables(self, own):
        """They are handed on, and are nowhere to be seen; the process and its arguments are the same."""
        given = {name: value for name, value in os.environ.items() if not name.startswith("CICD_")}
        command = [sys.executable, "-c", PROGRAM, "--option", "a b"]
        with subprocess.Popen(command, env={**given, **own}, stdout=subprocess.PIPE, text=True) as process:
            text, _ = process.communicate(timeout=60)
        pid, found, left, seen, dumpable, files, arguments = json.loads(text)
        assert (pid, found, arguments) == (process.pid, own, ["--option", "a b"])
        assert left == given
        assert not [value for value in own.values() if value in seen]
        assert dumpable == 0
        assert sorted(files) == ["0", "1", "2", "3"]  # The last is that of the directory itself.
