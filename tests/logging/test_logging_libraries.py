"""With common libraries, each line is written once, masked, and with its context."""

from __future__ import annotations

import copy
import json
import logging
import logging.config
import logging.handlers
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import cicd_common.logging
from cicd_common.logging import ExecutionLogHandler, configure, execution_context, get_logger
from tests.support.logging_helpers import Written

SECRET = "hunter2hunter2"
ROOT = Path(__file__).parents[2]


def run(program: str, *args: str, cwd: Path = ROOT) -> list[dict[str, Any]]:
    """Return the lines that a program writes to its standard error stream."""
    done = subprocess.run(
        [sys.executable, "-c", program, *args], cwd=cwd, capture_output=True, text=True, timeout=200, check=True
    )
    return [json.loads(line) for line in done.stderr.splitlines()]


class TestLibraries:
    """Each test uses the real library."""

    def test_uvicorn(self) -> None:
        """uvicorn's loggers and the application's log each request once, with the context."""
        pytest.importorskip("uvicorn")
        lines = run(
            """
import asyncio, logging, socket, urllib.request, uvicorn
from cicd_common.logging import configure, execution_context

async def app(scope, receive, send):
    if scope["type"] == "http":
        with execution_context(job_execution_id="7"):
            logging.getLogger("app").info("in hunter2hunter2")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

async def main():
    configure(format="json", secrets=["hunter2hunter2"])
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve([listening]))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/?token=hunter2hunter2"
    await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())
    server.should_exit = True
    await serving

asyncio.run(main())
"""
        )
        (access,) = [line for line in lines if line["logger"] == "uvicorn.access"]
        (own,) = [line for line in lines if line["logger"] == "app"]
        assert "/?token=***" in access["message"]
        assert (own["message"], own["cicd.pipeline.task.run.id"]) == ("in ***", "7")

    def test_celery(self) -> None:
        """The lines of a task and those of Celery come once."""
        pytest.importorskip("celery")
        lines = run(
            """
from celery import Celery
from celery.contrib.testing.worker import start_worker
from celery.signals import setup_logging
from celery.utils.log import get_task_logger
from cicd_common.logging import configure, execution_context

@setup_logging.connect
def set_up(**_):
    configure(format="json", secrets=["hunter2hunter2"])

app = Celery(broker="memory://", backend="cache+memory://")

@app.task
def work():
    with execution_context(job_execution_id="7"):
        get_task_logger("task").info("in hunter2hunter2")

set_up()
with start_worker(app, perform_ping_check=False, pool="solo", shutdown_timeout=60):
    work.delay().get(timeout=60)
"""
        )
        (own,) = [line for line in lines if line["logger"] == "task"]
        assert (own["message"], own["cicd.pipeline.task.run.id"]) == ("in ***", "7")
        assert [line for line in lines if line["logger"].startswith("celery")]

    def test_caplog(self, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
        """pytest sees each record once, masked if configured."""
        configure(format="json", secrets=[SECRET], mask_all_handlers=True)
        get_logger("x").warning("a %s", SECRET)
        assert [record.getMessage() for record in caplog.records] == ["a ***"]
        assert SECRET not in caplog.text
        assert len(capsys.readouterr().err.splitlines()) == 1

    @pytest.mark.parametrize("logger", [logging.getLogger("queued"), get_logger("queued")], ids=["standard", "ours"])
    def test_dict_config_and_queue(self, logger: Any, tmp_path: Path) -> None:
        """A line that a listener writes in its own thread has the context in which it was logged."""
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"json": {"()": "cicd_common.logging.JsonFormatter"}},
                "handlers": {
                    "out": {
                        "()": "cicd_common.logging.LineHandler",
                        "file": str(tmp_path / "out"),
                        "formatter": "json",
                    },
                    "queue": {"()": logging.handlers.QueueHandler, "queue": queue.Queue()},
                },
                "loggers": {"queued": {"handlers": ["queue", "out"], "level": "INFO", "propagate": False}},
            }
        )
        waiting, out = logging.getLogger("queued").handlers
        logging.getLogger("queued").handlers = [waiting]
        listener = logging.handlers.QueueListener(waiting.queue, out)  # type: ignore[attr-defined]
        listener.start()
        with execution_context(job_execution_id="7", step="one"):
            logger.info("hello", extra={"step": "two"})
        listener.stop()
        (line,) = [json.loads(text) for text in (tmp_path / "out").read_text().splitlines()]
        assert (line["message"], line["cicd.pipeline.task.run.id"], line["step"]) == ("hello", "7", "two")


class Own(logging.LogRecord):
    """The record class of another factory."""


class TestContext:
    """Records that another factory makes."""

    def test_other_factory(self) -> None:
        """Records of another factory have their context, also if the factory was set earlier."""
        logging.setLogRecordFactory(Own)
        written = Written()
        records: list[logging.LogRecord] = []
        written.logger.addFilter(lambda record: records.append(record) or True)  # type: ignore[func-returns-value]
        with execution_context(job_execution_id="7"):
            written.logger.warning("x")
            written.log.warning("y")
        later = Written()
        for record in records:
            assert type(record) is Own
            later.handler.handle(copy.copy(record))
        assert [line["cicd.pipeline.task.run.id"] for line in later.lines] == ["7", "7"]
        assert "_cicd_context" not in later.text


class TestCopies:
    """An installed and a vendored copy of the package are in one process."""

    def test_once_with_the_secrets_of_both(self, tmp_path: Path) -> None:
        """Each line comes once, masked with the secrets of both copies, in either order of set-up."""
        there = tmp_path / "vendored" / "logs"
        there.mkdir(parents=True)
        (tmp_path / "vendored" / "__init__.py").touch()
        for source in Path(cicd_common.logging.__file__).parent.glob("*.py"):
            (there / source.name).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
        lines = run(
            f"""
import sys, logging
sys.path[:0] = [{str(tmp_path)!r}]
import cicd_common.logging as installed, vendored.logs as vendored
first = installed.configure(format="json", secrets=["secret-of-first"], mask_all_handlers=True)
second = vendored.configure(format="json", secrets=["secret-of-second"], mask_all_handlers=True)
first.add("added-to-first")
second.add("added-to-second")
with first.scope(["scope-of-first"]), second.scope(["scope-of-second"]):
    text = "secret-of-first secret-of-second added-to-first added-to-second scope-of-first scope-of-second"
    with installed.execution_context(a=1), vendored.execution_context(b=2):
        logging.getLogger("x").info(text)
        installed.get_logger("x").info(text)
        vendored.get_logger("x").info(text)
installed.configure(format="json")
logging.getLogger("x").info(text)
"""
        )
        assert [line["message"] for line in lines] == ["*** *** *** *** *** ***"] * 3 + [
            "*** *** *** *** scope-of-first scope-of-second"
        ]


class TestReentrance:
    """Code logs while a line is being written."""

    def test_text_of_an_argument(self) -> None:
        """The `__str__` of an argument may log."""
        written = Written()

        class Chatty:
            def __str__(self) -> str:
                written.log.info("inner")
                return "outer"

        written.log.info("%s", Chatty())
        assert [line["message"] for line in written.lines] == ["inner", "outer"]

    def test_signal_handler(self) -> None:
        """A signal handler may log while its thread holds the locks."""
        written = Written()
        sent: list[Any] = []
        handler = ExecutionLogHandler(sent.extend, masker=written.masker, linger=0)
        written.logger.addHandler(handler)
        before = signal.signal(signal.SIGUSR1, lambda *_: written.log.info("signal"))
        try:
            with execution_context(job_execution_id=UUID(int=7)):
                with written.masker.lock, handler._order, handler._delivery._changed:
                    signal.raise_signal(signal.SIGUSR1)
                written.log.info("after")
        finally:
            signal.signal(signal.SIGUSR1, before)
        handler.close()
        assert [line["message"] for line in written.lines] == ["signal", "after"]
        assert [log.sequence for log in sent] == [0, 1]

    def test_send(self) -> None:
        """A receiver of logs may log in the same context without a deadlock."""
        written = Written()
        done = threading.Event()

        def send(_: Any) -> None:
            written.log.info("sending")
            done.set()

        handler = ExecutionLogHandler(send, masker=written.masker, linger=0)
        written.logger.addHandler(handler)
        with execution_context(job_execution_id=UUID(int=7)):
            written.log.info("hello")
        assert done.wait(60)
        handler.close()


class TestTime:
    """Times before 1970."""

    @pytest.mark.parametrize(
        ("created", "expected"),
        [
            (-0.5, "1969-12-31T23:59:59.500000Z"),
            (-1.0, "1969-12-31T23:59:59.000000Z"),
            (-1e-20, "1969-12-31T23:59:59.999999Z"),
            (0.0, "1970-01-01T00:00:00.000000Z"),
            (-86400.25, "1969-12-30T23:59:59.750000Z"),
        ],
    )
    def test_rfc_3339(self, created: float, expected: str) -> None:
        """Times before 1970 are written like all others."""
        written = Written()
        written.handler.handle(
            logging.makeLogRecord({"name": "x", "msg": "x", "levelno": 20, "levelname": "INFO", "created": created})
        )
        assert written.last["timestamp"] == expected


@pytest.fixture(autouse=True)
def _no_handlers_left() -> Iterator[None]:
    yield
    logging.getLogger("queued").handlers = []
