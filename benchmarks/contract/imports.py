"""Measure imports, each in a new interpreter, in turns."""

from __future__ import annotations

import os
import subprocess
import sys
from tempfile import TemporaryDirectory

__all__ = ["IMPORTS", "measure_imports"]

# A module that is None in sys.modules cannot be imported, as if it were not installed.
_WITHOUT_MSGSPEC = "import sys; sys.modules['msgspec'] = None"
_TIMED = "from time import process_time as now; start = now(); import {module}; print(now() - start)"

IMPORTS = {
    "cattrs": _TIMED.format(module="cattrs"),
    "msgspec": _TIMED.format(module="cicd_common"),
    "json": f"{_WITHOUT_MSGSPEC}; {_TIMED.format(module='cicd_common')}",
}


def measure_imports(rounds: int) -> dict[str, list[float]]:
    """The seconds that each of `IMPORTS` took, round by round."""
    times: dict[str, list[float]] = {name: [] for name in IMPORTS}
    with TemporaryDirectory() as compiled:
        # All imports use bytecode, which the first round compiles.
        env = {**os.environ, "PYTHONPYCACHEPREFIX": compiled, "PYTHONDONTWRITEBYTECODE": ""}
        for warm in [False] + [True] * rounds:
            for name, code in IMPORTS.items():
                seconds = float(subprocess.check_output([sys.executable, "-c", code], env=env, text=True))
                if warm:
                    times[name].append(seconds)
    return times
