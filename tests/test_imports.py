"""The layers of the package: `lint-imports` accepts the package, and finds imports that violate the layers."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    """Check the package in a directory by the contracts of this project."""
    code = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache", str(ROOT / "setup.cfg")],
        cwd=directory,
        env={"PYTHONPATH": str(directory), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not (ROOT / "cicd_common").exists(), reason="the package is installed without its source tree")
@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("fields/types.py", "from ..converter import converter"),
        ("enums.py", "from .model import Job"),
        ("model/definition.py", "def f():\n    from .execution import PipelineExecution"),
        (
            "logging/masking.py",
            "import typing\nif typing.TYPE_CHECKING:\n    from .masking_stream import MaskingStream",
        ),
    ],
)
def test_an_import_upwards_or_in_a_circle_is_seen(tmp_path, module, line):
    """Imports from a higher layer and import cycles are found, also in functions and for type checking only."""
    shutil.copytree(ROOT / "cicd_common", tmp_path / "cicd_common", ignore=shutil.ignore_patterns("__pycache__"))
    clean = lint(tmp_path)
    assert clean.returncode == 0, clean.stdout + clean.stderr
    with (tmp_path / "cicd_common" / module).open("a") as file:
        file.write(f"\n{line}\n")
    assert lint(tmp_path).returncode == 1
