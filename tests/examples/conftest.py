"""Put ``examples`` on the path of the tests and of the processes that they start."""

from __future__ import annotations

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

sys.path.insert(0, str(EXAMPLES))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(EXAMPLES), os.environ.get("PYTHONPATH")]))

# Background jobs of a shell ignore Ctrl-C, and the processes that they start do so, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if find_spec("starlette") is None:
    collect_ignore_glob = ["test_*.py"]  # The group `examples` is not installed.
else:
    from tests.support.examples.system_fixtures import (  # noqa: F401 - fixtures
        kind,
        new_system,
        remember_failure,
        setting,
        shared,
        side,
        system,
    )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(item, call):  # noqa: ARG001 - the signature of the hook
        report = yield
        remember_failure(item, report)
        return report
