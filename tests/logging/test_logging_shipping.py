"""A Worker's logs of its jobs reach the store of a Backend that is killed and restarted meanwhile."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from cicd_common import dumps
from cicd_common.api.request import ExecutionLogUpload
from cicd_common.logging import CicdLogger, ExecutionLogHandler, SecretMasker, execution_context
from cicd_common.model import ExecutionLog, Job, Pipeline, Stage

pytest.importorskip("sqlalchemy")

ROOT = Path(__file__).parents[2]
DEATHS, LINES = 2, 400


class Backend:
    """A Backend in its own process, which is restarted after each kill, at another port: its old one may be taken."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.deaths = DEATHS
        self._start()
        self._closing = False
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _start(self) -> None:
        command = [sys.executable, "-m", "tests.support.log_backend", self._url, str(self.deaths)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def _watch(self) -> None:
        while self.process.wait() is not None and not self._closing:
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.deaths -= 1
            self._start()

    def close(self) -> None:
        self._closing = True
        self.process.kill()
        self._thread.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


def test_order_and_no_loss(tmp_path: Path) -> None:
    """Every line is stored once and in order."""
    from cicd_common.store import ExecutionStore

    url = f"sqlite:///{tmp_path / 'store.db'}"
    jobs = tuple(Job(name=name, script=("true",)) for name in ("a", "b"))
    pipeline = Pipeline(name="p", repo_url="https://example.com/p.git", stages=(Stage(name="s", jobs=jobs),))
    with ExecutionStore(url) as store:
        ids = [job.job_execution_id for job in store.start(pipeline).jobs]
    backend = Backend(url)

    def send(logs: Sequence[ExecutionLog]) -> None:
        body = dumps(ExecutionLogUpload(logs=tuple(logs)))
        request = urllib.request.Request(f"http://127.0.0.1:{backend.port}/logs", data=body, method="POST")
        with urllib.request.urlopen(request, timeout=30):
            pass

    masker = SecretMasker()
    handler = ExecutionLogHandler(
        send, masker=masker, linger=0, batch_size=LINES // 20, attempts=1000, pause=0.01, timeout=240
    )
    logger = logging.Manager(logging.RootLogger(logging.DEBUG)).getLogger("worker")
    logger.addHandler(handler)
    log = CicdLogger(logger)
    for number in range(LINES):
        with execution_context(job_execution_id=ids[number % 2]):
            log.info("%d", number)
    handler.close()
    backend.close()
    assert (handler.lost, backend.deaths) == (0, 0)
    with ExecutionStore(url) as store:
        for first, job in enumerate(ids):
            stored = store.execution_logs(job_execution_id=job, limit=1000).logs
            assert [one.log_text.split()[-1] for one in stored] == [str(number) for number in range(first, LINES, 2)]
            assert [one.sequence for one in stored] == list(range(LINES // 2))
