"""A PostgreSQL server that is killed during writes keeps all acknowledged writes."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cicd_common.model import Job, LogText, Pipeline, Stage
from cicd_common.store import ExecutionStore, StoreError
from tests.support.store_processes import PATIENCE, until, updates_to_success

psycopg = pytest.importorskip("psycopg")

KILLS, WRITERS, WRITES = 5, 3, 40
PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
PIPELINE = Pipeline(
    name="build",
    repo_url="r",
    stages=(Stage(name="s", jobs=tuple(Job(name=f"j{at}", script=("x",)) for at in (1, 2))),),
)


class Server:
    """A PostgreSQL server in a directory, run by the given user, or by the current user if that is None."""

    def __init__(self, directory: Path, user: str | None) -> None:
        self.directory, self.user = directory, user
        make = ("initdb", "--username=test", "--auth=trust", "--no-sync", "--pgdata", directory / "data")
        subprocess.run(**self.command(*make), check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)
        self.url = f"postgresql://test@/postgres?host={directory}"  # A port could be taken between two starts.

    def command(self, program: str, *arguments: object) -> dict[str, Any]:
        command = [PROGRAMS / program, *map(str, arguments)]
        return {"args": command, "user": self.user, "cwd": self.directory, "stderr": subprocess.DEVNULL}

    def start(self) -> None:
        """Start the server and wait until it answers: after a kill it first replays its log."""
        options = ("-k", self.directory, "-c", "listen_addresses=")
        self.process = subprocess.Popen(**self.command("postgres", "-D", self.directory / "data", *options))
        until(self.answers)

    def answers(self) -> bool:
        assert self.process.poll() is None
        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """Kill the server with all its processes, and wait until they are gone."""
        pid = self.process.pid
        self.process.send_signal(signal.SIGSTOP)  # It must not start more processes.
        os.waitpid(pid, os.WUNTRACED)
        children = list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
        for each in (pid, *children):
            os.kill(each, signal.SIGKILL)
        self.process.wait()
        until(lambda: not any(map(is_running, children)))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def server():
    if PROGRAMS is None or not Path("/proc/self/task").exists():
        pytest.skip("no programs of PostgreSQL in /usr/lib/postgresql, or no /proc")
    user = None
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root.
        user = next((each.pw_name for each in pwd.getpwall() if each.pw_name in ("postgres", "nobody")), None)
        if user is None:
            pytest.skip("no user but root to run a server of PostgreSQL")
    directory = Path(tempfile.mkdtemp(prefix="cicd_common_server_"))
    if user is not None:
        shutil.chown(directory, user)
    server = Server(directory, user)
    server.start()
    yield server
    server.kill()
    shutil.rmtree(directory)


def write_until_it_is_gone(store: ExecutionStore, runs: list, updates: list) -> None:
    """Start runs and update their jobs until the server is gone. Record each acknowledged write."""
    try:
        while True:
            started = store.start(PIPELINE)
            runs.append(started.execution)
            for job in started.jobs:
                for update in updates_to_success(job.job_execution_id, f"{job.job_execution_id}"):
                    store.apply(update)
                    updates.append(update)
    except StoreError:
        return


def test_keeps_what_was_acknowledged(server):
    """A server that is killed and started several times has all acknowledged writes."""
    runs, updates = [], []
    for _ in range(KILLS):
        with ExecutionStore(server.url) as store, ThreadPoolExecutor(WRITERS) as pool:
            enough = len(updates) + WRITES
            writers = [pool.submit(write_until_it_is_gone, store, runs, updates) for _ in range(WRITERS)]
            until(lambda enough=enough: len(updates) >= enough)
            server.kill()
            for writer in writers:
                writer.result(PATIENCE)
        server.start()
    with ExecutionStore(server.url) as store:
        check(store, runs, updates)


def check(store: ExecutionStore, runs: list, updates: list) -> None:
    """Check that acknowledged writes are stored, and that the stored rows are consistent."""
    texts = defaultdict(list)
    for update in updates:
        texts[update.job_execution_id].append(update)
    for job, sent in texts.items():
        assert set(store.logs(job).chunks) >= set(LogText.of(sent).chunks)
        assert store.job_execution(job).last_sequence >= max(update.sequence for update in sent)
    for run in runs:
        assert store.status(run.execution_id).status is store.execution(run.execution_id).status
    numbers = [run.run_number for run in runs]
    assert len(set(numbers)) == len(numbers)
