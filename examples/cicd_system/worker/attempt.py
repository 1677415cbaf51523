"""One attempt at a job: claim it, run it, report while it runs, and report its end.

The store knows which Worker has a job. The first update of an attempt claims the job, and any other Worker gets the
answer that it is superseded. See ``docs/explanation/leases.md``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from math import inf
from pathlib import Path
from secrets import token_hex
from threading import Event
from time import monotonic

from attrs import Factory, define, evolve, field, frozen

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobExecutionRequest
from cicd_common.enums import EndReason
from cicd_common.logging import get_logger, propagate_context

from ..connection import DeniedError, NoAnswerError, RefusedError
from .artifacts import download_inputs, find_artifacts, upload_artifacts
from .backend_client import BackendClient
from .directory import job_directory
from .output import Output
from .process import JobProcess
from .reporting import End, NotRunnableError, Reporter
from .script import Program, container_commands, find_docker, program_of, variables_of
from .workspace import inside, make_working_copy

__all__ = ["Settings", "run_job"]

log = get_logger(__name__)

_CANCELED = End(ExecutionStatus.CANCELED, EndReason.STOPPED, notes=("canceled",))
_GIVEN_BACK = End(ExecutionStatus.RUNNING, notes=("given back: the Worker ends",))


@frozen(kw_only=True)
class Settings:
    """The settings of a Worker.

    Attributes:
        name: The name of the Worker, in the log of each job.
        worker: The name with which it claims jobs. A restarted Worker has another one.
        directory: Where working copies are made; a path without links.
        job_timeout: The time limit of a try, in seconds.
        grace: The seconds that a job may take to stop.
        allow_host: Whether a job with an image runs on this machine if there is no docker.
        kinds: The shell command for each kind of jobs other than ``script``.
        secrets: The secrets for jobs, by their names.
    """

    name: str
    directory: Path
    job_timeout: float = 3600
    grace: float = 5
    allow_host: bool = False
    kinds: Mapping[str, str] = field(factory=dict)
    secrets: Mapping[str, str] = field(factory=dict, repr=False)
    worker: str = Factory(lambda self: f"{self.name[:240]}-{token_hex(4)}", takes_self=True)


def run_job(
    request: JobExecutionRequest,
    client: BackendClient,
    settings: Settings,
    *,
    ending: Event,
    claimed: Callable[[], None],
) -> None:
    """Make an attempt at a job.

    Args:
        ending: When it is set, the job is stopped and given back.
        claimed: Called when the Backend has answered the claim.

    Raises:
        NoAnswerError: The Worker ends and the Backend does not answer. The job is taken over when its lease ends.
        DeniedError: The Backend refuses this Worker.
    """
    reporter = Reporter(request, client, settings.worker)
    with ExitStack() as directories:  # The end is reported first, because a large working copy takes long to remove.
        try:
            reporter.running("", f"running on {settings.name}, attempt {request.attempt}")
            claimed()
            if not reporter.is_superseded:
                log.info("the job was claimed", attempt=request.attempt)
            with reporter.heartbeats():
                end = _Attempt(request, client, reporter, settings, ending, directories).run()
            reporter.ended(end)
        except RefusedError:
            log.exception("the Backend refuses a report about the job")
            return
        if reporter.is_superseded:
            log.warning("another attempt has the job, or the job has ended")
        elif end.reason is None:
            log.info("the job was given back")
        else:
            end_of_job = {"status": end.status.value, "reason": end.reason.value, "exit_code": end.exit_code}
            log.info("the job has ended", **end_of_job)


class _HaltedError(Exception):
    """The job has to stop."""

    def __init__(self, end: End) -> None:
        super().__init__()
        self.end = end


class _TimeLimit:
    """Counts the seconds of a try, except in pauses."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = monotonic() + seconds

    @property
    def is_over(self) -> bool:
        return monotonic() > self._end

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Count no seconds in the block, in which the job waits for the Backend."""
        left, self._end = self._end - monotonic(), inf
        try:
            yield
        finally:
            self._end = monotonic() + left


@define
class _Attempt:
    _request: JobExecutionRequest
    _client: BackendClient
    _reporter: Reporter
    _settings: Settings
    _ending: Event
    _directories: ExitStack
    _limit: _TimeLimit = field(init=False)

    def run(self) -> End:
        """Run the job, and repeat it after a failure as often as its `retries` allow."""
        tries = self._request.retries + 1
        for number in range(2, tries + 1):
            end = self._try()
            if end.status is not ExecutionStatus.FAILED or end.reason is EndReason.NOT_RUNNABLE:
                return end
            self._reporter.running(end.output, *end.notes, f"try {number} of {tries}")
        return self._try()

    def _try(self) -> End:
        """Run the job once, in a fresh working copy."""
        self._directories.close()  # Of the try before.
        seconds = self._settings.job_timeout
        self._limit = _TimeLimit(min(seconds, self._request.timeout_seconds or seconds))
        try:
            self._go_on()
            directory = job_directory(self._settings.directory, str(self._request.job_execution_id))
            return self._run_in(self._directories.enter_context(directory))
        except (NoAnswerError, DeniedError):
            raise
        except _HaltedError as halted:
            return halted.end
        except NotRunnableError as error:
            return _not_runnable(str(error))
        except Exception as error:  # A claimed job must end, whatever fails.
            log.exception("the job cannot be run")
            return _not_runnable(f"the Worker cannot run it: {type(error).__name__}")

    def _run_in(self, root: Path) -> End:
        request = self._request
        program = program_of(request, root, self._settings.kinds)
        variables = variables_of(request, self._settings.secrets)
        copy, clones = root / "copy", self._settings.directory / "clones"
        make_working_copy(request, copy, clones, submodules=program.parameters.submodules, go_on=self._go_on)
        directory = inside(copy, request.working_dir)
        with self._limit.paused():
            download_inputs(self._client, request.inputs, copy, self._go_on)
        end = self._run_program(program, copy, directory, variables)
        return self._keep_artifacts(end, copy) if request.artifacts else end

    def _run_program(self, program: Program, copy: Path, directory: Path, variables: Mapping[str, str]) -> End:
        command, removal = program.command, None
        if docker := self._find_docker():
            command, removal = container_commands(docker, self._request, program, copy, directory, variables)
        environment, grace = {**os.environ, **variables}, self._settings.grace
        with (
            # The job goes on while its output is reported.
            ThreadPoolExecutor(1) as executor,
            JobProcess(command, directory=directory, environment=environment, grace=grace, removal=removal) as process,
        ):
            output = Output(process.output, process.has_ended)
            report = executor.submit(lambda: None)
            stopped = None
            while not output.is_over:
                output.read()
                if output.is_full:
                    with self._limit.paused():
                        report.result()
                if report.done() and (text := output.take()):
                    report.result()
                    report = executor.submit(propagate_context(self._reporter.running), text)
                if stopped := stopped or self._reason_to_stop():
                    process.stop()
            code = process.wait()
            *pieces, last = output.rest()
            with self._limit.paused():
                report.result()
                for piece in pieces:
                    self._reporter.running(piece)
        if stopped is not None:
            return evolve(stopped, exit_code=code, output=last)
        return End(ExecutionStatus.FAILED if code else ExecutionStatus.SUCCESS, EndReason.EXITED, code, last)

    def _find_docker(self) -> str | None:
        """The path of docker if the job runs in a container."""
        if self._request.docker_image is None:
            return None
        docker = find_docker()
        if docker is None and not self._settings.allow_host:
            raise NotRunnableError("the job asks for an image, and there is no docker on this machine")
        return docker

    def _keep_artifacts(self, end: End, copy: Path) -> End:
        """Find and upload the artifacts. The job can be stopped meanwhile."""
        try:
            artifacts, notes = find_artifacts(copy, self._request.artifacts, self._go_on)
            with self._limit.paused():
                job = self._request.job_execution_id
                notes += upload_artifacts(self._client, job, copy, artifacts, self._go_on)
        except _HaltedError as halted:
            return evolve(halted.end, exit_code=end.exit_code, output=end.output)
        return evolve(end, notes=(*end.notes, *notes))

    def _go_on(self) -> None:
        if (end := self._reason_to_stop()) is not None:
            raise _HaltedError(end)

    def _reason_to_stop(self) -> End | None:
        """How the job ends if it has to stop now; None if it goes on. Raises a DeniedError if no end can be told."""
        if self._reporter.denial is not None:
            raise self._reporter.denial
        if self._reporter.is_canceled or self._reporter.is_superseded:
            return _CANCELED  # It is not reported if another attempt has the job.
        if self._ending.is_set():
            return _GIVEN_BACK
        if self._limit.is_over:
            why = f"stopped: it ran for longer than {self._limit.seconds:g} seconds"
            return End(ExecutionStatus.FAILED, EndReason.TIMED_OUT, notes=(why,))
        return None


def _not_runnable(why: str) -> End:
    return End(ExecutionStatus.FAILED, EndReason.NOT_RUNNABLE, notes=(why,))
