"""A Backend in memory, made of the models, with the methods of a store and without a database."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from attrs import define, field, frozen

from ..api.request import (
    Artifact,
    ArtifactUploadRequest,
    ExecutionLogUpload,
    JobExecutionRequest,
    JobStatusUpdate,
    PipelineExecutionRequest,
    ReportRequest,
)
from ..api.response import ExecutionLogResponse, JobExecutionResponse, PipelineExecutionResponse
from ..dto import JobExecutionDTO, PipelineDTO
from ..errors import ContractError, Problem, UnknownJobError
from ..mapping import (
    execution_to_records,
    job_execution_request,
    job_execution_response,
    pipeline_execution_response,
    pipeline_to_records,
)
from ..model import ExecutionLog, JobExecution, LogText, Pipeline, PipelineExecution, UpdateOutcome
from ..model.status import shifted
from ..reports import Report, end_of_output, report
from ..values import Environment

__all__ = ["Applied", "FakeBackend", "Started", "TakenOver"]


@frozen(kw_only=True)
class Started:
    """A run that was started.

    Attributes:
        execution: The run: its id, its number, and its status.
        jobs: The requests of the jobs that are ready at once; empty if the same request had started the run before.
    """

    execution: PipelineExecutionResponse
    jobs: tuple[JobExecutionRequest, ...]


@frozen(kw_only=True)
class Applied:
    """The result of an update.

    Attributes:
        outcome: The effect of the update.
        response: The response to the Worker.
        jobs: The requests of the jobs that became ready, or of the job itself if the update released it.
    """

    outcome: UpdateOutcome
    response: JobExecutionResponse
    jobs: tuple[JobExecutionRequest, ...] = ()


@frozen(kw_only=True)
class TakenOver:
    """The jobs that were taken over.

    Attributes:
        jobs: The requests to send again, and those of jobs that became ready.
        ended: The status of each job that was ended.
    """

    jobs: tuple[JobExecutionRequest, ...]
    ended: tuple[JobExecutionResponse, ...]


@define
class _Lease:
    """The state of a job that a Backend has in addition to the model's.

    Attributes:
        heard_at: When an update of its Worker was last received; None if none was.
        losses: How often the job was lost.
        sendings: How often the request of this attempt was sent.
        send_at: When to send the request again if no Worker claims it.
    """

    heard_at: datetime | None = None
    losses: int = 0
    sendings: int = 0
    send_at: datetime | None = None


@define(eq=False)
class FakeBackend:
    """A Backend in memory, made of the models. It does what a store does, by the rules of the contract alone.

    Tests of Workers and CLIs need no server and no database with it. Tests of a Backend can take its results as the
    expected ones: it computes every answer from all its runs. It is for one thread.

    Args:
        lease_seconds: After how many seconds without an update a claimed job counts as lost, from 1; 60 by default.
        max_losses: How often a job may be lost before it ends as ``FAILED``, from 1; 3 by default.
        resend_seconds: After how many seconds an unclaimed request is sent again, from 1; 300 by default. The wait
            doubles each time.
    """

    lease_seconds: int = field(default=60, kw_only=True)
    max_losses: int = field(default=3, kw_only=True)
    resend_seconds: int = field(default=300, kw_only=True)
    _pipelines: dict[UUID, tuple[Pipeline, datetime]] = field(init=False, factory=dict)
    _runs: dict[UUID, PipelineExecution] = field(init=False, factory=dict)
    _run_of_job: dict[UUID, UUID] = field(init=False, factory=dict)
    _leases: dict[UUID, _Lease] = field(init=False, factory=dict)
    _requests: dict[UUID, UUID] = field(init=False, factory=dict)
    _outputs: dict[UUID, LogText] = field(init=False, factory=dict)
    _artifacts: dict[UUID, dict[str, Artifact]] = field(init=False, factory=dict)
    _logs: dict[UUID, ExecutionLog] = field(init=False, factory=dict)
    _asked_at: datetime | None = field(init=False, default=None)
    _asked_since: datetime | None = field(init=False, default=None)

    # --- writes -------------------------------------------------------------------------------------------------

    def start(
        self,
        what: PipelineExecutionRequest | Pipeline,
        *,
        request_id: UUID | None = None,
        branch: str | None = None,
        commit_hash: str | None = None,
        environment: Environment = Environment(),
        is_local: bool = False,
        at: datetime | None = None,
        execution_id: UUID | None = None,
    ) -> Started:
        """Start a run: give it the next number, and hand out the first jobs.

        Args:
            what: A request with a definition or the id of a known one, or a definition.
            request_id: The idempotency key: the same one never starts a second run. A request has its own.
            branch: The branch to run on; that of the definition by default.
            commit_hash: The commit to run on; that of the definition by default.
            environment: Environment variables of the run; empty by default.
            is_local: Whether the run is for the caller's own machine.
            at: The time, with an offset; now by default.
            execution_id: The id of the run; a new one by default.

        Returns:
            The run, and the requests of the jobs that are ready at once.

        Raises:
            ContractError: There is no definition, it has the id of another one, or the request names another
                repository.
        """
        at = at or _now()
        if isinstance(what, PipelineExecutionRequest):
            request_id, is_local, environment = what.request_id, what.is_local, what.environment
            branch, commit_hash = what.branch, what.commit_hash
        if request_id is not None and request_id in self._requests:
            run = self._runs[self._requests[request_id]]
            return Started(execution=pipeline_execution_response(run), jobs=())
        pipeline = self._definition(what, at)
        numbers = [run.run_number for run in self._runs.values() if run.pipeline.name == pipeline.name]
        run = PipelineExecution.of(
            pipeline,
            run_number=max(numbers, default=0) + 1,
            branch=branch,
            commit_hash=commit_hash,
            environment=environment,
            is_local=is_local,
            id=execution_id or uuid4(),
        )
        if request_id is not None:
            self._requests[request_id] = run.id
        jobs = [job for stage in run.stages for job in stage.jobs]
        self._run_of_job |= {job.id: run.id for job in jobs}
        self._leases |= {job.id: _Lease() for job in jobs}
        run, sent = self._handed_out(run, at)
        self._runs[run.id] = run
        return Started(execution=pipeline_execution_response(run), jobs=sent)

    def _definition(self, what: PipelineExecutionRequest | Pipeline, at: datetime) -> Pipeline:
        pipeline = what.pipeline if isinstance(what, PipelineExecutionRequest) else what
        if isinstance(what, PipelineExecutionRequest):
            if pipeline is None:
                known = None if what.pipeline_id is None else self._pipelines.get(what.pipeline_id)
                if known is None:
                    raise _unknown("pipeline_id", "pipeline", what.pipeline_id)
                pipeline = known[0]
            if what.pipeline_id not in (None, pipeline.id):
                message = f"expected the id of the definition, {pipeline.id}, or none"
                raise _UnknownIdError(PipelineExecutionRequest, [Problem("/pipeline_id", "value", message)])
            if what.repo != pipeline.repo_url:
                message = "expected the repository of the pipeline, found another one"
                raise _DefinitionError(PipelineExecutionRequest, [Problem("/repo", "value", message)])
        assert pipeline is not None
        stored = self._pipelines.setdefault(pipeline.id, (pipeline, at))[0]
        if stored != pipeline:
            message = f"expected the definition that is stored under the id {pipeline.id}, or another id"
            raise _DefinitionError(Pipeline, [Problem("/id", "value", message)])
        return pipeline

    def _handed_out(
        self, run: PipelineExecution, at: datetime
    ) -> tuple[PipelineExecution, tuple[JobExecutionRequest, ...]]:
        run, jobs = run.hand_out(at)
        return run, tuple(self._sent(run, job, at) for job in jobs)

    def _sent(self, run: PipelineExecution, job: JobExecution, at: datetime) -> JobExecutionRequest:
        lease = self._leases[job.id]
        wait = timedelta(seconds=self.resend_seconds) * 2 ** min(lease.sendings, 12)
        lease.send_at = shifted(at, wait if run.canceled_at is None else self._lease)
        lease.sendings += 1
        return job_execution_request(run, job.id, lease_seconds=self.lease_seconds)

    def apply(self, update: JobStatusUpdate, *, at: datetime | None = None) -> Applied:
        """Apply an update to its job and its run, and hand out the jobs that become ready.

        Args:
            update: The update. Updates may come in any order, and any number of times.
            at: When the update came, with an offset; now by default.

        Returns:
            The effect of the update, the response to its Worker, and the requests of the jobs that became ready.

        Raises:
            UnknownJobError: There is no job execution of the update's id.
        """
        at = at or _now()
        before = self._run_of(update.job_execution_id)
        run, outcome = before.apply(update)
        job = run.job(update.job_execution_id)
        lease = self._leases[job.id]
        if outcome is not UpdateOutcome.SUPERSEDED:
            chunks = self._outputs.get(job.id, LogText())
            self._outputs[job.id] = chunks.join([(update.sequence, update.logs)])
            if not job.status.is_terminal:
                lease.heard_at = at
        sent: tuple[JobExecutionRequest, ...] = ()
        if job.attempt != before.job(job.id).attempt:
            lease.sendings = 0
            sent = (self._sent(run, job, at),)
        run, ready = self._handed_out(run, at)
        self._runs[run.id] = run
        response = job_execution_response(
            job,
            is_cancel_requested=run.canceled_at is not None and not job.status.is_terminal,
            is_superseded=outcome in (UpdateOutcome.SUPERSEDED, UpdateOutcome.CONFLICT),
        )
        return Applied(outcome=outcome, response=response, jobs=(*sent, *ready))

    def apply_all(
        self, updates: Iterable[JobStatusUpdate], *, at: datetime | None = None
    ) -> tuple[Applied | UnknownJobError, ...]:
        """Apply updates one after the other.

        Args:
            updates: The updates.
            at: When the updates came, with an offset; now by default.

        Returns:
            The result of each update, or the error if its job does not exist.
        """
        results: list[Applied | UnknownJobError] = []
        for update in updates:
            try:
                results.append(self.apply(update, at=at))
            except UnknownJobError as error:
                results.append(error)
        return tuple(results)

    def cancel(self, execution_id: UUID, at: datetime | None = None) -> tuple[JobExecutionResponse, ...]:
        """Cancel the jobs of a run that were not handed out. A repeated or late call changes nothing.

        Args:
            execution_id: The pipeline execution.
            at: The time, with an offset; now by default.

        Returns:
            The jobs whose Workers must stop, in the order of definition.

        Raises:
            ContractError: There is no pipeline execution of this id.
        """
        at = at or _now()
        before = self.execution(execution_id)
        run, to_stop = before.cancel(at)
        if before.canceled_at is None:
            for job in to_stop:
                lease = self._leases[job.id]
                if job.worker is None and lease.send_at is not None:
                    lease.send_at = min(lease.send_at, shifted(at, self._lease))
        self._runs[run.id] = run
        return tuple(job_execution_response(job, is_cancel_requested=True) for job in to_stop)

    @property
    def _lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)

    def take_over(self, at: datetime | None = None) -> TakenOver:
        """Take over the jobs whose Workers were silent for a lease. Call it every few seconds.

        Args:
            at: The time, with an offset; now by default.

        Returns:
            The requests to send, and the jobs that were ended.
        """
        at = at or _now()
        earliest, latest = shifted(at, -self._lease / 3), shifted(at, self._lease)
        if self._asked_at is None or self._asked_since is None or not earliest <= self._asked_at <= latest:
            self._asked_at = self._asked_since = at
        self._asked_at = max(at, self._asked_at)
        ends_leases = self._asked_since <= shifted(at, -self._lease)
        jobs: list[JobExecutionRequest] = []
        ended: list[JobExecutionResponse] = []
        run_ids: dict[UUID, None] = {}
        for job_id in list(self._leases):
            if self._is_due(job_id, at, ends_leases):
                run, job = self._lose(job_id, at)
                run_ids[run.id] = None
                if job.status.is_terminal:
                    ended.append(job_execution_response(job))
                else:
                    jobs.append(self._sent(run, job, at))
        # Each job that ended may have halted its run, so jobs that became ready are handed out last.
        for run_id in run_ids:
            self._runs[run_id], ready = self._handed_out(self._runs[run_id], at)
            jobs += ready
        return TakenOver(jobs=tuple(jobs), ended=tuple(ended))

    def _is_due(self, job_id: UUID, at: datetime, ends_leases: bool) -> bool:
        run, lease = self._run_of(job_id), self._leases[job_id]
        job = run.job(job_id)
        if job.status.is_terminal or job.is_waiting:
            return False
        if job.worker is not None:
            return ends_leases and lease.heard_at is not None and lease.heard_at <= shifted(at, -self._lease)
        is_time = lease.send_at is not None and lease.send_at <= at
        return is_time and (run.canceled_at is None or ends_leases)

    def _lose(self, job_id: UUID, at: datetime) -> tuple[PipelineExecution, JobExecution]:
        """Take a job from its Worker, and return it with its run."""
        run, lease = self._run_of(job_id), self._leases[job_id]
        if run.job(job_id).worker is not None:
            lease.losses += 1
            lease.sendings = 0
        run, job = run.lose(job_id, at, losses=lease.losses, max_losses=self.max_losses)
        self._runs[run.id] = run
        return run, job

    def add_artifacts(self, request: ArtifactUploadRequest) -> None:
        """Store the records of a job's artifacts. The last file of a path stays.

        Args:
            request: The files.

        Raises:
            UnknownJobError: There is no job execution of the request's id.
        """
        self._run_of(request.job_execution_id)
        files = self._artifacts.setdefault(request.job_execution_id, {})
        files |= {artifact.path: artifact for artifact in request.artifacts}

    def add_logs(self, upload: ExecutionLogUpload) -> None:
        """Store logs of executions. A log whose id is stored already changes nothing.

        Args:
            upload: The logs.

        Raises:
            ContractError: A log names an execution that does not exist.
        """
        for log in upload.logs:
            self._owners(log.pipeline_execution_id, log.stage_execution_id, log.job_execution_id)
        for log in upload.logs:
            self._logs.setdefault(log.id, log)

    def _owners(self, run_id: UUID | None, stage_id: UUID | None, job_id: UUID | None) -> set[UUID]:
        """Return the ids of the narrowest execution that a log names, and of its stage and its run."""
        if job_id is not None:
            run = self._run_of(job_id)
            return {run.id, run.stage_of(job_id).id, job_id}
        if stage_id is not None:
            stages = {stage.id: run.id for run in self._runs.values() for stage in run.stages}
            if stage_id not in stages:
                raise _unknown("execution_id", "pipeline execution", stage_id)
            return {stage_id, stages[stage_id]}
        assert run_id is not None
        return {self.execution(run_id).id}

    # --- reads --------------------------------------------------------------------------------------------------

    def execution(self, execution_id: UUID) -> PipelineExecution:
        """Return a pipeline execution.

        Args:
            execution_id: The pipeline execution.

        Raises:
            ContractError: There is no pipeline execution of this id.
        """
        if execution_id not in self._runs:
            raise _unknown("execution_id", "pipeline execution", execution_id)
        return self._runs[execution_id]

    @property
    def executions(self) -> tuple[PipelineExecution, ...]:
        """All pipeline executions, in the order in which they were started."""
        return tuple(self._runs.values())

    def _run_of(self, job_execution_id: UUID) -> PipelineExecution:
        run_id = self._run_of_job.get(job_execution_id)
        if run_id is None:
            message = f"expected the id of a job execution that is stored, there is none with the id {job_execution_id}"
            raise UnknownJobError(JobExecution, [Problem("/job_execution_id", "value", message)])
        return self._runs[run_id]

    def status(self, execution_id: UUID) -> PipelineExecutionResponse:
        """Return the status of a pipeline execution.

        Args:
            execution_id: The pipeline execution.

        Raises:
            ContractError: There is no pipeline execution of this id.
        """
        return pipeline_execution_response(self.execution(execution_id))

    def job_status(self, job_execution_id: UUID) -> JobExecutionResponse:
        """Return the status of a job execution, and whether its Worker is to stop it.

        Args:
            job_execution_id: The job execution.

        Raises:
            UnknownJobError: There is no job execution of this id.
        """
        run = self._run_of(job_execution_id)
        job = run.job(job_execution_id)
        is_canceled = run.canceled_at is not None
        return job_execution_response(job, is_cancel_requested=is_canceled and not job.status.is_terminal)

    def job_execution(self, job_execution_id: UUID) -> JobExecutionDTO:
        """Return the record of a job execution, without its output and its definition.

        Args:
            job_execution_id: The job execution.

        Raises:
            UnknownJobError: There is no job execution of this id.
        """
        run = self._run_of(job_execution_id)
        heard_at = self._leases[job_execution_id].heard_at
        records = execution_to_records(run, heard_at={} if heard_at is None else {job_execution_id: heard_at})
        return next(record for record in records.jobs if record.id == job_execution_id)

    def report(self, request: ReportRequest) -> Report:
        """Report on past executions.

        Args:
            request: The request.

        Raises:
            UnknownNameError: There is no pipeline, stage or job of the name.
            ContractError: The cursor is malformed.
        """
        texts = {job_id: text.text for job_id, text in self._outputs.items()}
        pipelines = [pipeline for pipeline, _ in self._pipelines.values()]
        return report(self._runs.values(), request, logs=texts, pipelines=pipelines)

    def logs(self, job_execution_id: UUID, *, after: int = 0, limit: int = 1000) -> LogText:
        """Return a page of a job's output, chunk by chunk.

        Args:
            job_execution_id: The job execution.
            after: The last sequence of the page before; 0, the default, means the first page.
            limit: How many chunks to return at most; 1000 by default.

        Raises:
            UnknownJobError: There is no job execution of this id.
        """
        self._run_of(job_execution_id)
        chunks = [chunk for chunk in self._outputs.get(job_execution_id, LogText()).chunks if chunk[0] > after]
        return LogText(tuple(chunks[:limit]), first=after + 1)

    def log_tail(self, job_execution_id: UUID, *, max_bytes: int = 65_536) -> str:
        """Return the end of a job's output.

        Args:
            job_execution_id: The job execution.
            max_bytes: How many bytes of UTF-8 to return at most, from 1; 65,536 by default.

        Raises:
            UnknownJobError: There is no job execution of this id.
        """
        self._run_of(job_execution_id)
        return end_of_output(self._outputs.get(job_execution_id, LogText()).text, max_bytes)

    def artifacts(self, job_execution_id: UUID) -> tuple[Artifact, ...]:
        """Return the artifacts of a job, in the order of their paths.

        Args:
            job_execution_id: The job execution.

        Raises:
            UnknownJobError: There is no job execution of this id.
        """
        self._run_of(job_execution_id)
        files = self._artifacts.get(job_execution_id, {})
        return tuple(files[path] for path in sorted(files))

    def execution_logs(
        self,
        *,
        pipeline_execution_id: UUID | None = None,
        stage_execution_id: UUID | None = None,
        job_execution_id: UUID | None = None,
    ) -> ExecutionLogResponse:
        """Return the logs of an execution and of its stages and jobs, in the order of time and sequence.

        Args:
            pipeline_execution_id: The pipeline execution. Exactly one of the three ids is given.
            stage_execution_id: The stage execution.
            job_execution_id: The job execution.

        Raises:
            ContractError: There is no pipeline or stage execution of this id.
            UnknownJobError: There is no job execution of this id.
        """
        owner = pipeline_execution_id or stage_execution_id or job_execution_id
        self._owners(pipeline_execution_id, stage_execution_id, job_execution_id)
        found = [
            log
            for log in self._logs.values()
            if owner in self._owners(log.pipeline_execution_id, log.stage_execution_id, log.job_execution_id)
        ]
        return ExecutionLogResponse(logs=tuple(sorted(found, key=lambda log: (log.timestamp, log.sequence, log.id))))

    def pipeline(self, pipeline_id: UUID) -> Pipeline:
        """Return the definition of a pipeline.

        Args:
            pipeline_id: The pipeline.

        Raises:
            ContractError: There is no pipeline of this id.
        """
        if pipeline_id not in self._pipelines:
            raise _unknown("pipeline_id", "pipeline", pipeline_id)
        return self._pipelines[pipeline_id][0]

    def pipelines(self, *, name: str | None = None) -> tuple[PipelineDTO, ...]:
        """Return the pipelines, in the order of their names.

        Args:
            name: The name of the pipelines; None, the default, means all names.
        """
        found = [pair for pair in self._pipelines.values() if name in (None, pair[0].name)]
        found.sort(key=lambda pair: (pair[0].name, pair[0].id))
        return tuple(pipeline_to_records(pipeline, created_at=at, updated_at=at).pipeline for pipeline, at in found)


class _UnknownIdError(ContractError):
    status = 404


class _DefinitionError(ContractError):
    status = 409


def _unknown(name: str, kind: str, id: Any) -> ContractError:
    message = f"expected the id of a {kind} that is stored, there is none with the id {id}"
    return _UnknownIdError(
        PipelineExecution if kind != "pipeline" else Pipeline, [Problem(f"/{name}", "value", message)]
    )


def _now() -> datetime:
    return datetime.now(UTC)
