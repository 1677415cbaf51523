"""The logs of an execution are sent as ExecutionLog values."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
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
from tests.support.children import end_if_stuck

JOB, STAGE, PIPELINE = UUID(int=1), UUID(int=2), UUID(int=3)


class Receiver:
    """A receiver of batches that can fail or wait."""

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
    """A logger with an ExecutionLogHandler, which sends to `receiver`."""

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
    """Records become ExecutionLog values."""

    def test_record(self, sending: Make) -> None:
        """A value has the ids, the sequence, the time and the masked text."""
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
        """The text of another formatter is masked and made writable, too."""
        one = sending()
        one.masker.add("hunter2hunter2")
        one.handler.setFormatter(logging.Formatter("%(message)s"))
        with execution_context(job_execution_id=JOB):
            one.log.info("hunter2hunter2 \ud800")
        assert one.receiver.next()[0].log_text == "*** \ufffd"

    def test_standard_logger(self, sending: Make) -> None:
        """Lines of any logger are sent, also with ids as text."""
        one = sending()
        with execution_context(job_execution_id=str(JOB)):
            one.log.logger.info("hello")
        assert one.receiver.next()[0].job_execution_id == JOB

    def test_without_execution(self, sending: Make) -> None:
        """Records without a valid id of an execution are ignored."""
        one = sending()
        one.log.info("hello")
        with execution_context(job_execution_id="no id", a=1):
            one.log.info("hello")
        one.handler.close()
        assert (one.receiver.tries, one.handler.lost) == ([], 0)

    def test_filtered(self, sending: Make) -> None:
        """Records that a filter refuses are not sent."""
        one = sending()
        one.handler.addFilter(lambda record: record.levelno > logging.INFO)
        with execution_context(job_execution_id=JOB):
            one.log.info("no")
            one.log.error("yes")
        assert one.receiver.next()[0].log_text == "ERROR    worker: yes"

    def test_cannot_be_formatted(self, sending: Make) -> None:
        """A record whose formatter fails is counted as lost."""
        one = sending()
        one.handler.setFormatter(logging.Formatter("%(nothing)s"))
        with execution_context(job_execution_id=JOB):
            one.log.info("hello")
        assert one.handler.lost == 1


class TestSequence:
    """Sequences rise by one for each execution."""

    @given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 7))
    def test_rises(self, jobs: list[str], batch_size: int) -> None:
        """Sequences rise for interleaved executions, and across batches."""
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
        """The log of a job and that of its stage have separate sequences."""
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
        """Records of many threads of one execution have all sequences."""
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
        """The sequences of executions that were silent longest are forgotten."""
        monkeypatch.setattr(execution_log, "MOST_EXECUTIONS", 2)
        one = sending()
        for number in (1, 2, 1, 3, 1, 2):
            with execution_context(job_execution_id=UUID(int=number)):
                one.log.info("x")
        one.handler.close()
        assert [log.sequence for batch in one.receiver.tries for log in batch] == [0, 0, 1, 0, 2, 0]


class TestDelivery:
    """Values are delivered in batches."""

    def test_batches(self, sending: Make) -> None:
        """Batches are full as long as there are more values."""
        one = sending(batch_size=4, linger=30)
        with execution_context(job_execution_id=JOB):
            for _ in range(10):
                one.log.info("x")
            assert [len(one.receiver.next()), len(one.receiver.next())] == [4, 4]
            one.handler.flush()
        assert len(one.receiver.next()) == 2

    def test_linger(self, sending: Make) -> None:
        """A batch that does not become full is sent, too."""
        one = sending(batch_size=4, linger=0.001)
        with execution_context(job_execution_id=JOB):
            one.log.info("x")
        assert len(one.receiver.next()) == 1

    def test_close(self, sending: Make) -> None:
        """`close` sends all waiting values, and later ones are lost."""
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
        """The caller does not wait; a record that does not fit is lost, and leaves a gap."""
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
        """A batch is given up after its attempts, and a warning reports it once sending works."""
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
        """Delivery goes on after any exception of ``send`` or of a handler of the warning."""

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
        """A record that cannot become a value is lost."""
        one = sending()
        with execution_context(job_execution_id=JOB):
            one.log.logger.handle(logging.makeLogRecord({"levelno": 20, "created": 1e300}))
        one.handler.close()
        assert one.handler.lost == 1

    def test_secret_added_while_waiting(self, sending: Make) -> None:
        """Values that wait are masked again before they are sent."""
        one = sending(linger=30)
        with execution_context(job_execution_id=JOB):
            one.log.info("hunter2hunter2")
        one.masker.add("hunter2hunter2")
        one.handler.close()
        assert one.receiver.texts() == ["INFO     worker: ***"]

    def test_close_in_time(self, sending: Make) -> None:
        """A receiver that does not answer cannot keep the program from ending."""
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
        """Logs of ``send`` belong to no execution, and flushing or closing in it does not wait."""
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
        """The handler can be closed while its lock is held, as by `logging.shutdown`, and ``send`` logs."""
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
        """If no thread can be started any more, ``close`` delivers in its own thread."""

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
        """A child process delivers only its own records, and neither process is stuck."""
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
        """After `renew`, which runs in a forked process, records are sent even if a lock was held."""
        one = sending()
        one.handler._order.acquire()
        one.handler.renew()
        one.handler._delivery.renew()
        with execution_context(job_execution_id=JOB):
            one.log.info("x")
        assert len(one.receiver.next()) == 1


def _in_child(one: Sending, writer: int) -> None:
    """The code of the child process, which a signal ends if it is stuck."""
    try:
        end_if_stuck()
        one.handler._send = lambda batch: os.write(writer, "".join(f"{log.log_text}\n" for log in batch).encode())
        one.log.info("child")
        one.handler.close()
    finally:
        os._exit(one.handler.lost)
