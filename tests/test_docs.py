"""The documentation: its examples run, its links work, and its reference is complete."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import attrs
import httpx
import pytest

import cicd_common
from cicd_common import ExecutionStatus, dumps, loads
from cicd_common.api.request import JobExecutionRequest, PipelineExecutionRequest
from cicd_common.model import Job, Pipeline, Stage
from tests.support.contract import TYPES
from tests.support.sessions import DOCS, files_of, run_sessions

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(page for page in DOCS.rglob("*.md") if not {"_build", "_generated"} & {*page.parts})]
# Other tests run the examples of these pages: with a server, with a check of the output, or as files.
OWN_TESTS = {
    *(f"docs/how-to/{name}.md" for name in ("events", "logging", "traces")),
    *(f"docs/tutorial/{name}.md" for name in ("backend", "worker")),
}
generate = runpy.run_path(str(DOCS / "generate.py"))


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


WITH_EXAMPLES = [
    page for page in PAGES if "```python" in page.read_text(encoding="utf-8") and name_of(page) not in OWN_TESTS
]


@pytest.mark.parametrize("page", sorted(WITH_EXAMPLES), ids=name_of)
def test_examples_run(page: Path, tmp_path: Path) -> None:
    """The examples of a page run, one after the other. `root` is an empty directory."""
    run_sessions(page, root=tmp_path)


def links(page: Path) -> list[str]:
    """The relative links of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub and MyST make them."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", sorted(PAGES), ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link names an existing file, and its anchor is a heading of this file."""
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", sorted(PAGES), ids=name_of)
def test_files_that_are_named_exist(page: Path) -> None:
    """Each path of this repository in the text or in a command exists."""
    named = re.findall(
        r"(?<![\w./-])(?:\.ci|benchmarks|docs|examples|scripts|tests)/[\w./-]*\w", page.read_text("utf-8")
    )
    absent = [path for path in named if not (ROOT / path).exists() and "_build" not in path]
    assert page.name == "CHANGELOG.md" or absent == []


class TestReference:
    def test_every_field_is_in_the_tables(self) -> None:
        """The section of a type has a row for each field, in the order of the fields."""
        sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", generate["tables"](), re.MULTILINE | re.DOTALL))
        rows = {name: re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) for name, text in sections.items()}
        for cls in TYPES:
            if cls.__name__ in rows:
                assert rows[cls.__name__] == [field.name for field in attrs.fields(cls)]
        assert {"JobStatusUpdate", "PipelineDTO", "PipelineExecution", "EndReason"} <= sections.keys()

    @pytest.mark.parametrize(
        ("node", "words"),
        [
            ({"type": "integer", "minimum": 1, "maximum": 2**63 - 1}, "integer, at least 1"),
            ({"type": "array", "items": {"type": "string"}, "minItems": 1}, "array of string, at least one"),
            ({"anyOf": [{"$ref": "#/$defs/EndReason"}, {"type": "null"}]}, "[EndReason](#endreason) or null"),
            ({"type": "string", "format": "uuid"}, "UUID"),
        ],
    )
    def test_types_are_said_in_words(self, node: dict[str, object], words: str) -> None:
        """Types are described in short words."""
        assert generate["json_type"](node) == words

    def test_every_face_has_a_page(self) -> None:
        """Every public package and every integration has a page in the reference."""
        pages = {page.stem for page in (DOCS / "reference" / "api").glob("*.md")} - {"index"}
        listed = re.findall(r"^([\w.]+)$", (DOCS / "reference" / "api" / "index.md").read_text("utf-8"), re.MULTILINE)
        package = Path(cicd_common.__file__).parent
        directories = {path.parent.relative_to(package).as_posix() for path in package.rglob("__init__.py")} - {"."}
        modules = {
            path.relative_to(package).with_suffix("").as_posix() for path in package.glob("integrations/[a-z]*.py")
        }
        faces = {path.replace("/", ".") for path in directories | modules if "/_" not in f"/{path}"}
        assert pages == set(listed)
        assert faces - {"api", "integrations", "store.migrations", "store.migrations.versions"} <= pages


def test_the_diagram_of_statuses_is_that_of_the_code() -> None:
    """The diagram has an arrow for each allowed change of a status, and no others."""
    text = (DOCS / "explanation" / "executions.md").read_text(encoding="utf-8")
    arrows = set(re.findall(r"^    ([A-Z]+) --> ([A-Z]+)$", text, re.MULTILINE))
    assert arrows == {
        (old.value, new.value) for old in ExecutionStatus for new in ExecutionStatus if old.can_become(new)
    }


class TestTutorial:
    """The files that a reader of the tutorial has at the end."""

    FILES = files_of(DOCS / "tutorial" / "backend.md") | files_of(DOCS / "tutorial" / "worker.md")

    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        for name, text in self.FILES.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path

    @staticmethod
    def pytest_in(directory: Path, *arguments: str) -> str:
        """Run pytest in a directory, in a new process, and return its output."""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False).stdout

    @pytest.mark.parametrize("tests", ["test_backend.py", "test_worker.py"])
    def test_what_it_builds_conforms(self, directory: Path, tests: str) -> None:
        """The programs of the tutorial pass all tests of the conformance kit, and none is skipped."""
        # A busy machine may stop a program for longer than the lease of the kit.
        path = directory / tests
        text = path.read_text().replace("lease_seconds=2", "lease_seconds=8")
        text = re.sub(r"(class \w+\(\w+Conformance\):\n)", r"\1    lease_seconds = 8\n", text)
        path.write_text(text, encoding="utf-8")
        assert re.search(r"^\d+ passed in ", self.pytest_in(directory, tests), re.MULTILINE)

    def test_three_tests_need_help(self, directory: Path) -> None:
        """Three tests are skipped before the tutorial adds the fixtures for them."""
        path = directory / "test_backend.py"
        path.write_text(path.read_text().partition("\n    @pytest.fixture\n    def handed_out")[0], encoding="utf-8")
        selected = "jobs_are_handed_out_once or lost_job or heard_of or start_is_answered"
        assert re.search(
            r"^1 passed, 3 skipped", self.pytest_in(directory, "test_backend.py", "-k", selected), re.MULTILINE
        )

    def test_a_broken_backend_is_found(self, directory: Path) -> None:
        """A broken Backend fails a test with the message that the tutorial shows."""
        path = directory / "backend.py"
        broken = path.read_text().replace("201 if started.jobs else 200", "200")
        path.write_text(broken, encoding="utf-8")
        output = self.pytest_in(directory, "test_backend.py", "-k", "start_is_answered")
        assert re.search(r'AssertionError: expected 201, found 200: \{"execution_id":', output)

    def test_the_program_runs(self, directory: Path) -> None:
        """The program of the tutorial starts a pipeline on request, and prints the message for its job."""
        pipeline = Pipeline(name="a", repo_url="r", stages=(Stage(name="s", jobs=(Job(name="j", script=("true",)),)),))
        request = PipelineExecutionRequest(request_id=uuid4(), repo="r", pipeline=pipeline)
        command = [sys.executable, "main.py", "0"]
        with subprocess.Popen(
            command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as program:
            try:
                assert program.stderr
                assert program.stdout
                [url] = next(filter(None, (re.findall(r"running on (\S+)", line) for line in program.stderr)))
                assert httpx.post(f"{url}/api/pipeline/execute", content=dumps(request), timeout=60).status_code == 201
                assert loads(program.stdout.readline(), JobExecutionRequest).job_name == "j"
            finally:
                program.kill()
