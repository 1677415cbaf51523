"""What the tests of the examples stand on: ``examples`` on the path, here and in the processes that they start."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"

sys.path.insert(0, str(EXAMPLES))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(EXAMPLES), os.environ.get("PYTHONPATH")]))

if find_spec("celery") is None:
    collect_ignore_glob = ["test_*.py"]  # The extra `examples` is not installed.
