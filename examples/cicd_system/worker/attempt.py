"""One attempt at a job: claimed, run, told of while it runs, and brought to one end.

A job may be delivered more than once, to several Workers at once. Whose it is shows in the sequences of its updates:
each has one text, and the Backend says when another text was there before (a clash). See ``docs/integrating.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from threading import Event, Lock, Thread
from time import monotonic
from typing import Protocol
from uuid import UUID

from attrs import frozen

from cicd_common import ExecutionStatus
from cicd_common.api.request import ArtifactUploadRequest, JobExecutionRequest, JobStatusUpdate
from cicd_common.logging import get_logger, propagate_context
from cicd_common.logging.masking import process_masker

from .backend_client import Answer, GivenUpError, RefusedError
from .container import docker_command, docker_is_there, removal_command, remove_container
from .output import Output
from .process import JobProcess
from .script import script_of
from .settings import Settings
from .workspace import HaltedError, WorkspaceError, artifacts_in, inside, working_copy

__all__ = ["Backend", "run_job"]

log = get_logger(__name__)

_FILES = 1000  # That are told of in one request.


class Backend(Protocol):
    """What an attempt asks of the Backend; see `BackendClient`."""

    def report(self, update: JobStatusUpdate) -> Answer:
        """Report how a job is doing."""

    def upload(self, request: ArtifactUploadRequest) -> None:
        """Tell what files a job left."""

    def status(self, job_execution_id: UUID, *, patient: bool = True) -> ExecutionStatus:
        """How a job stands, or is to end."""

    def last_sequence(self, job_execution_id: UUID, after: int = 0, *, patient: bool = True) -> int:
        """The last sequence under which output of a job is stored."""


class _SupersededError(Exception):
    """Another attempt has taken the job over: nothing more is to be told of this one."""


@frozen
class _End:
    """How a job has ended.

    Attributes:
        status: Its last status.
        exit_code: Its exit code; none if it never ran.
        text: What is to be said of it in its log.
    """

    status: ExecutionStatus
    exit_code: int | None = None
    text: str = ""


_CANCELED = _End(ExecutionStatus.CANCELED, text="[cicd] canceled\n")


def run_job(
    request: JobExecutionRequest, backend: Backend, settings: Settings, *, redelivered: bool, ending: Event
) -> None:
    """Make an attempt at a job. When this returns, there is nothing more to do for this delivery of it.

    Args:
        request: The job.
        backend: Who is told.
        settings: How it is run.
        redelivered: Whether the broker has delivered it before.
        ending: When it is set, the job is stopped, and nothing more is told.

    Raises:
        GivenUpError: The Worker ends before the job does; the broker is to deliver it once more.
    """
    try:
        _Attempt(request, backend, settings, ending).run(redelivered)
    except _SupersededError:
        log.warning("another attempt has taken the job over")
    except RefusedError:
        log.exception("the Backend does not take what is told of the job")


class _Attempt:
    def __init__(self, request: JobExecutionRequest, backend: Backend, settings: Settings, ending: Event) -> None:
        self._request = request
        self._backend = backend
        self._settings = settings
        self._ending = ending
        self._id = request.job_execution_id
        self._token = token_hex(4)
        self._sequence = 0
        self._stop: _End | None = None
        self._halted = Event()
        self._process: JobProcess | None = None
        self._process_lock = Lock()
        self._is_superseded = False
        self._is_left = False
        self._told = "\n"  # The last character that was told of the output.

    def run(self, redelivered: bool) -> None:
        status = self._backend.status(self._id)
        if redelivered:
            self._sequence = self._backend.last_sequence(self._id)
        if status is ExecutionStatus.CANCELED:
            self._report(ExecutionStatus.CANCELED, "canceled before it ran\n")  # Changes nothing if it was at its end.
        elif not status.is_terminal and (redelivered or status is ExecutionStatus.PENDING) and self._claim(redelivered):
            self._finish(self._work())

    # --- what is told -------------------------------------------------------------------------------------------

    def _claim(self, redelivered: bool) -> bool:
        """Whether the job is ours to run. Its log then says so, in a line that no other attempt has."""
        again = ", delivered again" if redelivered else ""
        text = f"[cicd] running on {self._settings.name}, attempt {self._token}{again}\n"
        while True:
            answer = self._send(ExecutionStatus.RUNNING, text)
            if not answer.clashes:
                return not self._heed(answer.status)
            if not redelivered:
                return False
            self._sequence = self._backend.last_sequence(self._id, self._sequence)

    def _report(self, status: ExecutionStatus, text: str) -> None:
        answer = self._send(status, text)
        if answer.clashes or self._heed(answer.status):
            raise _SupersededError

    def _send(self, status: ExecutionStatus, text: str, exit_code: int | None = None) -> Answer:
        self._sequence += 1
        update = JobStatusUpdate(
            job_execution_id=self._id,
            sequence=self._sequence,
            status=status,
            occurred_at=datetime.now(UTC),
            logs=text,
            exit_code=exit_code,
        )
        return self._backend.report(update)

    def _heed(self, status: ExecutionStatus) -> bool:
        """Stop if the job is canceled; whether it has ended otherwise, by another attempt."""
        if status is ExecutionStatus.CANCELED:
            self._stop = self._stop or _CANCELED
            return False
        return status.is_terminal

    def _finish(self, end: _End) -> None:
        if self._is_superseded:
            raise _SupersededError
        if self._is_left:
            raise GivenUpError("the Worker ends before the job does")
        if self._send(end.status, end.text, end.exit_code).clashes:
            raise _SupersededError
        log.info("the job has ended", status=end.status.value, exit_code=end.exit_code)

    # --- what is done -------------------------------------------------------------------------------------------

    def _work(self) -> _End:
        """Run the job in a fresh working copy, to its end."""
        if self._stop is not None:
            return self._stop
        try:
            # What a job leaves may be no one's to remove, and must not change how it ended.
            with TemporaryDirectory(
                prefix=f"{self._id}-", dir=self._settings.directory, ignore_cleanup_errors=True
            ) as root:
                return self._work_in(Path(root))
        except (_SupersededError, GivenUpError):
            raise
        except HaltedError:
            return self._stop or _CANCELED  # The latter is told to nobody: the job is another's, or is left.
        except WorkspaceError as error:
            return _failed(str(error))
        except Exception as error:  # Whatever it is, a job that was claimed has an end.
            log.exception("the job cannot be run")
            return _failed(f"the Worker cannot run it: {type(error).__name__}")

    def _work_in(self, root: Path) -> _End:
        request = self._request
        script = root / "script.sh"
        script.write_text(script_of(request.commands), encoding="utf-8")
        with (
            self._watched(),
            working_copy(
                request.repo,
                request.commit_hash,
                root / "copy",
                as_it_is=request.is_local,
                is_alone=request.docker_image is not None,
                is_halted=self._halted.is_set,
            ) as copy,
        ):
            directory = inside(copy, request.working_dir)
            end = self._run(copy, directory, script)
            files = artifacts_in(copy, request.artifacts)
            for first in range(0, len(files), _FILES):
                some = files[first : first + _FILES]
                self._backend.upload(ArtifactUploadRequest(job_execution_id=self._id, artifacts=some))
            return end

    def _run(self, copy: Path, directory: Path, script: Path) -> _End:
        environment = {**self._settings.environment, "CICD_JOB_EXECUTION_ID": str(self._id)}
        with ExitStack() as stack:
            command, clearing = self._container(copy, directory, script, stack) or (["/bin/sh", str(script)], ())
            process = stack.enter_context(
                JobProcess(
                    command,
                    directory=directory,
                    environment=environment,
                    grace=self._settings.grace,
                    clearing=clearing,
                )
            )
            output = Output(process.output, process.clear)
            stack.callback(output.close)
            stack.enter_context(self._haltable(process))
            last = self._tell(output)
            code = process.wait()
        if self._stop is not None:
            line_end = "" if (last or self._told).endswith("\n") else "\n"
            return _End(self._stop.status, code, last + line_end + self._stop.text)
        return _End(ExecutionStatus.FAILED if code else ExecutionStatus.SUCCESS, code, last)

    def _tell(self, output: Output) -> str:
        """Report output up to its last piece, which goes with the end of the job: most jobs have no other."""
        while (text := output.take()) is not None:
            if output.is_over:
                return text
            self._report(ExecutionStatus.RUNNING, text)
            self._told = text[-1]
        return ""

    def _container(
        self, copy: Path, directory: Path, script: Path, stack: ExitStack
    ) -> tuple[Sequence[str], Sequence[str]] | None:
        """The commands that run the script in a container, and remove that; none where it runs on this machine."""
        image = self._request.docker_image
        if image is None:
            return None
        if not docker_is_there():
            if self._settings.allow_host:
                return None
            raise WorkspaceError("the job asks for an image, and there is no docker on this machine")
        name = f"cicd-{self._id}-{self._token}"
        stack.callback(remove_container, name)
        command = docker_command(
            image,
            name=name,
            copy=copy,
            script=script,
            directory=directory.relative_to(copy.resolve()).as_posix(),
            variables=(*self._settings.variables, "CICD_JOB_EXECUTION_ID"),
        )
        return command, removal_command(name)

    # --- what happens meanwhile ---------------------------------------------------------------------------------

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Halt the job when its time is up, when it was canceled, when it is another's, or when the Worker ends."""
        done = Event()
        thread = Thread(target=propagate_context(self._watch), args=(done,), name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    @contextmanager
    def _haltable(self, process: JobProcess) -> Iterator[None]:
        """Let a process be stopped when the job is halted; it may be so already."""
        with self._process_lock:
            self._process = process
        if self._halted.is_set():
            process.stop()
        try:
            yield
        finally:
            with self._process_lock:
                self._process = None

    def _watch(self, done: Event) -> None:
        deadline = monotonic() + self._settings.job_timeout
        while not done.wait(min(self._settings.poll_interval, max(deadline - monotonic(), 0))):
            if monotonic() >= deadline:
                self._stop = _failed(f"stopped: it ran for longer than {self._settings.job_timeout:g} seconds")
            else:
                self._look()
            self._is_left = self._ending.is_set()
            if self._stop is not None or self._is_superseded or self._is_left:
                self._halt()
                return

    def _halt(self) -> None:
        self._halted.set()
        with self._process_lock:
            if self._process is not None:
                self._process.stop()

    def _look(self) -> None:
        """Ask whether the job is to stop. Where nobody answers, the job goes on."""
        sequence = self._sequence
        try:
            if self._heed(self._backend.status(self._id, patient=False)) or (
                self._stop is None and self._backend.last_sequence(self._id, sequence, patient=False) > self._sequence
            ):
                self._is_superseded = True
        except (GivenUpError, RefusedError):
            log.warning("nobody says whether the job is to stop")


def _failed(why: str) -> _End:
    return _End(ExecutionStatus.FAILED, text=process_masker.mask(f"[cicd] {why}\n"))
