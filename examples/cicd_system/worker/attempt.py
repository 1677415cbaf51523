"""One attempt at a job: claim it, run it, report while it runs, and report its end.

The store knows which Worker has a job. The first update of an attempt claims the job, and any other Worker gets the
answer that it is superseded. See ``docs/explanation/leases.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Event

from attrs import evolve

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobExecutionRequest
from cicd_common.enums import EndReason
from cicd_common.logging import get_logger

from .artifacts import collect
from .backend_client import DeniedError, GivenUpError, RefusedError
from .container import docker_command, docker_is_there, removal_command, remove_container
from .directory import job_directory
from .inputs import InputError, bring
from .output import Output
from .process import JobProcess
from .reporting import Backend, End, Reporter
from .script import Program, ScriptError, program_of
from .settings import Settings
from .tools import HaltedError, Tools
from .watch import CANCELED, Watch
from .workspace import WorkspaceError, inside, working_copy

__all__ = ["Backend", "run_job"]

log = get_logger(__name__)


class _SupersededError(Exception):
    """Another attempt has the job, or the job has ended: nothing more is reported."""


def run_job(
    request: JobExecutionRequest,
    backend: Backend,
    settings: Settings,
    *,
    ending: Event,
    claimed: Callable[[], None] = lambda: None,
) -> None:
    """Make an attempt at a job.

    Args:
        request: The job.
        backend: Receives the reports.
        settings: The settings of the Worker.
        ending: When it is set, the job is stopped and given back.
        claimed: Called when the Backend has answered the claim.

    Raises:
        GivenUpError: The Worker ends and the Backend does not answer. The job is taken over when its lease ends.
        DeniedError: The Backend refuses this Worker.
    """
    attempt = _Attempt(request, backend, settings, ending)
    try:
        attempt.claim()
        claimed()
        attempt.run()
    except _SupersededError:
        log.warning("the job is another attempt's, or has ended")
    except RefusedError:
        log.exception("the Backend refuses what is told of the job")


class _Attempt:
    def __init__(self, request: JobExecutionRequest, backend: Backend, settings: Settings, ending: Event) -> None:
        self._request = request
        self._backend = backend
        self._reporter = Reporter(request, backend, settings)
        self._settings = settings
        self._id = request.job_execution_id
        self._watch = Watch(request, self._reporter, settings, ending)

    def claim(self) -> None:
        self._report("", f"running on {self._settings.name}, attempt {self._request.attempt}")
        log.info("the job was claimed", attempt=self._request.attempt)

    def run(self) -> None:
        self._finish(self._work())

    # --- what is told -------------------------------------------------------------------------------------------

    def _report(self, output: str, *notes: str) -> None:
        """Report output of the running job. The first report claims the job.

        Raises:
            _SupersededError: Another attempt has the job.
        """
        if self._watch.heed(self._reporter.running(output, *notes)):
            raise _SupersededError

    def _finish(self, end: End) -> None:
        if self._watch.is_superseded:
            raise _SupersededError
        if self._watch.is_left:
            self._reporter.running(end.output, "given back: the Worker ends", is_released=True)
            log.info("the job was given back")
        elif self._reporter.ended(end).is_superseded:
            raise _SupersededError
        else:
            log.info("the job has ended", status=end.status.value, reason=end.reason.value, exit_code=end.exit_code)

    # --- what is done -------------------------------------------------------------------------------------------

    def _work(self) -> End:
        """Run the job, and repeat it after a failure as often as its `retries` allow."""
        tries = self._request.retries + 1
        for number in range(1, tries + 1):
            if number > 1:
                self._report("", f"try {number} of {tries}")
            end = self._try()
            has_failed = end.status is ExecutionStatus.FAILED and end.reason is not EndReason.NOT_RUNNABLE
            if self._watch.is_left or self._watch.is_superseded or not has_failed or number == tries:
                break
            self._report(end.output, *end.notes)
            self._watch.renew()
        return end

    def _try(self) -> End:
        """Run the job once, in a fresh working copy."""
        if self._watch.stop is not None:
            return self._watch.stop
        try:
            with job_directory(self._settings.directory, str(self._id)) as root:
                return self._work_in(root)
        except (_SupersededError, GivenUpError, DeniedError):
            raise
        except HaltedError:
            return (
                self._watch.stop or CANCELED
            )  # CANCELED is not reported: another attempt has the job, or it is given back.
        except (InputError, WorkspaceError, ScriptError) as error:
            return _failed(EndReason.NOT_RUNNABLE, str(error))
        except Exception as error:  # A claimed job must end, whatever fails.
            log.exception("the job cannot be run")
            return _failed(EndReason.NOT_RUNNABLE, f"the Worker cannot run it: {type(error).__name__}")

    def _work_in(self, root: Path) -> End:
        request = self._request
        program = program_of(request, root, self._settings.kinds)
        environment = self._environment()
        tools = Tools(self._watch.halted.is_set)
        with (
            self._watch.watching(),
            working_copy(
                request.repo,
                request.commit_hash,
                root / "copy",
                branch=request.branch,
                as_it_is=request.is_local,
                is_alone=request.docker_image is not None,
                submodules=program.parameters.submodules,
                tools=tools,
                clones=self._settings.clones,
            ) as made,
        ):
            copy = made.resolve()
            directory = inside(copy, request.working_dir)
            with self._watch.limit.paused():
                bring(self._backend, request.inputs, copy, tools.go_on)
            end = self._run(copy, directory, program, environment)
            return self._collect(end, tools, copy)

    def _collect(self, end: End, tools: Tools, copy: Path) -> End:
        """Find and upload the artifacts. The job can be stopped meanwhile."""
        if not self._request.artifacts:
            return end
        self._watch.after_script()
        try:
            left = collect(tools, copy, self._request.artifacts)
            self._watch.script_over()
            notes = self._reporter.left(left.artifacts, copy, tools.go_on)
        except HaltedError:
            stop = self._watch.stop
            return end if stop is None else evolve(stop, exit_code=end.exit_code, output=end.output)
        return evolve(end, notes=(*end.notes, *left.notes, *notes))

    def _environment(self) -> dict[str, str]:
        """The variables of the job: its own, its secrets, and those that describe its run."""
        request = self._request
        if missing := [name for name in request.secrets if name not in self._settings.secrets]:
            raise ScriptError(f"this Worker does not hold the secrets {', '.join(missing)}")
        return {
            **request.environment,
            **{name: self._settings.secrets[name] for name in request.secrets},
            "CI": "true",
            "CICD_PIPELINE": request.pipeline_name,
            "CICD_STAGE": request.stage_name,
            "CICD_JOB": request.job_name,
            "CICD_RUN_NUMBER": str(request.run_number),
            "CICD_BRANCH": request.branch,
            "CICD_COMMIT": request.commit_hash or "",
            "CICD_JOB_EXECUTION_ID": str(self._id),
        }

    def _run(self, copy: Path, directory: Path, program: Program, environment: Mapping[str, str]) -> End:
        with ExitStack() as stack:
            container = self._container(copy, directory, program, environment, stack)
            command, clearing = container or (program.command, ())
            process = stack.enter_context(
                JobProcess(
                    command,
                    directory=directory,
                    environment={**self._settings.environment, **environment},
                    grace=self._settings.grace,
                    clearing=clearing,
                )
            )
            output = Output(process.output, process.clear, held_up=self._watch.limit.paused)
            stack.callback(output.close)
            stack.enter_context(self._watch.halting(process))
            last = self._tell(output)
            code = process.wait()
            self._watch.script_over()
        if self._watch.stop is not None:
            return evolve(self._watch.stop, exit_code=code, output=last)
        return End(ExecutionStatus.FAILED if code else ExecutionStatus.SUCCESS, EndReason.EXITED, code, last)

    def _tell(self, output: Output) -> str:
        """Report the output, and return its last piece, which is reported with the end of the job."""
        while (text := output.take()) is not None:
            if output.is_over:
                return text
            self._report(text)
        return ""

    def _container(
        self, copy: Path, directory: Path, program: Program, environment: Mapping[str, str], stack: ExitStack
    ) -> tuple[Sequence[str], Sequence[str]] | None:
        """The commands that run the script in a container and remove the container; None to run it on this machine."""
        image = self._request.docker_image
        if image is None:
            return None
        if not docker_is_there():
            if self._settings.allow_host:
                return None
            raise WorkspaceError("the job asks for an image, and there is no docker on this machine")
        name = f"cicd-{self._id}-{self._request.attempt}"
        stack.callback(remove_container, name)
        command = docker_command(
            image,
            name=name,
            copy=copy,
            script=program.file,
            shell=program.parameters.shell,
            directory=directory.relative_to(copy).as_posix(),
            variables=tuple(environment),
        )
        return command, removal_command(name)


def _failed(reason: EndReason, why: str) -> End:
    return End(ExecutionStatus.FAILED, reason, notes=(why,))
