"""Watch a running job: renew its lease, and halt it when it has to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread
from time import monotonic

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobExecutionRequest
from cicd_common.api.response import JobExecutionResponse
from cicd_common.enums import EndReason
from cicd_common.logging import get_logger, propagate_context

from .backend_client import DeniedError, GivenUpError, RefusedError
from .process import JobProcess
from .reporting import End, Reporter
from .settings import Settings
from .time_limit import TimeLimit

__all__ = ["CANCELED", "Watch"]

log = get_logger(__name__)

CANCELED = End(ExecutionStatus.CANCELED, EndReason.STOPPED, notes=("canceled",))
"""The end of a canceled job."""
_OVER = "the script is over"  # Why the time limit is paused.


class Watch:
    """Halts a job at its time limit, when it was canceled, when another attempt has it, or when the Worker ends.

    Args:
        request: The job.
        reporter: Sends requests to the Backend.
        settings: The settings of the Worker.
        ending: When it is set, the Worker ends.

    Attributes:
        stop: The end of the job if it was stopped; None if it was not.
        limit: Its time limit.
        halted: Set when the job is halted.
        is_superseded: Whether another attempt has the job, or the job has ended.
        is_left: Whether the job is given back because the Worker ends.
    """

    def __init__(self, request: JobExecutionRequest, reporter: Reporter, settings: Settings, ending: Event) -> None:
        self.stop: End | None = None
        self.limit = TimeLimit(min(settings.job_timeout, request.timeout_seconds or settings.job_timeout))
        self.halted = Event()
        self.is_superseded = False
        self.is_left = False
        self._reporter = reporter
        self._ending = ending
        self._beat_interval = request.lease_seconds / 3
        self._poll_interval = min(settings.poll_interval, self._beat_interval)
        self._process: JobProcess | None = None
        self._process_lock = Lock()

    def renew(self) -> None:
        """Prepare for the next try."""
        self.stop = None
        self.halted.clear()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch a try in the block."""
        self.limit = TimeLimit(self.limit.seconds)
        done = Event()
        thread = Thread(target=propagate_context(self._watch), args=(done,), name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    @contextmanager
    def halting(self, process: JobProcess) -> Iterator[None]:
        """Stop a process when the job is halted, also if it was halted before.

        Args:
            process: The process.
        """
        with self._process_lock:
            self._process = process
            if self.halted.is_set():
                process.stop()
        try:
            yield
        finally:
            with self._process_lock:
                self._process = None

    def script_over(self) -> None:
        """Pause the time limit: the job only waits for the Backend."""
        self.limit.pause(_OVER)

    def after_script(self) -> None:
        """Continue the time limit after the script, while artifacts are collected."""
        self.limit.go_on(_OVER)

    def heed(self, answer: JobExecutionResponse) -> bool:
        """Stop if the run was canceled. Returns whether another attempt has the job, or the job has ended.

        Args:
            answer: An answer of the Backend.
        """
        if answer.is_cancel_requested:
            self.stop = self.stop or CANCELED
        return answer.is_superseded or answer.status.is_terminal

    def _watch(self, done: Event) -> None:
        heartbeat = monotonic()
        while not done.wait(min(self._poll_interval, max(self.limit.left, 0))):
            if self.limit.left <= 0 and not self._is_over():
                why = f"stopped: it ran for longer than {self.limit.seconds:g} seconds"
                self.stop = End(ExecutionStatus.FAILED, EndReason.TIMED_OUT, notes=(why,))
            elif monotonic() - heartbeat >= self._beat_interval:
                heartbeat = monotonic()
                self._ask(self._reporter.beat)
            else:
                self._ask(self._reporter.look)
            self.is_left = self._ending.is_set()
            if self.stop is not None or self.is_superseded or self.is_left:
                self._halt()
                break
        # It may take longer than the lease to stop the job and to clear its files away.
        while not done.wait(self._beat_interval):
            self._ask(self._reporter.beat)

    def _is_over(self) -> bool:
        """Whether the script has ended. If so, the time limit is paused."""
        with self._process_lock:
            is_over = self._process is not None and self._process.clear()
        if is_over:
            self.script_over()
        return is_over

    def _halt(self) -> None:
        with self._process_lock:
            self.halted.set()
            if self._process is not None:
                self._process.stop()

    def _ask(self, question: Callable[[], JobExecutionResponse | None]) -> None:
        """Send a request and handle its answer. Without an answer, the job continues."""
        try:
            answer = question()
            self.is_superseded = answer is not None and self.heed(answer)
        except (GivenUpError, RefusedError, DeniedError):
            log.warning("nobody says whether the job is to stop")
