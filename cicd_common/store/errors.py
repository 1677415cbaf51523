"""The errors of the store. After a `StoreError` nothing was written; after an `UnavailableError` that is uncertain.

StoreError
    UnavailableError
        The database does not answer: it is gone, cannot be opened, broke off, or the store was closed. If the
        connection was lost during a commit, the transaction may have been written or not: repeat the call.
    BusyError
        A lock or a connection was in use for longer than the store waits. A later call may succeed.
    FullError
        The database has no room left.
    SchemaError
        The database has tables of another version, tables of others under the same names, or rows that cannot be
        upgraded.
    Errors of the caller. Each is a ContractError, too, whose problem says what is wrong and where:
        UrlError
            The store does not support the URL of the database, or the timeout is out of range.
        DefinitionError
            A pipeline, a stage or a job has the id of another one, or a request names another repository.
        UnknownPipelineError
            There is no pipeline of this id.
        UnknownExecutionError
            There is no pipeline execution of this id.
        UnknownJobExecutionError (an UnknownJobError too)
            There is no job execution of this id.
        UnknownReportNameError (an UnknownNameError too)
            There is no pipeline, stage or job of this name.

No message holds a URL, which may carry a password, or a stored value, which may be a secret.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from ..errors import ContractError, Problem, UnknownJobError, UnknownNameError
from ..model import JobExecution, Pipeline, PipelineExecution

__all__ = [
    "BusyError",
    "DefinitionError",
    "FullError",
    "SchemaError",
    "StoreError",
    "UnavailableError",
    "UnknownExecutionError",
    "UnknownJobExecutionError",
    "UnknownPipelineError",
    "UnknownReportNameError",
    "UrlError",
    "unknown_execution",
    "unknown_job",
    "unknown_pipeline",
]


class StoreError(Exception):
    """The root of the store's errors.

    Attributes:
        status: The HTTP status of a response about the error.
    """

    status: ClassVar[int] = 503


class UnavailableError(StoreError):
    """The database does not answer: it is gone, cannot be opened, broke off, or the store was closed."""


class BusyError(StoreError):
    """A lock or a connection was in use for longer than the store waits. A later call may succeed."""


class FullError(StoreError):
    """The database has no room left."""


class SchemaError(StoreError):
    """The database has tables of another version, tables of others of the same names, or rows it cannot upgrade."""


class UrlError(StoreError, ContractError):
    """The store does not support the URL of the database, or the timeout is out of range."""

    status = 422


class DefinitionError(StoreError, ContractError):
    """A pipeline, a stage or a job has the id of another one, or a request names another repository."""

    status = 409


class UnknownPipelineError(StoreError, ContractError):
    """There is no pipeline of this id."""

    status = 404


class UnknownExecutionError(StoreError, ContractError):
    """There is no pipeline execution of this id."""

    status = 404


class UnknownJobExecutionError(StoreError, UnknownJobError):
    """There is no job execution of this id."""

    status = 404


class UnknownReportNameError(StoreError, UnknownNameError):
    """There is no pipeline, stage or job of this name."""

    status = 404


def unknown_pipeline(pipeline_id: UUID) -> UnknownPipelineError:
    """Make the error for an unknown id of a pipeline."""
    return UnknownPipelineError(Pipeline, [_unknown("pipeline_id", "pipeline", pipeline_id)])


def unknown_execution(execution_id: UUID) -> UnknownExecutionError:
    """Make the error for an unknown id of a pipeline execution."""
    return UnknownExecutionError(PipelineExecution, [_unknown("execution_id", "pipeline execution", execution_id)])


def unknown_job(job_execution_id: UUID) -> UnknownJobExecutionError:
    """Make the error for an unknown id of a job execution."""
    return UnknownJobExecutionError(JobExecution, [_unknown("job_execution_id", "job execution", job_execution_id)])


def _unknown(field: str, kind: str, id: UUID) -> Problem:
    return Problem(f"/{field}", "value", f"expected the id of a {kind} that is stored, there is none with the id {id}")
