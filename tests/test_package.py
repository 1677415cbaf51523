"""The package as a whole: imports, exports, use without msgspec, copies in other projects, and the sdist."""

import io
import json
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import textwrap
from configparser import ConfigParser
from pathlib import Path

import pytest

import cicd_common
from cicd_common.schema import schema
from tests.support.contract import modules

PACKAGE = Path(cicd_common.__file__).parent
repacked = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "repack_sdist.py"))["repacked"]
# Modules that need an extra.
EXTRAS = ("cicd_common.store", "cicd_common._wire.msgspec_engine")


def run(code: str, *, cwd: Path | None = None, options: tuple[str, ...] = ()) -> str:
    """Run a program in a new interpreter and return its output."""
    command = [sys.executable, *options, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def everything():
    """Every module of the package that needs no extra."""
    found = [
        cicd_common,
        *modules(
            "__main__",
            "_wire",
            "api",
            "converter",
            "dto",
            "enums",
            "errors",
            "fields",
            "kinds",
            "mapping",
            "model",
            "reports",
            "schema",
        ),
    ]
    return [module for module in found if not module.__name__.startswith(EXTRAS)]


class TestExports:
    @pytest.mark.parametrize("module", everything(), ids=lambda module: module.__name__)
    def test_all_is_sorted_and_true(self, module):
        """`__all__` is sorted as ruff sorts it (constants, classes, functions), and each name exists."""
        names = getattr(module, "__all__", [])
        assert sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name)) == names
        assert [name for name in names if not hasattr(module, name)] == []

    def test_the_face_exports_what_it_imports(self):
        """Every public name of the package is in `__all__` or is a module."""
        public = {name for name, value in vars(cicd_common).items() if not name.startswith("_")}
        inside = {path.stem for path in PACKAGE.iterdir()}
        assert public - inside - set(cicd_common.__all__) == set()


class TestTypes:
    def test_mypy_follows_them_from_another_project(self, tmp_path):
        """mypy finds the types of the installed package, editable or from a wheel."""
        program = """
        import cicd_common
        from cicd_common.model import Job

        reveal_type(cicd_common.loads(b"", Job).name)
        Job(name=1, script=("make",))
        """
        (tmp_path / "use.py").write_text(textwrap.dedent(program))
        command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir=cache", "use.py"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.stdout.splitlines() == [
            'use.py:5: note: Revealed type is "str"',
            'use.py:6: error: Argument "name" to "Job" has incompatible type "int"; expected "str"  [arg-type]',
        ], done.stderr


class TestImport:
    LOADED = """
        import sys
        before = set(sys.modules)
        import cicd_common, cicd_common.mapping, cicd_common.reports, cicd_common.logging, cicd_common.kinds
        import cicd_common.schema, cicd_common.__main__
        print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
    """

    def test_loads_attrs_and_cattrs_and_nothing_else(self):
        """An import loads only attrs, cattrs, the standard library, and msgspec if it is installed."""
        loaded = set(run(self.LOADED).split()) - set(sys.stdlib_module_names)
        loaded = {name for name in loaded if not name.startswith("_")}
        assert loaded - {"msgspec", "typing_extensions"} == {"attr", "attrs", "cattr", "cattrs", "cicd_common"} & loaded
        assert {"attr", "cattrs"} <= loaded

    def test_configures_no_logging(self):
        """An import does not change the root logger."""
        code = "import logging, cicd_common, cicd_common.logging; print(logging.root.handlers, logging.root.level)"
        assert run(code).split() == ["[]", "30"]


class TestWithoutMsgspec:
    BLOCK = "import sys; sys.modules['msgspec'] = None\n"

    def test_the_engine_is_json(self):
        """Without msgspec, the default engine is json."""
        assert (
            run(self.BLOCK + "from cicd_common.converter import converter; print(converter.engine)").strip() == "json"
        )

    def test_asking_for_it_names_the_extra(self):
        """Without msgspec, asking for this engine raises an ImportError that names the extra."""
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
        from theirs.lib.common import ContractError, ExecutionStatus, dumps, loads
        from theirs.lib.common.api.request import JobStatusUpdate
        from theirs.lib.common import kinds, logging, mapping, reports
        from theirs.lib.common.schema import compare, schema
        update = JobStatusUpdate(job_execution_id=UUID(int=1), sequence=1, status=ExecutionStatus.RUNNING,
                                 occurred_at=datetime(2026, 1, 31, tzinfo=UTC), worker="worker")
        assert loads(dumps(update), JobStatusUpdate) == update
        assert compare(schema(), schema()) == []
        try:
            loads(b"{}", JobStatusUpdate)
        except ContractError as error:
            print(len(error.problems), type(error).__module__, "cicd_common" in sys.modules)
    """

    @pytest.fixture
    def project(self, tmp_path):
        """Another project, with a copy of the package under another name, two levels deep."""
        (tmp_path / "theirs/lib").mkdir(parents=True)
        shutil.copytree(PACKAGE, tmp_path / "theirs/lib/common", ignore=shutil.ignore_patterns("__pycache__"))
        return tmp_path

    def test_works_without_an_installed_copy(self, project):
        """A copy works if no package named cicd_common is installed."""
        block = "import sys; sys.modules['cicd_common'] = None\n"
        assert run(block + textwrap.dedent(self.USE), cwd=project).split() == ["5", "theirs.lib.common.errors", "True"]

    def test_has_the_command_line(self, project):
        """The command line of a copy prints the same schema."""
        command = [sys.executable, "-m", "theirs.lib.common", "schema"]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == schema()

    def test_works_beside_an_installed_copy(self, project):
        """A copy and an installed package work in the same process, with different types."""
        code = """
        import cicd_common
        from theirs.lib.common import ContractError
        assert cicd_common.ContractError is not ContractError
        assert cicd_common.converter.converter is not None
        """
        assert run(textwrap.dedent(self.USE) + textwrap.dedent(code), cwd=project).startswith("5 theirs")

    def test_asks_for_no_metadata(self):
        """The package does not read its own metadata, and imports itself only relatively, so that copies work."""
        sources = {path: path.read_text() for path in PACKAGE.rglob("*.py")}
        asking = {path.name for path, source in sources.items() if "importlib.metadata" in source}
        assert asking == {"kinds.py"}
        assert re.findall("importlib.metadata.*", (PACKAGE / "kinds.py").read_text()) == [
            "importlib.metadata import entry_points"
        ]
        absolute = [path for path, source in sources.items() if f"import {PACKAGE.name}" in source]
        assert absolute == []


class TestSdist:
    def test_is_repacked_the_same(self):
        """Archives of the same files become the same bytes, even with other times, owners, permissions and order."""
        assert repacked(self.archive(1), 1_700_000_000) == repacked(self.archive(2), 1_700_000_000)

    def test_keeps_the_files(self):
        """The files of the archive keep their content, and scripts stay executable."""
        with tarfile.open(fileobj=io.BytesIO(repacked(self.archive(1), 1_700_000_000))) as archive:
            found = {each.name: (each.mode, each.mtime, archive.extractfile(each).read()) for each in archive}
        assert found == {"p/a": (0o644, 1_700_000_000, b"a"), "p/run": (0o755, 1_700_000_000, b"run")}

    @staticmethod
    def archive(seed: int) -> bytes:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as archive:
            for name in sorted(["p/a", "p/run"], reverse=seed == 1):
                member = tarfile.TarInfo(name)
                content = name.removeprefix("p/").encode()
                member.size, member.mtime, member.uid, member.uname = len(content), seed, seed, f"user{seed}"
                member.mode = (0o700 if seed == 1 else 0o755) if name == "p/run" else (0o600 if seed == 1 else 0o664)
                archive.addfile(member, io.BytesIO(content))
        return data.getvalue()


def test_the_version_is_that_of_the_distribution():
    """`__version__` is a literal, because copies of the package have no metadata. It equals that in `setup.cfg`."""
    setup = ConfigParser()
    setup.read(Path(__file__).parents[1] / "setup.cfg")
    assert cicd_common.__version__ == setup["metadata"]["version"]


def test_the_version_has_a_section_in_the_changelog():
    """The changelog has a section for the version in `setup.cfg`."""
    root = Path(__file__).parents[1]
    version = next(line for line in (root / "setup.cfg").read_text().splitlines() if line.startswith("version"))
    assert f"## [{version.split()[-1]}]" in (root / "CHANGELOG.md").read_text()
