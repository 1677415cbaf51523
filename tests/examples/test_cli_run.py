"""The CLI as a process with its own system: what it runs, what it shows, and its exit codes."""

from __future__ import annotations

import contextlib
import os
import platform
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from cicd_common import ExecutionStatus
from tests.support.examples.proxy import Fault, HttpProxy, once
from tests.support.examples.settings import SETTINGS
from tests.support.examples.system import System
from tests.support.examples.waiting import DEADLINE, until

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
SCRIPTS = Path(__file__).parents[2] / "scripts"
RUN_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def own_system(tmp_path_factory):
    """A system on the embedded defaults."""
    directory = tmp_path_factory.mktemp("cli")
    with SETTINGS["embedded"](directory) as setting, System.on(setting, directory) as system:
        yield system


def git(repository: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(repository), *identity, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(repository: Path, word: str) -> str:
    """Let the repository's file hold a word, and commit it."""
    (repository / "word").write_text(f"the word is {word}\n")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", word)
    return git(repository, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path):
    """A repository with the branches main, which is checked out, and other."""
    path = tmp_path / "source"
    path.mkdir()
    git(path, "init", "--quiet", "--initial-branch", "main")
    commit(path, "first")
    git(path, "checkout", "--quiet", "-b", "other")
    commit(path, "other")
    git(path, "checkout", "--quiet", "main")
    commit(path, "second")
    return path


def write(directory: Path, name: str, *jobs: str, script: str = "cat word") -> Path:
    """A file with a definition of one stage."""
    file = directory / "pipeline.yaml"
    lines = [f"      - name: {job}\n        script:\n          - |-\n            {script}\n" for job in jobs or ["job"]]
    file.write_text(f"name: {name}\nstages:\n  - name: stage\n    jobs:\n{''.join(lines)}")
    return file


def log_of(system: System, name: str) -> str:
    answer = system.api.request("GET", f"/api/report/pipeline/{name}/stage/stage/job/job")
    return answer.json()["executions"][0]["logs"]


class TestWhatIsRun:
    @pytest.mark.parametrize(
        ("flags", "word"),
        [
            ([], "second"),
            (["--no-local"], "second"),
            (["--branch", "other"], "other"),
            (["--commit", "main~1"], "first"),
            (["--local"], "changed"),
        ],
        ids=" ".join,
    )
    def test_commit(self, own_system, repository, flags, word):
        """Runs are for the last commit of the branch that is checked out, if nothing else is asked for."""
        name = f"commit{'-'.join(flags).replace('~', '')}"
        file = write(repository, name)
        (repository / "word").write_text("the word is changed\n")
        done = own_system.cli("run", str(file), *flags)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"the word is {word}\n" in log_of(own_system, name)

    def test_detached_head(self, own_system, repository):
        """Where a commit is checked out and no branch, that commit is run, and not the head of the default branch."""
        git(repository, "checkout", "--quiet", "--detach", "main~1")
        done = own_system.cli("run", str(write(repository, "detached")))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the word is first\n" in log_of(own_system, "detached")

    def test_repository(self, own_system, repository, tmp_path):
        """One that is named on the command line is the one that jobs get, relative to where one is."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        file = write(elsewhere, "repository")
        repo = os.path.relpath(repository, own_system.directory)
        assert own_system.cli("run", str(file), "--repo", repo).returncode == 0
        assert "the word is second\n" in log_of(own_system, "repository")

    @pytest.mark.usefixtures("repository")
    def test_repository_in_the_file(self, own_system, tmp_path):
        """One that is named in the file is relative to the file."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        file = write(elsewhere, "in-the-file")
        file.write_text(file.read_text() + "repo_url: ../source\nbranch: other\n")
        assert own_system.cli("run", str(file)).returncode == 0
        assert "the word is other\n" in log_of(own_system, "in-the-file")

    def test_url(self, own_system, repository):
        """A repository can be a URL."""
        file = write(repository, "url")
        done = own_system.cli("run", str(file), "--repo", repository.as_uri(), "--branch", "other")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the word is other\n" in log_of(own_system, "url")

    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (["--branch", "none"], "the branch has no commit"),
            (["--commit", "none"], "git knows no such commit"),
            (["--commit", "--help"], "git knows no such commit"),
            (["--repo", "http://user:hunter2@127.0.0.1:9/r.git"], "http://127.0.0.1:9/r.git"),
            (["--repo", "ext::sh -c touch% x"], "transport 'ext' not allowed"),
            (["--branch", "a\nb"], "/branch: expected a name"),
        ],
    )
    def test_none(self, own_system, repository, flags, said):
        """A missing branch, commit or repository is bad use; no password is shown, and no program is run."""
        done = own_system.cli("run", str(write(repository, "none")), *flags)
        assert done.returncode == 2
        assert said in done.stderr
        assert "hunter2" not in done.stderr

    def test_variables(self, own_system, repository):
        """Those of the command line reach every job."""
        file = write(repository, "variables", script="echo the word is $WORD")
        assert own_system.cli("run", str(file), "--env", "WORD=a=b").returncode == 0
        assert "the word is a=b\n" in log_of(own_system, "variables")
        wrong = own_system.cli("run", str(file), "--env", "WORD")
        assert (wrong.returncode, "expected NAME=VALUE" in wrong.stderr) == (2, True)

    def test_once_more(self, own_system, repository):
        """`rerun` runs the commit and the variables of the run, whatever was committed meanwhile."""
        file = write(repository, "again", script='cat word; echo "for $WHOM"')
        first = own_system.cli("run", str(file), "--env", "WHOM=all", "--detach")
        (run,) = RUN_ID.findall(first.stdout)
        commit(repository, "third")
        flags = ("--request-id", str(uuid4()))  # As after an answer that was lost.
        for _ in range(2):
            done = own_system.cli("rerun", run, *flags)
            assert (done.returncode, done.stdout.startswith("run 2 of again: ")) == (0, True)
        log = log_of(own_system, "again")
        assert "the word is second\n" in log
        assert "for all\n" in log

    def test_what_a_run_left(self, own_system, repository):
        """Output by the name of a job, and the list of artifacts."""
        file = write(repository, "left", "one", "two")
        file.write_text(file.read_text() + "        artifacts: [word]\n")
        (run,) = RUN_ID.findall(own_system.cli("run", str(file)).stdout)
        shown = own_system.cli("logs", run, "two", "--follow")
        assert (shown.returncode, "the word is second\n" in shown.stdout) == (0, True)
        job, size, _, path = own_system.cli("artifacts", run).stdout.rstrip("\n").split("\t")
        assert (job, size, path) == ("two", "19", "word")
        wrong = own_system.cli("logs", run, "three")
        assert (wrong.returncode, "has no job three; it has one, two" in wrong.stderr) == (2, True)
        assert own_system.cli("logs", run, "--events").returncode == 0
        assert own_system.cli("explain", run).stdout.startswith("SUCCESS: ")

    def test_hostile_names(self, own_system, repository, tmp_path):
        """Files stay in the directory that was named, and each has one line; what cannot be written is said."""
        file = write(repository, "names", "..", script=r"""printf x > "$(printf 'a\nb')" """)
        file.write_text(file.read_text() + "        artifacts: [a*]\n")
        (run,) = RUN_ID.findall(own_system.cli("run", str(file)).stdout)
        target = tmp_path / "in" / "target"
        listed = own_system.cli("artifacts", run, "--download", str(target)).stdout
        assert (listed[:5], listed[-6:]) == ("..\t1\t", "\ta\\nb\n")
        assert [path for path in tmp_path.glob("in/**/*") if path.is_file()] == [target / "%2E%2E" / "a\nb"]
        done = own_system.cli("artifacts", run, "--download", str(file / "in"))
        assert (done.returncode, done.stderr) == (2, f"{file}/in/%2E%2E: Not a directory\n")

    def test_lost_answer(self, own_system, repository):
        """Where the answer to the start of a run is lost, the run is found again, and no second one is started."""
        file = write(repository, "lost", script="true")
        backend = urlsplit(own_system.urls[0])
        with HttpProxy((backend.hostname, backend.port), plan=once(Fault.LOST)) as proxy:
            flags = ("--detach", "--request-id", str(uuid4()))
            done = own_system.cli("run", str(file), *flags, CICD_BACKEND=f"http://127.0.0.1:{proxy.port}")
            assert (done.returncode, proxy.faults[Fault.LOST]) == (0, 1)
        assert own_system.cli("run", str(file), *flags).stdout == done.stdout
        assert done.stdout.startswith("run 1 of lost: ")
        assert len(own_system.cli("runs", "lost").stdout.splitlines()) == 2

    def test_kind(self, own_system, repository):
        """A job of a kind that no Worker runs waits, and is run once there is one that does."""
        file = repository / "pipeline.yaml"
        file.write_text("name: kind\nstages: [{name: stage, jobs: [{name: job, kind: acme.show}]}]\n")
        (run,) = RUN_ID.findall(own_system.cli("run", str(file), "--detach").stdout)
        assert "no job has started" in own_system.cli("explain", run).stdout
        own_system.add_workers(1, "--kind", "acme.show=cat")
        path = f"/api/pipeline/status/{run}"
        until(lambda: own_system.api.request("GET", path).json()["status"] == "SUCCESS", "the end of the run")
        assert '"kind":"acme.show"' in log_of(own_system, "kind")

    def test_same_name(self, own_system, repository):
        """A definition that has changed goes on with the numbers of the old one, and its runs are told apart."""
        first = own_system.cli("run", str(write(repository, "same", "one", "two", script="true")))
        second = own_system.cli("run", str(write(repository, "same", "two", script="echo of the second; exit 4")))
        third = own_system.cli("run", str(write(repository, "same", "three", script="true")))
        assert [done.returncode for done in (first, second, third)] == [0, 1, 0]
        for number, done in enumerate((first, second, third), 1):
            assert done.stdout.startswith(f"run {number} of same: ")
        assert "of the second" in second.stdout
        assert ("one" in second.stdout, "stage / three: SUCCESS" in third.stdout) == (False, True)


class TestWhatIsShown:
    def test_names(self, own_system, repository):
        """Names and output are shown as they are: nothing is markup, nothing moves the cursor."""
        name, job = "[red]a/b%?#[/red]", "[bold]..[/bold]"
        file = write(repository, f"'{name}'", f"'{job}'", script=r"printf '\033[2J[blink]x\r\ny\303\274\n'; exit 1")
        done = own_system.cli("run", str(file))
        assert done.returncode == 1
        assert f"of {name}: " in done.stdout
        assert f"stage / {job}: FAILED\n" in done.stdout
        assert "\\x1b[2J[blink]x\\r\nyü\n" in done.stdout
        table = own_system.cli("report", name, "--stage", "stage").stdout
        assert f"{job} (FAILED)" in table
        table = own_system.cli("report", name, "--stage", "stage", "--job", job).stdout
        shown = own_system.cli("logs", RUN_ID.findall(table)[0]).stdout
        assert "\\x1b[2J[blink]x\\r\n" in shown
        assert not CONTROL.search(done.stdout + table + shown)

    def test_no_terminal(self, own_system, repository):
        """Each change is a line, whatever the environment says of colours."""
        forced = {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "TERM": "xterm-256color"}
        done = own_system.cli("run", str(write(repository, "plain", script="true")), **forced)
        lines = done.stdout.splitlines()
        assert {"  stage / job: SUCCESS", "stage: SUCCESS"} <= set(lines)
        assert lines[-1] == "run 1: SUCCESS"
        assert not CONTROL.search(done.stdout + own_system.cli("report", "plain", **forced).stdout)

    def test_encoding(self, own_system, repository):
        """Characters that the output cannot show are escaped."""
        file = write(repository, "a日", script="exit 1")
        program = own_system.cli_program("run", str(file), PYTHONIOENCODING="latin-1")
        program.is_forked = False
        done = program.run()
        assert done.returncode == 1
        assert "run 1 of a\\u65e5: " in done.stdout

    def test_json(self, own_system, repository):
        """A report as JSON is what the Backend says, to the byte."""
        own_system.cli("run", str(write(repository, "json", script="true")))
        for names, path in (([], ""), (["--stage", "stage"], "/stage/stage")):
            answer = own_system.api.request("GET", f"/api/report/pipeline/json{path}", params={"run_number": 1})
            told = own_system.cli("report", "json", *names, "--run", "1", "--format", "json")
            assert told.stdout.encode() == answer.content

    def test_pages(self, own_system, repository):
        """A report prints the cursor of the next page, and accepts it."""
        file = write(repository, "pages", script="true")
        for _ in range(2):
            own_system.cli("run", str(file))
        first = own_system.cli("report", "pages", "--limit", "1").stdout.splitlines()
        assert first[1].startswith("2 ")
        second = own_system.cli("report", "pages", *first[-1].removeprefix("more: ").split()).stdout.splitlines()
        assert [line.split()[0] for line in second[1:]] == ["1"]

    @pytest.mark.parametrize(
        ("redirection", "end"),
        [
            ("> /dev/full", (2, "the output: No space left on device\n")),
            (">&- <&-", (0, "")),
            ("| true", (0, "")),
        ],
    )
    def test_output_that_cannot_be_written(self, own_system, redirection, end):
        """A full disk is told in one line; a reader that has gone, and an output that is closed, are no error."""
        program = own_system.cli_program("runs")
        done = subprocess.run(
            ["sh", "-c", f'"$@" {redirection}', "sh", *program.command],
            env=program.environment,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == end

    def test_filter(self, own_system, repository):
        """A report can be of one status alone."""
        own_system.cli("run", str(write(repository, "filter", script="true")))
        shown = own_system.cli("report", "filter", "--status", "success").stdout.splitlines()
        assert len(shown) == 2
        assert len(own_system.cli("report", "filter", "--status", "FAILED").stdout.splitlines()) == 1

    def test_last_lines(self, own_system, repository):
        """Of the log of a job that has failed the end is shown, and where the whole is; no more is even fetched."""
        file = write(repository, "long", script="seq 200000; exit 1")
        backend = urlsplit(own_system.urls[0])
        with HttpProxy((backend.hostname, backend.port)) as proxy:
            done = own_system.cli("run", str(file), CICD_BACKEND=f"http://127.0.0.1:{proxy.port}")
            fetched = sum(len(exchange.answer.body) for exchange in proxy.exchanges)
        assert "\n200000\n" in done.stdout
        assert "\n199000\n" not in done.stdout
        assert fetched < 200_000
        (job,) = re.findall(r"all: logs (\S+)", done.stdout)
        assert "\n50\n" in own_system.cli("logs", job).stdout

    def test_allowed_failure(self, own_system, repository):
        """It is told apart from one that makes the run fail."""
        file = write(repository, "allowed", script="exit 3")
        file.write_text(file.read_text() + "        allow_failure: true\n")
        done = own_system.cli("run", str(file))
        assert (done.returncode, "stage / job: FAILED, allowed\n" in done.stdout) == (0, True)
        assert "\n--- job: FAILED, allowed\n" in done.stdout
        assert "job (FAILED, allowed)" in own_system.cli("report", "allowed", "--stage", "stage").stdout
        assert "FAILED, allowed" in own_system.cli("report", "allowed", "--stage", "stage", "--job", "job").stdout

    def test_runs(self, own_system, repository):
        """Without a name, the last run of each pipeline, newest first; with one, its last runs."""
        for name in ("older", "newer", "newer"):
            own_system.cli("run", str(write(repository, name, script="true")))
        _, *lines = own_system.cli("runs").stdout.splitlines()
        assert [line.split()[:3] for line in lines[:2]] == [["newer", "2", "SUCCESS"], ["older", "1", "SUCCESS"]]
        assert len({line.split()[0] for line in lines}) == len(lines)
        _, *lines = own_system.cli("runs", "newer").stdout.splitlines()
        assert [line.split()[0] for line in lines] == ["2", "1"]


class TestRefused:
    @pytest.mark.parametrize("token", ["not-the-right-token", ""])
    def test_token(self, own_system, token):
        """The message says what is wrong, and does not contain the token."""
        done = own_system.cli("report", "x", CICD_TOKEN=token)
        assert done.returncode == 3
        assert done.stderr == "the Backend answers 401: Expected the Backend's bearer token.\n"

    @pytest.mark.parametrize("token", ["two words", "new\nline", "schlüssel"])
    def test_no_token(self, own_system, token):
        """A token that no header can contain is bad use, and is not shown."""
        done = own_system.cli("report", "x", CICD_TOKEN=token)
        assert done.returncode == 2
        assert token not in done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://x", "http://", "http://a:b"])
    def test_no_url(self, own_system, url):
        """A wrong URL of the Backend is bad use."""
        done = own_system.cli("--backend", url, "report", "x")
        assert done.returncode == 2
        assert "Traceback" not in done.stderr

    def test_nobody(self, own_system):
        """Where nobody answers it says so without the password of the URL, once its patience is at its end."""
        done = own_system.cli("--backend", "http://someone:secret@127.0.0.1:9", "--patience", "0.3", "report", "x")
        assert (done.returncode, done.stderr) == (3, "no Backend answers at http://127.0.0.1:9: ConnectError\n")

    def test_unknown(self, own_system):
        """An unknown id or name is an error of the Backend."""
        nothing = "00000000-0000-0000-0000-000000000000"
        for command in (
            ["report", "nothing"],
            ["status", nothing],
            ["cancel", nothing],
            ["logs", nothing],
            ["logs", nothing, "job"],
            ["artifacts", nothing],
            ["rerun", nothing],
            ["explain", nothing],
        ):
            done = own_system.cli(*command)
            assert (done.returncode, done.stdout) == (3, "")
            assert done.stderr.startswith("the Backend answers 404: ")

    @pytest.mark.parametrize(
        "arguments",
        [
            ["report", "x", "--job", "y"],
            ["report", "x", "--limit", "0"],
            ["report", " x"],
            ["report", "x", "--status", "DONE"],
            ["status", "x"],
            ["run"],
            ["check", "/nowhere"],
            ["check", "/"],
            ["nothing"],
        ],
    )
    def test_bad_use(self, own_system, arguments):
        """Bad use has another exit code than a refusal of the Backend."""
        done = own_system.cli(*arguments)
        assert done.returncode == 2
        assert done.stderr
        assert "Traceback" not in done.stderr

    def test_check_and_plan(self, own_system, tmp_path):
        """They need no Backend."""
        file = write(tmp_path, "fine", "a", "b")
        done = own_system.cli("--backend", "http://127.0.0.1:9", "check", str(file))
        assert (done.returncode, done.stdout) == (0, f"{file}: pipeline fine, 1 stages, 2 jobs\n")
        assert own_system.cli("plan", str(file)).stdout == "stage:\n  1. a, b\n"
        file.write_text("name: fine\n")
        done = own_system.cli("check", str(file))
        assert (done.returncode, done.stderr) == (2, f"{file}:1:1: /stages: missing: expected a list\n")

    @pytest.mark.parametrize(
        "command", ["", "run", "rerun", "check", "plan", "status", "logs", "artifacts", "report", "cancel"]
    )
    def test_help(self, own_system, command):
        """Every command says what it is for."""
        done = own_system.cli(*command.split(), "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert "Exit codes: 0 success" in " ".join(done.stdout.split()) or command


# --- at a terminal --------------------------------------------------------------------------------------------------


# The number of read(2).
_READ = {"x86_64": "0", "aarch64": "63"}.get(platform.machine())


class Terminal:
    """The CLI at a terminal of 80 columns and 24 lines."""

    def __init__(self, system: System, *arguments: str) -> None:
        program = system.cli_program(*arguments, TERM="xterm-256color")
        self.text = ""
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(program.directory)
            os.execvpe(program.command[0], program.command, {**program.environment, "COLUMNS": "80", "LINES": "24"})

    def until(self, said: str) -> None:
        """Read until it says something."""
        deadline = time.monotonic() + DEADLINE
        while said not in self.text:
            assert time.monotonic() < deadline, self.text
            assert self._read(), self.text

    def press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def until_it_reads(self) -> None:
        """Wait until it waits for keys: a Ctrl-C on the way there is heard of only with the next key."""
        call = Path(f"/proc/{self._pid}/syscall")  # "number 0xargument ...", or "running"
        until(lambda: call.read_text().split()[:2] == [_READ, "0x0"], f"it to read, after {self.text}")

    def end(self) -> int:
        """Read to its end; its exit code."""
        while self._read():
            pass
        until(lambda: os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT), f"an end of {self.text}")
        _, status = os.waitpid(self._pid, 0)
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(status)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], DEADLINE)
        with contextlib.suppress(OSError):  # Linux says so of a terminal that nobody has any more.
            if ready and (data := os.read(self._terminal, 65536)):
                self.text += data.decode(errors="replace")
                return True
        return False


class Waiting:
    """A run at a terminal whose job waits to be let go."""

    def __init__(self, system: System, repository: Path, name: str, before: str = ":") -> None:
        self._system = system
        self._gate = repository / "gate"
        file = write(repository, name, script=f"{before}; until [ -e {self._gate} ]; do sleep 0.02; done")
        self.terminal = Terminal(system, "run", str(file))
        self.terminal.until("RUNNING")
        self.id = RUN_ID.findall(self.terminal.text)[0]

    def let_go(self) -> None:
        self._gate.touch()

    def status(self) -> ExecutionStatus:
        return ExecutionStatus(self._system.api.request("GET", f"/api/pipeline/status/{self.id}").json()["status"])

    def was_left(self) -> bool:
        """Check that the CLI has ended, and the run went on without it."""
        assert self.terminal.end() == 130
        assert f"status {self.id}" in self.terminal.text
        assert not self.status().is_terminal
        self.let_go()
        return self.ended() is ExecutionStatus.SUCCESS

    def ended(self) -> ExecutionStatus:
        until(lambda: self.status().is_terminal, "the end of the run")
        return self.status()


class TestTerminal:
    def test_view(self, own_system, repository):
        """The view is drawn anew, and the cursor is shown again in the end."""
        waiting = Waiting(own_system, repository, "view")
        waiting.let_go()
        assert waiting.terminal.end() == 0
        assert "\x1b[?25l" in waiting.terminal.text
        assert waiting.terminal.text.rstrip().endswith("\x1b[?25h")
        assert "SUCCESS" in waiting.terminal.text

    def test_cancel(self, own_system, repository):
        """Ctrl-C asks; the run is canceled, and that is how it ends."""
        waiting = Waiting(own_system, repository, "cancel")
        waiting.terminal.press("\x03")
        waiting.terminal.until("Cancel the run?")
        waiting.terminal.press("y\r")
        assert waiting.terminal.end() == 1
        assert waiting.status() is ExecutionStatus.CANCELED

    def test_leave(self, own_system, repository):
        """If the answer is no, the run continues."""
        waiting = Waiting(own_system, repository, "leave")
        waiting.terminal.press("\x03")
        waiting.terminal.until("Cancel the run?")
        waiting.terminal.press("n\r")
        assert waiting.was_left()

    @pytest.mark.skipif(
        _READ is None or not Path("/proc/self/syscall").exists(), reason="where a process waits is seen on Linux only"
    )
    def test_leave_by_ctrl_c(self, own_system, repository):
        """A second Ctrl-C is an answer, too: the run goes on."""
        waiting = Waiting(own_system, repository, "leave at once")
        waiting.terminal.press("\x03")
        waiting.terminal.until("Cancel the run?")
        waiting.terminal.until_it_reads()
        waiting.terminal.press("\x03")
        assert waiting.was_left()

    def test_many_jobs(self, own_system, repository):
        """While there is no room for all, those that say most are shown; in the end the terminal scrolls."""
        gate = repository / "gate"
        file = write(repository, "many", *[f"job-{number:02}" for number in range(30)], script="true")
        wait = f"until [ -e {gate} ]; do sleep 0.02; done"
        file.write_text(file.read_text() + f"      - name: waits\n        script: ['{wait}; exit 3']\n")
        terminal = Terminal(own_system, "run", "--local", str(file))
        terminal.until("30 SUCCESS")
        view = terminal.text[terminal.text.rindex("run 1 ") :]
        assert "waits" in view
        assert len(re.findall(r"job-\d\d", view)) < 24
        gate.touch()
        assert terminal.end() == 1
        last = terminal.text[terminal.text.rindex("run 1 ") :]
        assert "jobs:" not in last
        assert sorted(set(re.findall(r"job-\d\d", last))) == [f"job-{number:02}" for number in range(30)]

    def test_log_below_the_table(self, own_system, repository):
        """The end of the log of the job that runs stands below the table; at the end of the run the table is alone."""
        waiting = Waiting(own_system, repository, "log", before="seq 1000 1100; printf '\\033[2J'")
        waiting.terminal.until("\\x1b[2J")
        view = waiting.terminal.text[waiting.terminal.text.rindex("run 1 ") :]
        lines = re.sub(r"\x1b\[[0-9;]*m", "", view).splitlines()
        assert [line.split()[:2] for line in lines[2:4]] == [["job", "RUNNING"], ["job", "─" * 76]]
        assert lines[-3:] == ["1099", "1100", "\\x1b[2J"]
        assert "1001" not in view
        waiting.let_go()
        assert waiting.terminal.end() == 0
        assert "1100" not in waiting.terminal.text[waiting.terminal.text.rindex("run 1 ") :]

    def test_terminated(self, own_system, repository):
        """When it is told to end, it leaves the terminal in order and the run running."""
        waiting = Waiting(own_system, repository, "terminated")
        os.kill(waiting.terminal._pid, signal.SIGTERM)
        assert waiting.terminal.end() == 128 + signal.SIGTERM
        assert waiting.terminal.text.rstrip().endswith("\x1b[?25h")
        waiting.let_go()
        assert waiting.ended() is ExecutionStatus.SUCCESS


def test_address_is_quoted(own_system):
    """Names of steps in paths are no steps: what is asked for is what is reported on."""
    for name in ("..", ".", "a/stage/b", "a?run_number=1", "%2e%2e"):
        done = own_system.cli("report", name)
        assert (done.returncode, done.stdout) == (3, "")
        assert f"no pipeline {name}" in done.stderr or "404" in done.stderr
    assert httpx.get(f"{own_system.urls[0]}/health").status_code == 200


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_completion(own_system, repository):
    """What `cicd completion bash` prints makes bash complete commands, choices and names of pipelines."""
    own_system.cli("run", "--detach", str(write(repository, "completed", script="true")))
    script = """
        eval "$(cicd completion bash)"
        function=$(complete -p cicd | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        for typed in "cicd re" "cicd completion z" "cicd runs complet"; do
            COMP_WORDS=($typed); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
            "$function" cicd
            echo "${COMPREPLY[@]}"
        done
    """
    environment = own_system.cli_program().environment
    environment |= {"PATH": f"{SCRIPTS}:{environment['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert (done.stdout.splitlines(), done.stderr) == (["report rerun", "zsh", "completed"], "")
