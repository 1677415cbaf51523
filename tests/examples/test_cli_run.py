"""The CLI as a process with its own system: what it runs, what it shows, and its exit codes."""

from __future__ import annotations

import codecs
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
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from cicd_common import ExecutionStatus
from tests.support.examples.proxy import HttpProxy
from tests.support.examples.repositories import commit, new_repository
from tests.support.examples.settings import SETTINGS
from tests.support.examples.system import System
from tests.support.examples.waiting import DEADLINE, until

# A table on a terminal is erased from its last line to its first before it is drawn anew.
ERASED = re.compile(r"\r\x1b\[2K(?:\x1b\[1A\x1b\[2K)*")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
ROOT = Path(__file__).parents[2]
FAILING = ROOT / "examples" / "pipelines" / "failing.yaml"
RUN_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What the environment says about terminals must not matter where there is none.
FORCED = {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "TERM": "xterm-256color"}


@pytest.fixture(scope="module")
def own_system(tmp_path_factory):
    """A system on the embedded defaults."""
    directory = tmp_path_factory.mktemp("cli")
    with SETTINGS["embedded"](directory) as setting, System.on(setting, directory) as system:
        yield system


def write(directory: Path, name: str, *jobs: str, script: str = "true", more: str = "") -> Path:
    """A file with a definition of one stage; the last job has more fields."""
    file = directory / "pipeline.yaml"
    lines = [f"      - name: {job}\n        script:\n          - |-\n            {script}\n" for job in jobs or ["job"]]
    lines.append(f"        {more}\n")
    file.write_text(f"name: {name}\nstages:\n  - name: stage\n    jobs:\n{''.join(lines)}")
    return file


def id_of(text: str) -> str:
    """The id of the run in what the CLI said."""
    return RUN_ID.findall(text)[0]


def status_of(system: System, run: str) -> ExecutionStatus:
    return ExecutionStatus(system.api.request("GET", f"/api/pipeline/status/{run}").json()["status"])


def end_of(system: System, run: str) -> ExecutionStatus:
    until(lambda: status_of(system, run).is_terminal, "the end of the run")
    return status_of(system, run)


class TestCommands:
    def test_after_a_run(self, own_system, tmp_path):
        """Changes are lines, an allowed failure is told apart, and a run is found by the name of its pipeline."""
        script = "echo made by $CICD_JOB | tee made; test $CICD_JOB = one"
        more = "allow_failure: true\n        artifacts: [made]"
        done = own_system.cli("run", str(write(tmp_path, "left", "one", "two", script=script, more=more)), **FORCED)
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert {"  stage / one: SUCCESS", "  stage / two: FAILED, allowed", "stage: SUCCESS"} <= set(lines)
        assert "run 1: SUCCESS\n\n--- two: FAILED, allowed\n" in done.stdout
        assert not CONTROL.search(done.stdout + own_system.cli("runs", "left", **FORCED).stdout)

        def shown(*arguments: str, code: int = 0) -> str:
            done = own_system.cli(*arguments)
            assert done.returncode == code
            return done.stderr or done.stdout

        assert shown("status", id_of(done.stdout)) == "run 1: SUCCESS\n"
        assert shown("explain", "left#1").startswith("SUCCESS: ")
        assert "there is no run left#2" in shown("status", "left#2", code=2)
        assert "made by two\n" in shown("logs", "left", "two")
        assert re.fullmatch(r"\n--- one\n.*by one\n\n--- two\n.*by two\n.*", shown("logs", "left"), re.DOTALL)
        assert "has no job three; it has one, two" in shown("logs", "left", "three", code=2)
        until(lambda: "a run has started" in shown("logs", "left", "--events"), "the log of the Backend")
        assert re.fullmatch("two\t12\t[0-9a-f]{64}\tmade\n", shown("artifacts", "left"))
        assert "two (FAILED, allowed)" in shown("report", "left", "--stage", "stage")
        assert "FAILED, allowed" in shown("report", "left", "--stage", "stage", "--job", "two")

    def test_hostile_names(self, own_system, tmp_path):
        """Names and output are shown as they are: nothing is markup, nothing moves the cursor.

        Files stay in the directory that was named, in folders that are not hidden, and each has one line. What cannot
        be written is said.
        """
        name, job = "[red]a/b%?#[/red]", "[bold]..[/bold]"
        script = r"""printf x > "$(printf 'a\nb')"; printf '\033[2J[blink]x\r\ny\303\274\n'; test "$CICD_JOB" = .."""
        file = write(tmp_path, f"'{name}'", f"'{job}'", ".ä/%", "..", script=script, more="artifacts: [a*]")
        text = file.read_text().replace("name: .ä/%", "artifacts: [a*]\n        name: .ä/%")
        file.write_text(text.replace("name: stage", "name: run 1"))
        done = own_system.cli("run", str(file))
        assert done.returncode == 1
        assert f"of {name}: " in done.stdout
        assert f"run 1 / {job}: FAILED\n" in done.stdout
        assert "\nrun 1: FAILED\nrun 1: FAILED\n" in done.stdout  # The stage and the run.
        assert "\\x1b[2J[blink]x\\r\nyü\n" in done.stdout
        table = own_system.cli("report", name, "--stage", "run 1").stdout
        assert f"{job} (FAILED)" in table
        run = id_of(done.stdout)
        shown = own_system.cli("logs", run, job).stdout
        assert "\\x1b[2J[blink]x\\r\n" in shown
        target = tmp_path / "in" / "target"
        listed = own_system.cli("artifacts", run, "--download", str(target)).stdout
        assert re.fullmatch(r"\.ä/%\t1\t.*\ta\\nb\n\.\.\t1\t.*\ta\\nb\n", listed)
        files = {path.relative_to(target) for path in tmp_path.glob("in/**/*") if path.is_file()}
        assert files == {Path("%2Eä%2F%25", "a\nb"), Path("%2E.", "a\nb")}
        assert not CONTROL.search(done.stdout + table + shown + listed.replace("\t", ""))
        done = own_system.cli("artifacts", run, "--download", str(file / "in"))
        assert (done.returncode, done.stderr) == (2, f"{file}/in/%2Eä%2F%25: Not a directory\n")

    def test_reports(self, own_system, tmp_path):
        """The runs of one name are numbered although its definition has changed; reports select and page them."""
        own_system.cli("run", str(write(tmp_path, "another")))
        done = [
            own_system.cli("run", str(write(tmp_path, "reports", "one"))),
            own_system.cli("run", str(write(tmp_path, "reports", "one", "two", script="echo the second; exit 4"))),
        ]
        assert [(each.returncode, each.stdout.partition(":")[0]) for each in done] == [
            (0, "run 1 of reports"),
            (1, "run 2 of reports"),
        ]
        assert "the second\n" in done[1].stdout

        def lines(*arguments: str) -> list[str]:
            return own_system.cli("report", "reports", *arguments).stdout.splitlines()[1:]

        first, cursor = lines("--limit", "1")
        second = lines(*cursor.removeprefix("more: ").split())
        assert (first[:2], [line[:2] for line in second]) == ("2 ", ["1 "])
        assert lines("--status", "success") == second
        for names, path in (([], ""), (["--stage", "stage"], "/stage/stage")):
            answer = own_system.api.request("GET", f"/api/report/pipeline/reports{path}", params={"run_number": 1})
            told = own_system.cli("report", "reports", *names, "--run", "1", "--format", "json")
            assert told.stdout.encode() == answer.content
        _, *last = [line.split()[0] for line in own_system.cli("runs").stdout.splitlines()]
        assert last.index("reports") < last.index("another")
        assert len({*last}) == len(last)

    def test_last_lines(self, own_system, tmp_path):
        """Of the log of a job that has failed the end is shown, and where the whole is; no more is even fetched."""
        file = write(tmp_path, "long", script="seq 200000; exit 1")
        backend = urlsplit(own_system.urls[0])
        with HttpProxy((backend.hostname, backend.port)) as proxy:
            done = own_system.cli("run", str(file), CICD_BACKEND=f"http://127.0.0.1:{proxy.port}")
            fetched = sum(len(each.answer.body) for each in proxy.exchanges if "/logs/" in each.request.path)
        assert "\n200000\n" in done.stdout
        assert "\n199000\n" not in done.stdout
        assert 0 < fetched < 200_000
        (command,) = re.findall(r"all: (logs \S+ job)\n", done.stdout)
        assert "\n50\n" in own_system.cli(*command.split()).stdout

    def test_once_more(self, own_system, tmp_path):
        """`rerun` runs the commit and the variables of the run, whatever was committed meanwhile."""
        repository = new_repository(tmp_path / "source")
        file = write(repository, "again", script='cat word; echo "for $WHOM"')
        run = id_of(own_system.cli("run", str(file), "--env", "WHOM=all", "--detach").stdout)
        commit(repository, "second")
        flags = ("--request-id", str(uuid4()))  # As after an answer that was lost.
        for _ in range(2):
            done = own_system.cli("rerun", run, *flags)
            assert (done.returncode, done.stdout.startswith("run 2 of again: ")) == (0, True)
        log = own_system.cli("logs", id_of(done.stdout), "job").stdout
        assert "the word is first\nfor all\n" in log

    def test_kind(self, own_system, tmp_path):
        """A job of a kind that no Worker runs waits until there is one that does. Its output is followed to its end."""
        file = tmp_path / "pipeline.yaml"
        file.write_text("name: kind\nstages: [{name: stage, jobs: [{name: job, kind: acme.show}]}]\n")
        run = id_of(own_system.cli("run", str(file), "--detach").stdout)
        assert "no job has started" in own_system.cli("explain", run).stdout
        follows = own_system.cli_program("logs", run, "--follow")
        follows.start()
        until(lambda: "--- job" in follows.log.read_text(), "the CLI to follow")
        own_system.add_workers(1, "--kind", "acme.show=cat")
        until(lambda: not follows.runs, "the end of the job")
        assert status_of(own_system, run) is ExecutionStatus.SUCCESS
        assert '"kind":"acme.show"' in follows.log.read_text()

    def test_interrupted(self, own_system, tmp_path):
        """Where nobody can be asked the run goes on without the CLI, until it is canceled by its id."""
        program = own_system.cli_program("run", str(write(tmp_path, "interrupted", script="sleep 1000")))
        program.start()
        until(lambda: "stage / job: RUNNING" in program.log.read_text(), "the CLI to follow")
        program.send(signal.SIGINT)
        until(lambda: not program.runs, "the end of the CLI")
        assert program.exit_code == 130
        run = id_of(program.log.read_text())
        assert not status_of(own_system, run).is_terminal
        assert own_system.cli("cancel", run).returncode == 0
        assert end_of(own_system, run) is ExecutionStatus.CANCELED

    def test_unknown(self, own_system):
        """An unknown id is an error of the Backend."""
        done = own_system.cli("status", str(UUID(int=0)))
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith("the Backend answers 404: ")

    @pytest.mark.parametrize(
        ("arguments", "redirection", "expected"),
        [
            (["runs"], "> /dev/full", (2, "the output: No space left on device\n")),
            (["runs"], ">&- <&-", (0, "")),
            (["plan", str(FAILING)], "| true", (0, "")),
        ],
    )
    def test_output_that_cannot_be_written(self, own_system, arguments, redirection, expected):
        """A full disk is told in one line; a reader that has gone, and an output that is closed, are no error."""
        program = own_system.cli_program(*arguments)
        command = ["sh", "-c", f'"$@" {redirection}', "sh", *program.command]
        done = subprocess.run(
            command, env=program.environment, capture_output=True, text=True, timeout=DEADLINE, check=False
        )
        assert (done.returncode, done.stderr) == expected

    def test_encoding(self, own_system, tmp_path):
        """Characters that the output cannot show are escaped."""
        program = own_system.cli_program("check", str(write(tmp_path, "a日")), PYTHONIOENCODING="latin-1")
        program.is_forked = False
        assert "pipeline a\\u65e5, 1 stages" in program.run().stdout

    @pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
    def test_completion(self, own_system, tmp_path):
        """What click prints for bash completes names of pipelines."""
        own_system.cli("run", "--detach", str(write(tmp_path, "completed")))
        script = """
            eval "$(_CICD_COMPLETE=bash_source cicd)"
            function=$(complete -p cicd | sed 's/.*-F \\([^ ]*\\).*/\\1/')
            COMP_WORDS=(cicd runs complet); COMP_CWORD=2; COMPREPLY=()
            "$function" cicd
            echo "${COMPREPLY[@]}"
        """
        environment = own_system.cli_program().environment
        environment |= {"PATH": f"{ROOT}/scripts:{environment['PATH']}"}
        command = ["bash", "-c", script]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE, check=False)
        assert (done.stdout, done.stderr) == ("completed\n", "")


# --- at a terminal --------------------------------------------------------------------------------------------------


# The number of read(2).
_READ = {"x86_64": "0", "aarch64": "63"}.get(platform.machine())


class Terminal:
    """The CLI at a terminal of 80 columns."""

    def __init__(self, system: System, *arguments: str, lines: int = 24) -> None:
        program = system.cli_program(*arguments, TERM="xterm-256color")
        self.text = ""
        self._decode = codecs.getincrementaldecoder("utf-8")().decode  # A character may arrive in parts.
        self._has_ended = False
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(program.directory)
            os.execvpe(
                program.command[0], program.command, {**program.environment, "COLUMNS": "80", "LINES": str(lines)}
            )

    @property
    def view(self) -> str:
        """What it drew last and whole, from the first line of the table, without colours.

        A drawing may arrive in parts, so it is whole when the next one has begun, or at the end.
        """
        *whole, last = ERASED.split(self.text)
        drawn = last if self._has_ended or not whole else whole[-1]
        return re.sub(r"\x1b\[[0-9;]*m", "", drawn[max(drawn.rfind("run 1 "), 0) :])

    def until(self, pattern: str) -> None:
        """Read until its view matches a pattern."""
        self._read_until(lambda: re.search(pattern, self.view, re.DOTALL))

    def until_it_says(self, words: str) -> None:
        """Read until it has said something."""
        self._read_until(lambda: words in self.text)

    def _read_until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, self.text
            assert self._read(), self.text

    def press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def until_it_reads(self) -> None:
        """Wait until it waits for keys: a Ctrl-C on the way there is heard of only with the next key."""
        call = Path(f"/proc/{self.pid}/syscall")  # "number 0xargument ...", or "running"
        until(lambda: call.read_text().split()[:2] == [_READ, "0x0"], f"it to read, after {self.text}")

    def end(self) -> int:
        """Read to its end; its exit code."""
        while self._read():
            pass
        self._has_ended = True
        until(lambda: os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT), f"an end of {self.text}")
        _, status = os.waitpid(self.pid, 0)
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(status)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], DEADLINE)
        with contextlib.suppress(OSError):  # Linux says so of a terminal that nobody has any more.
            if ready and (data := os.read(self._terminal, 65536)):
                self.text += self._decode(data)
                return True
        return False


class Waiting:
    """A run at a terminal whose job waits to be let go."""

    def __init__(self, system: System, directory: Path, name: str, *jobs: str, before: str = ":", **size: int) -> None:
        self._system = system
        self._gate = directory / "gate"
        script = f"{before}; until [ -e {self._gate} ]; do sleep 0.02; done"
        file = write(directory, name, *jobs, "waits", script=f"[ $CICD_JOB = waits ] || exit 0; {script}")
        self.terminal = Terminal(system, "run", str(file), **size)
        self.terminal.until("waits  *RUNNING")
        self.id = id_of(self.terminal.text)

    def let_go(self) -> int:
        """Let the job end; the exit code of the CLI."""
        self._gate.touch()
        return self.terminal.end()

    def continues(self) -> bool:
        """Whether the run has not ended, and ends well when its job is let go."""
        is_open = not status_of(self._system, self.id).is_terminal
        self._gate.touch()
        return is_open and end_of(self._system, self.id) is ExecutionStatus.SUCCESS


class TestTerminal:
    def test_view(self, own_system, tmp_path):
        """The table is drawn anew, with the end of the log of the running job below it.

        At the end of the run the table is alone, and the cursor is shown again.
        """
        # The masker holds an end back that may be the beginning of a secret, in base64, too; no secret begins with "!".
        waiting = Waiting(own_system, tmp_path, "view", before="seq 1000 1100; printf '\\033[2J!'")
        terminal = waiting.terminal
        terminal.until(r"\\x1b\[2J!")
        lines = terminal.view.splitlines()
        assert [line.split()[:2] for line in lines[2:4]] == [["waits", "RUNNING"], ["waits", "─" * 74]]
        assert lines[-3:] == ["1099", "1100", "\\x1b[2J!"]
        assert "1001" not in terminal.view
        assert waiting.let_go() == 0
        assert "SUCCESS" in terminal.view
        assert "1100" not in terminal.view
        assert "\x1b[?25l" in terminal.text
        assert terminal.text.rstrip().endswith("\x1b[?25h")

    def test_many_jobs(self, own_system, tmp_path):
        """While there is no room for all, those that say most are shown; in the end the terminal scrolls."""
        jobs = [f"job-{number}" for number in range(9)]
        waiting = Waiting(own_system, tmp_path, "many", *jobs, lines=8)
        terminal = waiting.terminal
        terminal.until("waits .*10 jobs: 1 RUNNING, 9 SUCCESS")
        assert len(terminal.view.splitlines()) <= 8
        assert waiting.let_go() == 0
        assert "jobs:" not in terminal.view
        assert sorted(set(re.findall(r"job-\d", terminal.view))) == jobs

    def test_backend_restarted(self, own_system, tmp_path):
        """It says that the Backend does not answer, and goes on following once the Backend is back."""
        waiting = Waiting(own_system, tmp_path, "restarted")
        own_system.backends[0].kill()
        waiting.terminal.until("the Backend does not answer; asking again")
        own_system.restart_backend()
        assert waiting.let_go() == 0
        assert "SUCCESS" in waiting.terminal.view

    def test_cancel(self, own_system, tmp_path):
        """Ctrl-C asks; the run is canceled, and that is how it ends."""
        waiting = Waiting(own_system, tmp_path, "cancel")
        waiting.terminal.press("\x03")
        waiting.terminal.until_it_says("Cancel the run?")
        waiting.terminal.press("y\r")
        assert waiting.terminal.end() == 1
        assert status_of(own_system, waiting.id) is ExecutionStatus.CANCELED

    @pytest.mark.skipif(
        _READ is None or not Path("/proc/self/syscall").exists(), reason="where a process waits is seen on Linux only"
    )
    @pytest.mark.parametrize("keys", ["n\r", "\x03"], ids=["no", "Ctrl-C"])
    def test_leave(self, own_system, tmp_path, keys):
        """If the answer is no, or a second Ctrl-C, the run continues."""
        waiting = Waiting(own_system, tmp_path, "leave")
        waiting.terminal.press("\x03")
        waiting.terminal.until_it_says("Cancel the run?")
        waiting.terminal.until_it_reads()
        waiting.terminal.press(keys)
        assert waiting.terminal.end() == 130
        assert f"status {waiting.id}" in waiting.terminal.text
        assert waiting.continues()

    def test_terminated(self, own_system, tmp_path):
        """When it is told to end, it leaves the terminal in order and the run running."""
        waiting = Waiting(own_system, tmp_path, "terminated")
        os.kill(waiting.terminal.pid, signal.SIGTERM)
        assert waiting.terminal.end() == 128 + signal.SIGTERM
        assert waiting.terminal.text.rstrip().endswith("\x1b[?25h")
        assert waiting.continues()
