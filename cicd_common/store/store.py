"""The store: executions, logs and artifacts in a database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self, overload
from uuid import UUID, uuid4

from ..api.request import (
    Artifact,
    ArtifactUploadRequest,
    ExecutionLogUpload,
    JobStatusUpdate,
    PipelineExecutionRequest,
    ReportRequest,
)
from ..api.response import (
    ExecutionLogResponse,
    JobExecutionResponse,
    JobReportResponse,
    PipelineExecutionResponse,
    PipelineReportResponse,
    StageReportResponse,
)
from ..dto import JobExecutionDTO, PipelineDTO
from ..errors import ContractError, Problem
from ..model import LogText, Pipeline, PipelineExecution
from ..values import Environment
from . import definitions, executions, reports, retention
from .apply import Applied, apply_all
from .arguments import Arguments, expect, now
from .artifacts import artifacts_of, put_artifacts
from .cancel import cancel
from .dispatch import StoreRules
from .errors import UnknownJobExecutionError
from .group_commit import GroupCommit
from .leases import TakenOver, take_over
from .logs import add_execution_logs, ends_of, execution_logs_of, log_of
from .outbox import Outbox
from .schema import open_database
from .start import Started, start, started

__all__ = ["ExecutionStore"]


class ExecutionStore:
    """Executions, logs and artifacts in a database.

    Any number of threads and processes may use a store at once. Every write is one transaction: when a method returns,
    its changes are committed; when it raises, nothing was written. Only an `UnavailableError` leaves that open: the
    connection may have been lost during the commit. All writes may be repeated, `start` with the same request id.

    A forked process may use the store of its parent. With SQLite, no thread may write during the fork: in the forked
    process SQLite would take the lock of that thread for one that is held for ever.

    As a context manager, the store is closed at the end of the block.

    Args:
        url: The SQLAlchemy URL of the database: ``sqlite:///runs.db`` for a file, ``sqlite://`` for one in memory that
            ends with the store, ``postgresql://user@host/name`` for PostgreSQL. Tables are made if there are none.
        timeout: How many seconds to wait for locks and for a connection, 0 to 86,400; 30 by default.
        lease_seconds: After how many seconds without an update a claimed job counts as lost, from 1; 60 by default.
            Every request tells it to the Worker.
        max_losses: How often a job may be lost before it ends as ``FAILED``, from 1; 3 by default.
        resend_seconds: After how many seconds an unclaimed request is sent again, from 1; 300 by default. The wait
            doubles each time.
        upgrade: Whether to upgrade tables of an older version; false by default. Nothing else may use the database
            meanwhile. Of several processes with this argument, one upgrades the tables.
        outbox: Whether the store notes the runs that it changes in the outbox, for `Outbox.claim`; false by default.

    Attributes:
        outbox: The changed runs to deliver to other systems.

    Raises:
        UrlError: The store does not support the URL, or the timeout is out of range.
        ContractError: Another argument is refused.
        SchemaError: The database has tables of a newer version, of an older one without ``upgrade``, or those of
            others.
        ImportError: The driver of the database is not installed.
        StoreError: The database cannot be opened. When the database fails, every method raises an `UnavailableError`,
            a `BusyError` or a `FullError`.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 30,
        lease_seconds: int = 60,
        max_losses: int = 3,
        resend_seconds: int = 300,
        upgrade: bool = False,
        outbox: bool = False,
    ) -> None:
        given = Arguments(
            lease_seconds=lease_seconds,
            max_losses=max_losses,
            resend_seconds=resend_seconds,
            upgrade=upgrade,
            outbox=outbox,
        )
        self._rules = StoreRules(
            lease=timedelta(seconds=given.lease_seconds),
            max_losses=given.max_losses,
            resend_after=timedelta(seconds=given.resend_seconds),
            has_outbox=given.outbox,
        )
        self._database = open_database(url, timeout, upgrade=given.upgrade)
        self.outbox = Outbox(self._database)
        self._group = GroupCommit(self._apply_now)

    def close(self) -> None:
        """Close all connections. Using the store afterwards raises an `UnavailableError`; closing it again does not."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- writes -------------------------------------------------------------------------------------------------

    @overload
    def start(self, what: PipelineExecutionRequest, *, at: datetime | None = None) -> Started: ...

    @overload
    def start(
        self,
        what: Pipeline,
        *,
        request_id: UUID | None = None,
        branch: str | None = None,
        commit_hash: str | None = None,
        environment: Environment = Environment(),
        is_local: bool = False,
        at: datetime | None = None,
    ) -> Started: ...

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
    ) -> Started:
        """Start a run: store the definition if it is new, give the run the next number, hand out the first jobs.

        Args:
            what: A request with a definition or the id of one that is stored, or a definition.
            request_id: The idempotency key: the same one never starts a second run. A request has its own.
            branch: The branch to run on; that of the request, or else of the definition, by default.
            commit_hash: The commit to run on; that of the request, or else of the definition, by default.
            environment: Environment variables of the run; empty by default. A request has its own.
            is_local: Whether the run is for the caller's own machine. A request has its own.
            at: The time, with an offset; now by default.

        Returns:
            The run and the requests of the jobs that are ready at once. If the same request has started the run before:
            the run as it is now, and no requests, since they were handed out then.

        Raises:
            DefinitionError: The definition has the id of another one, or the request names another repository than the
                definition.
            UnknownPipelineError: There is no definition of the id, or the request has neither a definition nor an id.
        """
        given = Arguments(at=at)
        if not isinstance(what, PipelineExecutionRequest):
            pipeline = expect(what, Pipeline)
            what = PipelineExecutionRequest(
                request_id=uuid4() if request_id is None else request_id,
                repo=pipeline.repo_url,
                pipeline=pipeline,
                branch=branch,
                commit_hash=commit_hash,
                environment=environment,
                is_local=is_local,
            )
        with self._database.write() as connection:
            return start(connection, what, given.at or now(), self._rules)

    def apply(self, update: JobStatusUpdate, *, at: datetime | None = None) -> Applied:
        """Apply an update to its job, its stage and its run, and hand out the jobs that become ready.

        Calls from many threads share transactions.

        Args:
            update: The update. Updates may come in any order, and any number of times.
            at: When the update came, and when the jobs that become ready are handed out, with an offset; now by
                default. A call with this argument has a transaction of its own.

        Returns:
            The effect of the update, the response to its Worker, and the requests of the jobs that became ready.

        Raises:
            UnknownJobExecutionError: There is no job execution of the update's id.
        """
        expect(update, JobStatusUpdate)
        if at is None:
            return self._group.apply(update)
        [applied] = self.apply_all([update], at=at)
        if isinstance(applied, UnknownJobExecutionError):
            raise applied
        return applied

    def apply_all(
        self, updates: Iterable[JobStatusUpdate], *, at: datetime | None = None
    ) -> tuple[Applied | UnknownJobExecutionError, ...]:
        """Apply many updates in one transaction, with the results of applying them one after the other.

        Args:
            updates: The updates.
            at: When the updates came, and when the jobs that become ready are handed out, with an offset; now by
                default.

        Returns:
            The result of each update, in order, or the error if its job does not exist.
        """
        given = Arguments(at=at)
        checked = [expect(update, JobStatusUpdate) for update in expect(updates, Iterable)]
        with self._database.write() as connection:
            return apply_all(connection, checked, given.at or now(), self._rules)

    def _apply_now(self, take: Callable[[], Sequence[JobStatusUpdate]]) -> Sequence[Applied | UnknownJobExecutionError]:
        with self._database.write() as connection:
            return apply_all(connection, take(), now(), self._rules)

    def cancel(self, execution_id: UUID, at: datetime | None = None) -> tuple[JobExecutionResponse, ...]:
        """Cancel the jobs of a run that were not handed out. A repeated or late call changes nothing.

        Args:
            execution_id: The pipeline execution.
            at: The time, with an offset; now by default.

        Returns:
            The jobs whose Workers must stop, in the order of definition.

        Raises:
            UnknownExecutionError: There is no pipeline execution of this id.
        """
        given = Arguments(execution_id=execution_id, at=at)
        with self._database.write() as connection:
            return cancel(connection, execution_id, given.at or now(), self._rules)

    def take_over(self, at: datetime | None = None) -> TakenOver:
        """Take over the jobs whose Workers were silent for a lease. Any number of processes call it every few seconds.

        A claimed job without an update for a lease is handed out again with its next attempt, or ends if it was lost
        too often. A request that no Worker claimed is sent again. Jobs of a canceled run end in both cases. One call
        alone takes over a job.

        After a break of more than a third of a lease between calls, every lease starts anew. The same holds if the time
        lies more than a lease before that of an earlier call, whose clock must have been wrong. The clocks of the
        calling processes must therefore agree to within a lease.

        Args:
            at: The time, with an offset; now by default.

        Returns:
            The requests to send, and the jobs that were ended.
        """
        given = Arguments(at=at)
        with self._database.write() as connection:
            return take_over(connection, given.at or now(), self._rules)

    def add_artifacts(self, request: ArtifactUploadRequest) -> None:
        """Store the records of a job's artifacts. The last file of a path stays.

        Args:
            request: The files.

        Raises:
            UnknownJobExecutionError: There is no job execution of the request's id.
        """
        expect(request, ArtifactUploadRequest)
        with self._database.write() as connection:
            put_artifacts(connection, request)

    def add_logs(self, upload: ExecutionLogUpload) -> None:
        """Store logs of executions. A log whose id is stored already changes nothing.

        Args:
            upload: The logs.

        Raises:
            UnknownExecutionError: A log names a pipeline or stage execution that does not exist.
            UnknownJobExecutionError: A log names a job execution that does not exist.
        """
        expect(upload, ExecutionLogUpload)
        with self._database.write() as connection:
            add_execution_logs(connection, upload)

    def forget(self, *, before: datetime, keep_last: int = 0) -> int:
        """Delete runs that ended long ago, with all rows that belong to them, in steps that hold no lock for long.

        The request ids of the runs are deleted, too: a repeated request would start another run.

        Args:
            before: Only runs that completed before this time, with an offset.
            keep_last: How many of the last runs of each pipeline's name stay, from 0; 0 by default.

        Returns:
            How many runs were deleted.
        """
        given = Arguments(at=expect(before, datetime), count=keep_last)
        total = 0
        while True:
            with self._database.write() as connection:
                count = retention.forget_some(connection, given.at or now(), given.count)
            if count is None:
                return total
            total += count

    # --- reads --------------------------------------------------------------------------------------------------

    def status(self, execution_id: UUID) -> PipelineExecutionResponse:
        """Return the status of a pipeline execution.

        Args:
            execution_id: The pipeline execution.

        Raises:
            UnknownExecutionError: There is no pipeline execution of this id.
        """
        Arguments(execution_id=execution_id)
        with self._database.read() as connection:
            return executions.status(connection, execution_id)

    def started(self, request_id: UUID) -> PipelineExecutionResponse | None:
        """Return the run that a request has started, without starting one.

        Args:
            request_id: The idempotency key.

        Returns:
            The run as it is now; None if the request has started none.
        """
        Arguments(request_id=request_id)
        with self._database.read() as connection:
            return started(connection, request_id)

    def job_status(self, job_execution_id: UUID) -> JobExecutionResponse:
        """Return the status of a job execution.

        Args:
            job_execution_id: The job execution.

        Raises:
            UnknownJobExecutionError: There is no job execution of this id.
        """
        Arguments(job_execution_id=job_execution_id)
        with self._database.read() as connection:
            return executions.job_status(connection, job_execution_id)

    def job_execution(self, job_execution_id: UUID) -> JobExecutionDTO:
        """Return the record of a job execution, without its output and its definition.

        Args:
            job_execution_id: The job execution.

        Raises:
            UnknownJobExecutionError: There is no job execution of this id.
        """
        Arguments(job_execution_id=job_execution_id)
        with self._database.read() as connection:
            return executions.job_execution(connection, job_execution_id)

    def execution(self, execution_id: UUID) -> PipelineExecution:
        """Return a pipeline execution with its definition and all its jobs.

        Args:
            execution_id: The pipeline execution.

        Raises:
            UnknownExecutionError: There is no pipeline execution of this id.
        """
        Arguments(execution_id=execution_id)
        with self._database.read() as connection:
            return executions.load_execution(connection, execution_id)

    def report(self, request: ReportRequest) -> PipelineReportResponse | StageReportResponse | JobReportResponse:
        """Report on past executions, with the result that `cicd_common.reports.report` has for all stored executions.

        Args:
            request: The request.

        Returns:
            A page, newest first; its ``next_cursor`` leads to the next page.

        Raises:
            UnknownReportNameError: There is no pipeline, stage or job of the name.
            ContractError: The cursor is malformed.
        """
        expect(request, ReportRequest)
        with self._database.read() as connection:
            return reports.report(connection, request)

    def logs(self, job_execution_id: UUID, *, after: int = 0, limit: int = 1000) -> LogText:
        """Return a page of a job's output, chunk by chunk. It ends at ``limit``, or with the chunk that reaches 4 MiB.

        Only an empty page is the last one.

        Args:
            job_execution_id: The job execution.
            after: The last sequence of the page before; 0, the default, means the first page.
            limit: How many chunks to return at most, 1 to 1000; 1000 by default.

        Returns:
            The chunks, with their gaps. ``before.join(page.chunks)`` appends them to the page before.

        Raises:
            UnknownJobExecutionError: There is no job execution of this id.
        """
        Arguments(job_execution_id=job_execution_id, after_sequence=after, limit=limit)
        with self._database.read() as connection:
            text = log_of(connection, job_execution_id, after, limit)
            if not text.chunks:
                executions.job_status(connection, job_execution_id)
            return text

    def artifacts(self, job_execution_id: UUID, *, after: str | None = None, limit: int = 1000) -> tuple[Artifact, ...]:
        """Return a page of a job's artifacts, in an order that has no meaning and does not change.

        Args:
            job_execution_id: The job execution.
            after: The path of the last file of the page before; None means the first page.
            limit: How many files to return at most, 1 to 1000; 1000 by default.

        Raises:
            UnknownJobExecutionError: There is no job execution of this id.
        """
        Arguments(job_execution_id=job_execution_id, path=after, limit=limit)
        with self._database.read() as connection:
            files = artifacts_of(connection, job_execution_id, after, limit)
            if not files:
                executions.job_status(connection, job_execution_id)
            return files

    def log_tail(self, job_execution_id: UUID, *, max_bytes: int = 65_536) -> str:
        """Return the end of a job's output, without reading the rest.

        Args:
            job_execution_id: The job execution.
            max_bytes: How many bytes of UTF-8 to return at most, from 1; 65,536 by default.

        Raises:
            UnknownJobExecutionError: There is no job execution of this id.
        """
        given = Arguments(job_execution_id=job_execution_id, max_bytes=max_bytes)
        with self._database.read() as connection:
            executions.job_status(connection, job_execution_id)
            end, _ = ends_of(connection, [job_execution_id], given.max_bytes).get(job_execution_id, ("", True))
            return end

    def execution_logs(
        self,
        *,
        pipeline_execution_id: UUID | None = None,
        stage_execution_id: UUID | None = None,
        job_execution_id: UUID | None = None,
        after: str | None = None,
        limit: int = 1000,
    ) -> ExecutionLogResponse:
        """Return a page of the logs of an execution, in the order of time and sequence.

        The logs of a pipeline execution include those of its stages and jobs, and those of a stage those of its jobs.

        Args:
            pipeline_execution_id: The pipeline execution. Exactly one of the three ids is given.
            stage_execution_id: The stage execution.
            job_execution_id: The job execution.
            after: The ``next_cursor`` of the page before; None means the first page.
            limit: How many logs to return at most, 1 to 1000; 1000 by default.

        Raises:
            ContractError: Not exactly one id is given, or the cursor is malformed.
            UnknownExecutionError: There is no pipeline or stage execution of this id.
            UnknownJobExecutionError: There is no job execution of this id.
        """
        Arguments(cursor=after, limit=limit)
        owners = {
            "pipeline_execution_id": pipeline_execution_id,
            "stage_execution_id": stage_execution_id,
            "job_execution_id": job_execution_id,
        }
        given = {name: expect(value, UUID) for name, value in owners.items() if value is not None}
        if len(given) != 1:
            message = "expected one of pipeline_execution_id, stage_execution_id and job_execution_id"
            raise ContractError(ExecutionLogResponse, [Problem("", "value", message)])
        [(owner, owner_id)] = given.items()
        with self._database.read() as connection:
            page = execution_logs_of(connection, owner, owner_id, after, limit)
            if not page.logs:
                executions.check(connection, owner, owner_id)
            return page

    def pipeline(self, pipeline_id: UUID) -> Pipeline:
        """Return the definition of a pipeline.

        Args:
            pipeline_id: The pipeline.

        Raises:
            UnknownPipelineError: There is no pipeline of this id.
        """
        Arguments(pipeline_id=pipeline_id)
        with self._database.read() as connection:
            return definitions.load_pipeline(connection, pipeline_id)

    def pipelines(
        self, *, name: str | None = None, after: UUID | None = None, limit: int = 1000
    ) -> tuple[PipelineDTO, ...]:
        """Return a page of the pipelines, in the order of their names.

        Args:
            name: The name of the pipelines; None, the default, means all names.
            after: The last pipeline of the page before; None means the first page.
            limit: How many pipelines to return at most, 1 to 1000; 1000 by default.
        """
        Arguments(name=name, after=after, limit=limit)
        with self._database.read() as connection:
            return definitions.list_pipelines(connection, name, after, limit)
