"""What is logged for an execution arrives as ExecutionLog values."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicd_common.logging import (
    CicdLogger,
    ExecutionLogHandler,
    SecretMasker,
    capture_logs,
    execution_context,
    execution_log,
)
from cicd_common.model import ExecutionLog

JOB, STAGE, PIPELINE = UUID(int=1), UUID(int=2), UUID(int=3)


class Receiver:
    """Takes batches; fails, or waits, as told."""

    def __init__(self) -> None:
        self.batches: queue.Queue[Sequence[ExecutionLog]] = queue.Queue()
        self.failures = 0
        self.tries: list[Sequence[ExecutionLog]] = []
        self.gate = threading.Event()
        self.gate.set()

    def send(self, batch: Sequence[ExecutionLog]) -> None:
        self.tries.append(batch)
        assert self.gate.wait(30)
        if self.failures:
            self.failures -= 1
            raise ConnectionError
        self.batches.put(batch)

    def next(self) -> Sequence[ExecutionLog]:
        return self.batches.get(timeout=30)

    def texts(self) -> list[str]:
        return [log.log_text for batch in list(self.batches.queue) for log in batch]


class Sending:
    """A logger whose lines are sent."""

    def __init__(self, **options: Any) -> None:
        self.receiver = Receiver()
        self.masker = SecretMasker()
        options = {"linger": 0.0, "pause": 0.0, **options}
        self.handler = ExecutionLogHandler(self.receiver.send, masker=self.masker, **options)
        logger = logging.Manager(logging.RootLogger(logging.DEBUG)).getLogger("worker")
        logger.addHandler(self.handler)
        self.log = CicdLogger(logger)


@pytest.fixture
def sending() -> Iterator[Callable[..., Sending]]:
    made: list[Sending] = []

    def make(**options: Any) -> Sending:
        made.append(Sending(**options))
        return made[-1]

    yield make
    for one in made:
        one.receiver.gate.set()
        one.handler.close()


Make = Callable[..., Sending]


class TestValues:
    """What a record becomes."""

    def test_record(self, sending: Make) -> None:
        """Ids, sequence, time and masked text."""
        one = sending()
        one.masker.add("hunter2hunter2")
        before = datetime.now(UTC)
        with execution_context(pipeline_execution_id=PIPELINE, stage_execution_id=STAGE, job_execution_id=JOB, a=1):
            one.log.info("hello %s", "hunter2hunter2", b=2)
        (log,) = one.receiver.next()
        assert (log.pipeline_execution_id, log.stage_execution_id, log.job_execution_id) == (PIPELINE, STAGE, JOB)
        assert log.log_text == "INFO     worker: hello *** a=1 b=2"
        assert (before - log.timestamp).total_seconds() < 0.001
        assert log.timestamp <= datetime.now(UTC)
        assert log.sequence == 0

    def test_own_formatter(self, sending: Make) -> None:
        """The text is what a formatter that is set makes of it; masked and writable even so."""
        one = sending()
        one.masker.add("hunter2hunter2")
        one.handler.setFormatter(logging.Formatter("%(message)s"))
        with execution_context(job_execution_id=JOB):
            one.log.info("hunter2hunter2 \ud800")
        assert one.receiver.next()[0].log_text == "*** \ufffd"

    def test_standard_logger(self, sending: Make) -> None:
        """Lines of any logger, whose ids may be text."""
        one = sending()
        with execution_context(job_execution_id=str(JOB)):
            one.log.logger.info("hello")
        assert one.receiver.next()[0].job_execution_id == JOB

    def test_without_execution(self, sending: Make) -> None:
        """What is of no execution, or of one whose id is none, is left alone."""
        one = sending()
        one.log.info("hello")
        with execution_context(job_execution_id="no id", a=1):
            one.log.info("hello")
        one.handler.close()
        assert (one.receiver.tries, one.handler.lost) == ([], 0)

    def test_filtered(self, sending: Make) -> None:
        """Filters are asked."""
        one = sending()
        one.handler.addFilter(lambda record: record.levelno > logging.INFO)
        with execution_context(job_execution_id=JOB):
            one.log.info("no")
            one.log.error("yes")
        assert one.receiver.next()[0].log_text == "ERROR    worker: yes"

    def test_cannot_be_formatted(self, sending: Make) -> None:
        """A formatter that fails is a loss, and nothing else."""
        one = sending()
        one.handler.setFormatter(logging.Formatter("%(nothing)s"))
        with execution_context(job_execution_id=JOB):
            one.log.info("hello")
        assert one.handler.lost == 1


class TestSequence:
    """Rising by one, per execution."""

    @given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 7))
    def test_rises(self, jobs: list[str], batch_size: int) -> None:
        """However executions take turns, and however they are cut into batches."""
        one = Sending(batch_size=batch_size)
        ids = {job: uuid4() for job in "abc"}
        for number, job in enumerate(jobs):
            with execution_context(job_execution_id=ids[job]):
                one.log.info(str(number))
        one.handler.close()
        logs = [log for batch in list(one.receiver.batches.queue) for log in batch]
        assert [log.log_text.split()[-1] for log in logs] == [str(number) for number in range(len(jobs))]
        for job in "abc":
            sequences = [log.sequence for log in logs if log.job_execution_id == ids[job]]
            assert sequences == list(range(jobs.count(job)))

    def test_of_the_narrowest(self, sending: Make) -> None:
        """A job's log is another than that of its stage."""
        one = sending()
        with execution_context(pipeline_execution_id=PIPELINE):
            one.log.info("x")
            with execution_context(stage_execution_id=STAGE):
                one.log.info("x")
                with execution_context(job_execution_id=JOB):
                    one.log.info("x")
                one.log.info("x")
        one.handler.close()
        assert [log.sequence for batch in one.receiver.tries for log in batch] == [0, 0, 0, 1]

    def test_threads(self, sending: Make) -> None:
        """Many threads of one execution."""
        one = sending()

        def work() -> None:
            with execution_context(job_execution_id=JOB):
                for _ in range(100):
                    one.log.info("x")

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        one.handler.close()
        logs = [log for batch in one.receiver.tries for log in batch]
        assert [log.sequence for log in logs] == list(range(400))

    def test_bounded(self, sending: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        """The executions that were silent longest are forgotten."""
        monkeypatch.setattr(execution_log, "MOST_EXECUTIONS", 2)
        one = sending()
        for number in (1, 2, 1, 3, 1, 2):
            with execution_context(job_execution_id=UUID(int=number)):
                one.log.info("x")
        one.handler.close()
        assert [log.sequence for batch in one.receiver.tries for log in batch] == [0, 0, 1, 0, 2, 0]


class TestDelivery:
    """How values are handed on."""

    def test_batches(self, sending: Make) -> None:
        """Of a size, as long as there is more."""
        one = sending(batch_size=4, linger=30)
        with execution_context(job_execution_id=JOB):
            for _ in range(10):
                one.log.info("x")
            assert [len(one.receiver.next()), len(one.receiver.next())] == [4, 4]
            one.handler.flush()
        assert len(one.receiver.next()) == 2

    def test_linger(self, sending: Make) -> None:
        """A batch that does not become full is sent all the same."""
        one = sending(batch_size=4, linger=0.001)
        with execution_context(job_execution_id=JOB):
            one.log.info("x")
        assert len(one.receiver.next()) == 1

    def test_close(self, sending: Make) -> None:
        """It hands on all that is left, and what comes later is lost."""
        one = sending(batch_size=3, linger=30)
        with execution_context(job_execution_id=JOB):
            for _ in range(8):
                one.log.info("x")
            one.handler.close()
            assert len(one.receiver.texts()) == 8
            one.log.info("x")
        one.handler.close()
        assert (one.handler.lost, len(one.receiver.texts())) == (1, 8)

    def test_full_queue(self, sending: Make) -> None:
        """The caller does not wait; what does not fit is lost, and a gap in the sequence shows it."""
        one = sending(capacity=3, batch_size=1)
        one.receiver.gate.clear()
        with execution_context(job_execution_id=JOB), capture_logs() as entries:
            one.log.info("x")
            while not one.receiver.tries:
                pass
            for _ in range(5):
                one.log.info("x")
            assert one.handler.lost == 2
            one.receiver.gate.set()
            one.handler.flush()
            one.log.info("x")
            one.handler.close()
        assert [log.sequence for batch in one.receiver.tries for log in batch] == [0, 1, 2, 3, 6]
        assert [(entry["message"], entry["lost"]) for entry in entries] == [("2 records of executions were lost", 2)]

    def test_retries(self, sending: Make) -> None:
        """A failed batch is sent again, the same values in the same order."""
        one = sending(attempts=3, pause=0.001)
        one.receiver.failures = 2
        with execution_context(job_execution_id=JOB):
            one.log.info("x")
        batch = one.receiver.next()
        assert one.receiver.tries == [batch] * 3
        assert one.handler.lost == 0

    def test_given_up(self, sending: Make) -> None:
        """After so many attempts; once sending works again, a warning tells."""
        one = sending(attempts=2, batch_size=2, linger=30)
        one.receiver.failures = 2
        with capture_logs() as entries, execution_context(job_execution_id=JOB):
            one.log.info("x")
            one.log.info("x")
            one.handler.flush()
            assert one.handler.lost == 2
            one.log.info("y")
            one.handler.close()
        assert one.receiver.texts() == ["INFO     worker: y"]
        assert [(entry["message"], entry["logger"]) for entry in entries] == [
            ("2 records of executions were lost", "cicd_common.logging")
        ]

    @pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError])
    def test_any_failure(self, sending: Make, error: type[BaseException]) -> None:
        """Whatever ``send`` raises, and whatever a handler raises that is told of the loss, delivery goes on."""

        class Broken(logging.Handler):
            def emit(self, _: logging.LogRecord) -> None:
                raise RuntimeError

        def fail(_: Sequence[ExecutionLog]) -> None:
            raise error

        one = sending(attempts=1, batch_size=1)
        logging.getLogger().addHandler(Broken())
        send, one.handler._send = one.handler._send, fail
        with execution_context(job_execution_id=JOB):
            one.log.info("x")
            one.handler.flush()
            one.handler._send = send
            one.log.info("y")
            one.log.info("z")
        one.handler.close()
        assert one.receiver.texts() == ["INFO     worker: y", "INFO     worker: z"]
        assert one.handler.lost == 1

    def test_no_value(self, sending: Make) -> None:
        """What makes no value is a loss."""
        one = sending()
        with execution_context(job_execution_id=JOB):
            one.log.logger.handle(logging.makeLogRecord({"levelno": 20, "created": 1e300}))
        one.handler.close()
        assert one.handler.lost == 1

    def test_secret_added_while_waiting(self, sending: Make) -> None:
        """What waits is masked again."""
        one = sending(linger=30)
        with execution_context(job_execution_id=JOB):
            one.log.info("hunter2hunter2")
        one.masker.add("hunter2hunter2")
        one.handler.close()
        assert one.receiver.texts() == ["INFO     worker: ***"]

    def test_close_in_time(self, sending: Make) -> None:
        """A receiver that does not answer cannot keep the program from its end."""
        one = sending(timeout=0.01, batch_size=1)
        one.receiver.gate.clear()
        with execution_context(job_execution_id=JOB):
            for _ in range(3):
                one.log.info("x")
        while not one.receiver.tries:
            pass
        one.handler.flush()
        one.handler.close()
        assert one.handler.lost == 2

    def test_receiver_that_logs(self, sending: Make) -> None:
        """What ``send`` logs is of no execution, and flushing or closing in it waits for nothing."""
        one = sending()
        done = threading.Event()

        def send(_: Sequence[ExecutionLog]) -> None:
            one.log.info("sending")
            one.handler.flush()
            one.handler.close()
            done.set()

        one.handler._send = send
        with execution_context(job_execution_id=JOB):
            one.log.info("x")
        assert done.wait(30)
        one.handler.close()
        assert one.receiver.tries == []

    def test_shutdown(self, sending: Make) -> None:
        """At the end of a program `logging.shutdown` holds the lock while it closes; ``send`` may log even so."""
        one = sending(linger=30)
        one.handler._send = lambda batch: (one.log.info("sending"), one.receiver.send(batch))
        with execution_context(job_execution_id=JOB):
            one.log.info("x")
        one.handler.acquire()
        one.handler.flush()
        one.handler.close()
        one.handler.release()
        assert one.receiver.texts() == ["INFO     worker: x"]

    def test_no_thread(self, sending: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where no thread can be started any more, ``close`` delivers by itself."""

        def fail(_: Any) -> None:
            raise RuntimeError("can't create new thread at interpreter shutdown")

        one = sending(batch_size=1)
        with monkeypatch.context() as patched, execution_context(job_execution_id=JOB):
            patched.setattr(threading.Thread, "start", fail)
            one.log.info("x")
            one.log.info("x")
            one.handler.close()
        assert len(one.receiver.texts()) == 2

    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_fork(self, sending: Make) -> None:
        """A child delivers what it logs itself, and nothing of its parent's; neither is stuck."""
        one = sending(batch_size=1)
        one.receiver.gate.clear()
        reader, writer = os.pipe()
        with execution_context(job_execution_id=JOB):
            one.log.info("parent")
            one.log.info("parent")
            while not one.receiver.tries:
                pass
            child = os.fork()
            if not child:
                _in_child(one, writer)
        os.close(writer)
        with open(reader) as stream:
            assert stream.read() == "INFO     worker: child\n"
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        one.receiver.gate.set()
        one.handler.close()
        assert one.receiver.texts() == ["INFO     worker: parent"] * 2

    def test_renewed(self, sending: Make) -> None:
        """What a child begins with; made here, where it is seen."""
        one = sending()
        one.handler._order.acquire()
        one.handler.renew()
        one.handler._delivery.renew()
        with execution_context(job_execution_id=JOB):
            one.log.info("x")
        assert len(one.receiver.next()) == 1


def _in_child(one: Sending, writer: int) -> None:
    """What a child does: it ends itself, by a signal if it is stuck."""
    signal.alarm(20)
    try:
        one.handler._send = lambda batch: os.write(writer, "".join(f"{log.log_text}\n" for log in batch).encode())
        one.log.info("child")
        one.handler.close()
    finally:
        os._exit(one.handler.lost)
