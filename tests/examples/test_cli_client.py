"""What the CLI asks a Backend for, and how it answers bad use, bad answers and none."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from attrs import evolve
from cicd_system.cli.client import BackendError, Client
from cicd_system.cli.run import show_log

from cicd_common import ExecutionStatus, converter
from cicd_common.api.request import PipelineExecutionRequest, ReportRequest
from cicd_common.dto import JobExecutionDTO
from tests.support.examples.programs import Program
from tests.support.examples.repositories import commit, git, new_repository
from tests.support.examples.scripted_server import Server, answer
from tests.support.examples.waiting import DEADLINE, until

ID = UUID(int=1)
NOWHERE = "http://127.0.0.1:9"
STAGES = "name: a\nstages: [{name: s, jobs: [{name: j, script: [x]}]}]\n"
NO = answer(b'{"detail": "no"}', 422)
REFUSED = "the Backend answers 422: no\n"


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers with answers."""
    with contextlib.ExitStack() as stack:
        yield lambda *answers: stack.enter_context(contextlib.closing(Server(*answers)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.yaml"
    path.write_text(STAGES)
    return path


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its branches are main, with two commits, and other. In a directory of it is a definition."""
    path = new_repository(tmp_path_factory.mktemp("repositories") / "source")
    git(path, "tag", "v1")
    git(path, "checkout", "--quiet", "-b", "other")
    commit(path, "other")
    git(path, "checkout", "--quiet", "main")
    commit(path, "second")
    (path / "ci").mkdir()
    return path


def program(directory: Path, url: str, *arguments: str, **variables: str) -> Program:
    environment = {**os.environ, "CICD_TOKEN": "a-token-of-the-test", **variables}
    return Program("cli", "cicd_system.cli", ["--backend", url, *arguments], environment, directory)


def cli(url: str, *arguments: str, directory: Path = Path("/"), **variables: str) -> tuple[int, str, str]:
    """The exit code, the output and the errors."""
    done = program(directory, url, *arguments, **variables).run()
    assert "Traceback" not in done.stderr
    assert "a-token-of-the-test" not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


class TestRequest:
    @staticmethod
    def requested(serve, file: Path, *flags: str) -> PipelineExecutionRequest:
        server = serve(NO)
        here = file.parent.parent
        assert cli(server.url, "run", str(file), *flags, directory=here) == (3, "", REFUSED)
        return converter.loads(server.requests[0].body, PipelineExecutionRequest)

    @pytest.mark.parametrize(
        ("in_file", "flags", "branch", "expected"),
        [
            ("", [], "main", "main"),
            ("", ["--branch", "other"], "other", "other"),
            ("", ["--commit", "v1"], "main", "v1"),
            ("", ["--local"], "main", None),
            ("", ["--repo", "file://{repository}", "--branch", "other"], "other", "other"),
            ("branch: other", [], "other", "other"),
            ("commit_hash: v1", [], "main", "v1"),
            ("commit_hash: v1", ["--branch", "other"], "other", "other"),
            ("branch: main\ncommit_hash: v1", ["--branch", "main"], "main", "v1"),
        ],
    )
    def test_commit(self, serve, repository, in_file, flags, branch, expected):
        """By default it is the last one of the branch that is checked out in the repository around the file."""
        file = repository / "ci" / "pipeline.yaml"
        file.write_text(STAGES + in_file)
        request = self.requested(serve, file, *[flag.format(repository=repository) for flag in flags])
        assert request.branch == branch
        assert request.commit_hash == (expected and git(repository, "rev-parse", expected))
        assert request.is_local is (expected is None)
        assert request.repo == (repository.as_uri() if "--repo" in flags else str(repository))

    def test_other_repository(self, serve, repository, tmp_path):
        """One on the command line is relative to the working directory, and one in the file to the file.

        If a commit is checked out and no branch, it is the commit of the run.
        """
        copy = tmp_path / "copy"
        git(repository, "worktree", "add", "--quiet", "--detach", str(copy), "v1")
        first = git(repository, "rev-parse", "v1")
        (tmp_path / "elsewhere").mkdir()
        file = tmp_path / "elsewhere" / "pipeline.yaml"
        file.write_text(STAGES)
        request = self.requested(serve, file, "--repo", "copy")
        assert (request.repo, request.branch, request.commit_hash) == (str(copy), "main", first)
        git(copy, "checkout", "--quiet", "-b", "third")
        file.write_text(f"{STAGES}repo_url: ../copy\n")
        request = self.requested(serve, file)
        assert (request.repo, request.branch, request.commit_hash) == (str(copy), "third", first)

    def test_flags(self, serve, file):
        """Variables and an id are sent as they were given."""
        request = self.requested(serve, file, "--env", "WORD=a=b", "--env", "NONE=", "--request-id", str(ID))
        assert (request.request_id, dict(request.environment)) == (ID, {"WORD": "a=b", "NONE": ""})

    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (["--branch", "none"], "the branch has no commit"),
            (["--commit", "none"], "git knows no such commit"),
            (["--commit", ""], "git knows no such commit"),
            (["--commit", "--path-format=x"], "git knows no such commit"),
            (["--local", "--commit", "v1"], "expected --local with a directory as the repository and without --commit"),
            (["--local", "--repo", "https://x/r.git"], "expected --local with a directory"),
            (["--repo", "http://user:hunter2@127.0.0.1:9/r.git"], "127.0.0.1:9/r.git"),
            (["--repo", "fd::17"], "transport 'fd' not allowed"),
            (["--branch", "a\nb"], "/branch: expected a name"),
            (["--env", "WORD"], "expected NAME=VALUE behind --env"),
            (["--env", "A B=c"], "/A B: expected a name of ASCII letters"),
        ],
    )
    def test_wrong(self, repository, flags, said):
        """Nothing is sent, no password is shown, and no program of a URL is run."""
        file = repository / "ci" / "pipeline.yaml"
        file.write_text(STAGES)
        code, _, errors = cli(NOWHERE, "run", str(file), *flags)
        assert code == 2
        assert said in errors
        assert "hunter2" not in errors


@pytest.mark.parametrize(("name", "step"), [("..", "%2E%2E"), ("a/b?c", "a%2Fb%3Fc"), ("%2e", "%252e")])
def test_names_in_paths(serve, name, step):
    """Each name is one step of the path, whatever it contains."""
    server = serve(NO)
    with contextlib.closing(Client(server.url, None, patience=0)) as client, pytest.raises(BackendError):
        client.report(ReportRequest(pipeline_name=name))
    assert server.requests[0].path == f"/api/report/pipeline/{step}?limit=20"


def test_sent_again(serve, file):
    """A request without an answer is sent again as it was, with its id: it starts no second run."""
    server = serve(b"", answer(b"[]", 503), answer(b"<html>"), answer(status=429), NO, NO)
    for _ in range(2):
        assert cli(server.url, "--patience", "60", "run", str(file)) == (3, "", REFUSED)
    first, *others, last = [converter.loads(request.body, PipelineExecutionRequest) for request in server.requests]
    assert others == [first] * 4
    assert last.request_id != first.request_id


@pytest.mark.parametrize("token", ["short", ""])
def test_problems(serve, token):
    """All problems are shown, with control characters escaped and without markup. A short token causes no log line."""
    detail = r'"ReportRequest: 2 problems\n  /a: expected \u001b[2J\n  /b: expected [red]"'
    server = serve(answer(f'{{"detail": {detail}}}'.encode(), 422))
    _, _, errors = cli(server.url, "report", "x", CICD_TOKEN=token)
    assert errors.splitlines()[1:] == ["  /a: expected \\x1b[2J", "  /b: expected [red]"]
    assert server.requests[0].headers.get("authorization") == (f"Bearer {token}" if token else None)


def test_nobody():
    """If nobody answers in time, it says so without the password of the URL."""
    done = cli("http://someone:secret@127.0.0.1:9", "--patience", "0", "report", "x")
    assert done == (3, "", "no Backend answers at http://127.0.0.1:9: ConnectError\n")


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["report", "x", "--job", "y"], {}, "/stage_name: "),
        (["report", "x", "--limit", "0"], {}, "/limit: "),
        (["report", "x", "--status", "DONE"], {}, "'DONE' is not one of"),
        (["status", " x#1"], {}, "/pipeline_name: "),
        (["check", "/"], {}, "'/' is a directory"),
        (["logs", str(ID), "j", "--events"], {}, "expected --events without a job"),
        (["--backend", "ftp://x", "runs"], {}, "expected the Backend's URL to begin with http"),
        (["runs"], {"CICD_TOKEN": "two words"}, "expected printable characters of ASCII"),
    ],
)
def test_bad_use(arguments, variables, said):
    """It has another exit code than a refusal of the Backend."""
    code, output, errors = cli(NOWHERE, *arguments, **variables)
    assert (code, output) == (2, "")
    assert said in errors
    assert "two words" not in errors


def test_check_and_plan(file):
    """They need no Backend."""
    assert cli(NOWHERE, "check", str(file)) == (0, f"{file}: pipeline a, 1 stages, 1 jobs\n", "")
    assert cli(NOWHERE, "plan", str(file)) == (0, "s:\n  1. j\n", "")
    file.write_text("name: fine\n")
    assert cli(NOWHERE, "check", str(file)) == (2, "", f"{file}:1:1: /stages: missing: expected a list\n")


def test_interrupted(serve, file):
    """If it is interrupted before the answer, it says that the run may have started, and how to ask again."""
    server = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{}")
    process = program(file.parent, server.url, "run", str(file))
    process.start()
    until(lambda: server.requests, "the request")
    process.send(signal.SIGINT)
    until(lambda: not process.runs, "its end")
    assert process.exit_code == 130
    said = "it is not known whether the run has started; to ask again, .*: --request-id [0-9a-f-]{36}\n"
    assert re.fullmatch(said, process.log.read_text())


def most_memory(serve, pages: int) -> int:
    """The most memory in bytes that showing a log of pages of 100 kB takes, without the garbage collector."""
    ids = dict.fromkeys(("id", "stage_execution_id", "job_id"), ID)
    record = JobExecutionDTO(**ids, status=ExecutionStatus.SUCCESS, logs="x" * 99_999 + "\n")
    records = [evolve(record, last_sequence=number) for number in range(1, pages + 1)]
    records.append(evolve(record, logs="", last_sequence=pages))
    server = serve(*[answer(converter.dumps(each)) for each in records])
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        with contextlib.closing(Client(server.url, None, patience=0)) as client:
            show_log(client, record.id, follow=False)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()


def test_log_of_any_size(serve, monkeypatch):
    """The memory for showing a log depends on the size of a page, and not on the size of the log."""
    with Path(os.devnull).open("w") as nowhere:
        monkeypatch.setattr(sys, "stdout", nowhere)
        most_memory(serve, 1)  # Imports and caches are not counted.
        assert most_memory(serve, 30) < most_memory(serve, 5) + 500_000


def test_starts_fast():
    """The command line does not import the libraries of the Backend and the Worker."""
    code = (
        "import cicd_system.cli.__main__, sys; print({'celery', 'kombu', 'sqlalchemy', 'starlette'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, check=True)
    assert done.stdout == "set()\n"
