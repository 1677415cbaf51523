"""The store: executions, logs and artifacts in a database."""

from __future__ import annotations

from datetime import UTC, datetime
from types import TracebackType
from typing import Self, overload
from uuid import UUID

from ..api.request import (
    Artifact,
    ArtifactUploadRequest,
    JobExecutionRequest,
    JobStatusUpdate,
    PipelineExecutionRequest,
    ReportRequest,
)
from ..api.response import (
    JobExecutionResponse,
    JobReportResponse,
    PipelineExecutionResponse,
    PipelineReportResponse,
    StageReportResponse,
)
from ..dto import JobExecutionDTO, PipelineDTO
from ..model import LogText, Pipeline, PipelineExecution
from . import definitions, halting, handing_out, moving, outputs, reading, reporting, starting
from .arguments import Arguments
from .moving import Applied
from .opening import open_database
from .starting import Order, Started

__all__ = ["ExecutionStore"]


class ExecutionStore:
    """Executions, logs and artifacts in a database.

    It may be used by any number of threads and processes at once. Every write is one transaction: when a method
    returns, what it wrote is there to stay; when it raises, nothing was written. Writes may be repeated, as after a
    failure of which it is not known whether the write came through: `start` by its request's id, all others anyway.

    As a context manager, it is closed in the end.

    Args:
        url: The URL of SQLAlchemy for the database: ``sqlite:///runs.db`` for a file, ``sqlite://`` for one in memory
            that ends with the store, ``postgresql://user@host/name`` for PostgreSQL. Tables are made if there are none.
        timeout: For how many seconds to wait for others that hold what is needed; 30 by default.

    Raises:
        UrlError: The URL is none that the store works with.
        SchemaError: The database has tables of another version, or those of others.
        ImportError: The driver of the database is not installed.
        StoreError: The database cannot be opened. As from every method, when the database fails: `UnavailableError`,
            `BusyError` or `FullError`.
    """

    def __init__(self, url: str, *, timeout: float = 30) -> None:
        self._database = open_database(url, timeout)

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
        commit_hash: str | None = None,
        is_local: bool = False,
        at: datetime | None = None,
    ) -> Started: ...

    def start(
        self,
        what: PipelineExecutionRequest | Pipeline,
        *,
        request_id: UUID | None = None,
        commit_hash: str | None = None,
        is_local: bool = False,
        at: datetime | None = None,
    ) -> Started:
        """Start a run: store the definition if it is new, give the run the next number, hand out the first jobs.

        Args:
            what: A request with a definition or the id of one that is stored, or a definition.
            request_id: The idempotency key: the same one never starts a second run. That of a request, if there is one.
            commit_hash: The commit to run on; that of the request, or else of the definition, by default.
            is_local: Whether the run is for the caller's own machine. Ignored if a request says it.
            at: The time, with an offset; now by default.

        Returns:
            The run and the jobs that are ready at once. If the request has started it before: the run as it is now, and
            no jobs, for they were handed out then.

        Raises:
            DefinitionError: The definition has the id of something else.
            UnknownPipelineError: There is no definition of the id, or the request has neither of the two.
        """
        given = Arguments(request_id=request_id, commit_hash=commit_hash, is_local=is_local, at=at)
        if isinstance(what, PipelineExecutionRequest):
            order = Order.of(what)
        else:
            order = Order(
                pipeline=what,
                pipeline_id=what.id,
                request_id=given.request_id,
                commit_hash=given.commit_hash,
                is_local=given.is_local,
            )
        with self._database.write() as connection:
            return starting.start(connection, order, given.at or _now())

    def apply(self, update: JobStatusUpdate, *, at: datetime | None = None) -> Applied:
        """Join an update with what is known, and do what follows from it: in its job, its stage and its pipeline.

        Args:
            update: The update, in any order with others, and any number of times.
            at: When the jobs that become ready are handed out, with an offset; now by default.

        Returns:
            What became of it, and the jobs that became ready.

        Raises:
            UnknownJobExecutionError: There is no such job.
        """
        given = Arguments(at=at)
        with self._database.session() as session:
            return moving.apply(session, update, given.at or _now())

    def cancel(self, execution_id: UUID, at: datetime | None = None) -> tuple[JobExecutionResponse, ...]:
        """Cancel what was not handed out. Asked again, or too late, it changes nothing.

        Args:
            execution_id: The pipeline execution.
            at: The time, with an offset; now by default.

        Returns:
            The jobs of which the Workers are to be told to stop, in the order of definition.

        Raises:
            UnknownExecutionError: There is no such execution.
        """
        given = Arguments(execution_id=execution_id, at=at)
        with self._database.session() as session:
            return halting.cancel(session, execution_id, given.at or _now())

    def add_artifacts(self, request: ArtifactUploadRequest) -> None:
        """Store what a job left. Of two files of one path, the later one stays.

        Args:
            request: The files.

        Raises:
            UnknownJobExecutionError: There is no such job.
        """
        with self._database.write() as connection:
            reading.job_status(connection, request.job_execution_id)
            outputs.put_artifacts(connection, request)

    # --- reads --------------------------------------------------------------------------------------------------

    def status(self, execution_id: UUID) -> PipelineExecutionResponse:
        """How a pipeline execution is doing.

        Args:
            execution_id: The pipeline execution.

        Raises:
            UnknownExecutionError: There is no such execution.
        """
        Arguments(execution_id=execution_id)
        with self._database.look() as connection:
            return reading.status(connection, execution_id)

    def job_status(self, job_execution_id: UUID) -> JobExecutionResponse:
        """How a job execution is doing.

        Args:
            job_execution_id: The job execution.

        Raises:
            UnknownJobExecutionError: There is no such job.
        """
        Arguments(job_execution_id=job_execution_id)
        with self._database.look() as connection:
            return reading.job_status(connection, job_execution_id)

    def job_execution(self, job_execution_id: UUID) -> JobExecutionDTO:
        """The record of a job execution, without its output and its definition.

        Args:
            job_execution_id: The job execution.

        Raises:
            UnknownJobExecutionError: There is no such job.
        """
        Arguments(job_execution_id=job_execution_id)
        with self._database.look() as connection:
            return reading.job_execution(connection, job_execution_id)

    def asked_to_stop(self, job_execution_id: UUID) -> bool:
        """Whether the Worker of a job is to be told to stop: its run was canceled, and the job is not at its end.

        Args:
            job_execution_id: The job execution.

        Raises:
            UnknownJobExecutionError: There is no such job.
        """
        Arguments(job_execution_id=job_execution_id)
        with self._database.look() as connection:
            return reading.asked_to_stop(connection, job_execution_id)

    def execution(self, execution_id: UUID) -> PipelineExecution:
        """A pipeline execution with its definition and all its jobs.

        Args:
            execution_id: The pipeline execution.

        Raises:
            UnknownExecutionError: There is no such execution.
        """
        Arguments(execution_id=execution_id)
        with self._database.read() as connection:
            return reading.load_execution(connection, execution_id)

    def report(self, request: ReportRequest) -> PipelineReportResponse | StageReportResponse | JobReportResponse:
        """Report on past executions: what `cicd_common.reports.report` says of all that are stored.

        Args:
            request: What is asked for.

        Returns:
            A page, newest first; its ``next_cursor`` leads to the next one.

        Raises:
            UnknownReportNameError: There is no pipeline, stage or job of the name.
            ContractError: The cursor is none.
        """
        with self._database.read() as connection:
            return reporting.report(connection, request)

    def logs(self, job_execution_id: UUID, *, after: int = 0, limit: int = 1000) -> LogText:
        """A page of a job's output, chunk by chunk: as many as are asked for, but none behind the first 4 MiB.

        Only a page without a chunk is the last one.

        Args:
            job_execution_id: The job execution.
            after: The sequence of the last chunk that is known; 0, the default, for none.
            limit: How many chunks to return at most, 1 to 1000; 1000 by default.

        Returns:
            The chunks, with their gaps. The page before is continued by ``before.join(page.chunks)``.

        Raises:
            UnknownJobExecutionError: There is no such job.
        """
        Arguments(job_execution_id=job_execution_id, after_sequence=after, limit=limit)
        with self._database.read() as connection:
            text = outputs.log_of(connection, job_execution_id, after, limit)
            if not text.chunks:
                reading.job_status(connection, job_execution_id)
            return text

    def artifacts(self, job_execution_id: UUID, *, after: str | None = None, limit: int = 1000) -> tuple[Artifact, ...]:
        """A page of the files that a job left, in an order of no meaning that stays.

        Args:
            job_execution_id: The job execution.
            after: The path of the last file of the page before; none means the first page.
            limit: How many to return at most, 1 to 1000; 1000 by default.

        Raises:
            UnknownJobExecutionError: There is no such job.
        """
        Arguments(job_execution_id=job_execution_id, path=after, limit=limit)
        with self._database.read() as connection:
            files = outputs.artifacts_of(connection, job_execution_id, after, limit)
            if not files:
                reading.job_status(connection, job_execution_id)
            return files

    def handed_out(self, *, after: UUID | None = None, limit: int = 1000) -> tuple[JobExecutionRequest, ...]:
        """A page of the jobs that were handed out and never heard of, those that were handed out first in front.

        After a crash it is not known whether these reached their Workers; they are to be sent again.

        Args:
            after: The job execution that was the last of the page before; none means the first page.
            limit: How many to return at most, 1 to 1000; 1000 by default.
        """
        Arguments(after=after, limit=limit)
        with self._database.look() as connection:
            return handing_out.unheard(connection, after, limit)

    def pipeline(self, pipeline_id: UUID) -> Pipeline:
        """A definition.

        Args:
            pipeline_id: The pipeline.

        Raises:
            UnknownPipelineError: There is no such pipeline.
        """
        Arguments(pipeline_id=pipeline_id)
        with self._database.read() as connection:
            return definitions.load_pipeline(connection, pipeline_id)

    def pipelines(
        self, *, name: str | None = None, after: UUID | None = None, limit: int = 1000
    ) -> tuple[PipelineDTO, ...]:
        """A page of the pipelines, in the order of their names.

        Args:
            name: Only those of this name; none, the default, means all.
            after: The pipeline that was the last of the page before; none means the first page.
            limit: How many to return at most, 1 to 1000; 1000 by default.
        """
        Arguments(name=name, after=after, limit=limit)
        with self._database.look() as connection:
            return definitions.list_pipelines(connection, name, after, limit)


def _now() -> datetime:
    return datetime.now(UTC)
