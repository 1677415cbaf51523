"""Celery tasks with contract types: results, remote control and revocation work."""

from __future__ import annotations

import json
import subprocess
import sys
from uuid import uuid4

import pytest

from tests.support.servers import RABBITMQ, REDIS

pytest.importorskip("celery")

from tests.support import celery_app

PATIENCE = 120
SERVERS = {"rabbitmq": (RABBITMQ, lambda _: "rpc://"), "redis": (REDIS, lambda url: url)}


@pytest.mark.parametrize("kind", SERVERS)
def test_results_ping_and_revoke(kind, tmp_path):
    """`get` returns a result, `control.ping` is answered, and `revoke` stops a waiting task."""
    server, backend_of = SERVERS[kind]
    queue = f"cicd-test-{uuid4().hex}"
    where = [server.answering(), backend_of(server.url), queue]
    program = [sys.executable, "-W", "ignore", celery_app.__file__]
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen([*program, "worker", *where], stdout=log, stderr=log)
        try:
            done = subprocess.run(
                [*program, "client", *where, tmp_path], capture_output=True, text=True, timeout=PATIENCE, check=False
            )
        finally:
            worker.kill()
            worker.wait()
    assert done.returncode == 0, done.stderr + (tmp_path / "log").read_text()
    assert json.loads(done.stdout) == {
        "ping": [{celery_app.name_on(queue): {"ok": "pong"}}],
        "result": ["JobExecutionRequest", "build"],
        "answered": True,
        "waited": ["JobExecutionRequest", "wait"],
        "never": "revoked",
    }
