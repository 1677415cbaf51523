"""The package as a whole: what it imports and exports, what it does without msgspec, and a copy of it elsewhere."""

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from contract import modules

import cicd_common

PACKAGE = Path(cicd_common.__file__).parent
# Parts that need an extra of their own.
EXTRAS = ("cicd_common.store", "cicd_common._msgspec")


def run(code: str, *, cwd: Path | None = None, options: tuple[str, ...] = ()) -> str:
    """What a program prints in an interpreter of its own."""
    command = [sys.executable, *options, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def everything():
    """Every module of the package that needs no extra."""
    found = [cicd_common, *modules("api", "converter", "dto", "enums", "errors", "mapping", "model", "reports")]
    return [module for module in found if not module.__name__.startswith(EXTRAS)]


class TestExports:
    @pytest.mark.parametrize("module", everything(), ids=lambda module: module.__name__)
    def test_all_is_sorted_and_true(self, module):
        """Constants, classes, functions: as ruff sorts them; and each name is there."""
        names = getattr(module, "__all__", [])
        assert sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name)) == names
        assert [name for name in names if not hasattr(module, name)] == []

    def test_the_face_exports_what_it_imports(self):
        """And nothing else that has no underscore, but for its modules."""
        public = {name for name, value in vars(cicd_common).items() if not name.startswith("_")}
        inside = {path.stem for path in PACKAGE.iterdir()}
        assert public - inside - set(cicd_common.__all__) == set()

    def test_is_typed(self):
        """A type checker reads the annotations of the installed package."""
        assert (PACKAGE / "py.typed").exists()


class TestImport:
    LOADED = """
        import sys
        before = set(sys.modules)
        import cicd_common, cicd_common.mapping, cicd_common.reports, cicd_common.logging
        print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
    """

    def test_loads_attrs_and_cattrs_and_nothing_else(self):
        """Beside the standard library, and msgspec where it is installed."""
        loaded = set(run(self.LOADED).split()) - set(sys.stdlib_module_names)
        loaded = {name for name in loaded if not name.startswith("_")}
        assert loaded - {"msgspec", "typing_extensions"} == {"attr", "attrs", "cattr", "cattrs", "cicd_common"} & loaded
        assert {"attr", "cattrs"} <= loaded

    def test_configures_no_logging(self):
        """The root logger is as it was."""
        code = "import logging, cicd_common, cicd_common.logging; print(logging.root.handlers, logging.root.level)"
        assert run(code).split() == ["[]", "30"]


class TestWithoutMsgspec:
    BLOCK = "import sys; sys.modules['msgspec'] = None\n"

    def test_the_engine_is_json(self):
        """By itself."""
        assert run(self.BLOCK + "from cicd_common import converter; print(converter.engine)").strip() == "json"

    def test_asking_for_it_names_the_extra(self):
        """As one clear ImportError."""
        code = """
        import cicd_common
        try:
            cicd_common.make_converter("msgspec")
        except ImportError as error:
            print(error)
        """
        expected = "the engine 'msgspec' needs the extra: pip install 'cicd-common[fast]'"
        assert run(self.BLOCK + textwrap.dedent(code)).strip() == expected


class TestVendored:
    USE = """
        import json, sys
        from datetime import UTC, datetime
        from uuid import UUID
        from theirs.lib.common import ContractError, ExecutionStatus, converter
        from theirs.lib.common.api.request import JobStatusUpdate
        from theirs.lib.common import logging, mapping, reports
        update = JobStatusUpdate(job_execution_id=UUID(int=1), sequence=1, status=ExecutionStatus.RUNNING,
                                 occurred_at=datetime(2026, 1, 31, tzinfo=UTC))
        assert converter.loads(converter.dumps(update), JobStatusUpdate) == update
        try:
            converter.loads(b"{}", JobStatusUpdate)
        except ContractError as error:
            print(len(error.problems), type(error).__module__, "cicd_common" in sys.modules)
    """

    @pytest.fixture
    def project(self, tmp_path):
        """Another project, with a copy under another name, two levels down."""
        (tmp_path / "theirs/lib").mkdir(parents=True)
        shutil.copytree(PACKAGE, tmp_path / "theirs/lib/common", ignore=shutil.ignore_patterns("__pycache__"))
        return tmp_path

    def test_works_without_an_installed_copy(self, project):
        """Nothing of that name can be found."""
        block = "import sys; sys.modules['cicd_common'] = None\n"
        assert run(block + textwrap.dedent(self.USE), cwd=project).split() == ["4", "theirs.lib.common.errors", "True"]

    def test_works_beside_an_installed_copy(self, project):
        """Each has its own types, which the other does not know."""
        code = """
        import cicd_common
        from theirs.lib.common import ContractError
        assert cicd_common.ContractError is not ContractError
        assert cicd_common.converter is not None
        """
        assert run(textwrap.dedent(self.USE) + textwrap.dedent(code), cwd=project).startswith("4 theirs")

    def test_asks_for_no_metadata(self):
        """A copy has none."""
        sources = {path: path.read_text() for path in PACKAGE.rglob("*.py")}
        assert [path for path, source in sources.items() if "importlib.metadata" in source] == []
        absolute = [path for path, source in sources.items() if f"import {PACKAGE.name}" in source]
        assert absolute == []


def test_the_version_has_a_section_in_the_changelog():
    """`scripts/check` looks at the same."""
    root = Path(__file__).parents[1]
    version = next(line for line in (root / "setup.cfg").read_text().splitlines() if line.startswith("version"))
    assert f"## [{version.split()[-1]}]" in (root / "CHANGELOG.md").read_text()
