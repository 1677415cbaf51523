"""What happens while a job runs: the Backend hears of the Worker, and the job is halted when it has to be."""

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
"""How a job ends that was canceled."""
_OVER = "the script is over"  # Why the time limit is paused.


class Watch:
    """Halts a job when its time is up, when it was canceled, when it is another's, or when the Worker ends.

    Args:
        request: The job.
        reporter: Asks the Backend.
        settings: Those of the Worker.
        ending: When it is set, the Worker ends.

    Attributes:
        stop: How the job ends if it was stopped; none if it was not.
        limit: Its time limit.
        halted: Set when the job is halted.
        is_superseded: Whether the job is another attempt's, or has ended.
        is_left: Whether the job is given back, as the Worker ends.
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
        """Be ready for the next try."""
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
        """Let a process be stopped when the job is halted; it may be so already.

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
        """Count no more time: only the Backend is waited for."""
        self.limit.pause(_OVER)

    def after_script(self) -> None:
        """Count time again: the job goes on after its script."""
        self.limit.go_on(_OVER)

    def heed(self, answer: JobExecutionResponse) -> bool:
        """Stop if the run was canceled; whether the job is another attempt's, or has ended.

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
                return

    def _is_over(self) -> bool:
        """Whether the script has ended; then no more time counts."""
        with self._process_lock:
            is_over = self._process is not None and self._process.clear()
        if is_over:
            self.script_over()
        return is_over

    def _halt(self) -> None:
        self.halted.set()
        with self._process_lock:
            if self._process is not None:
                self._process.stop()

    def _ask(self, question: Callable[[], JobExecutionResponse | None]) -> None:
        """Heed an answer. Where nobody answers, the job goes on."""
        try:
            answer = question()
            self.is_superseded = answer is not None and self.heed(answer)
        except (GivenUpError, RefusedError, DeniedError):
            log.warning("nobody says whether the job is to stop")
