"""The errors of the store. After a `StoreError` nothing was written, but for an `UnavailableError` in the last moment.

StoreError
    UnavailableError
        The database does not answer: it is gone, cannot be opened, broke off, or the store was closed. If the
        connection was lost while a transaction ended, it is not known whether it was written: repeat the call.
    BusyError
        Others held what was needed for longer than the store waits. Trying again may help.
    FullError
        The database has no room left.
    SchemaError
        The database has tables of another version, tables of others under the same names, or rows that cannot be
        upgraded.
    What was asked for is wrong; each is a ContractError too, and its problem says what and where:
        UrlError
            What was to be the URL of a database is none that the store works with.
        DefinitionError
            A pipeline has an id under which the store has something else.
        UnknownPipelineError
            There is no pipeline of this id.
        UnknownExecutionError
            There is no pipeline execution of this id.
        UnknownJobExecutionError (an UnknownJobError too)
            There is no job execution of this id.
        UnknownReportNameError (an UnknownNameError too)
            There is no pipeline, stage or job of this name.

No text of theirs holds a URL, which may carry a password, or a value that was stored, which may be a secret.
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
    """The store could not do what it was asked to. The root of all its errors.

    Attributes:
        status: The status of HTTP that an answer about such an error has.
    """

    status: ClassVar[int] = 503


class UnavailableError(StoreError):
    """The database does not answer: it is gone, cannot be opened, broke off, or the store was closed."""


class BusyError(StoreError):
    """Others held what was needed for longer than the store waits. Trying again may help."""


class FullError(StoreError):
    """The database has no room left."""


class SchemaError(StoreError):
    """The database has tables of another version, tables of others under the same names, or rows not to be upgraded."""


class UrlError(StoreError, ContractError):
    """What was to be the URL of a database is none that the store works with."""

    status = 422


class DefinitionError(StoreError, ContractError):
    """A pipeline has an id under which the store has something else."""

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
    """The error for the id of a pipeline that is not stored."""
    return UnknownPipelineError(Pipeline, [_unknown("pipeline_id", "pipeline", pipeline_id)])


def unknown_execution(execution_id: UUID) -> UnknownExecutionError:
    """The error for the id of a pipeline execution that is not stored."""
    return UnknownExecutionError(PipelineExecution, [_unknown("execution_id", "pipeline execution", execution_id)])


def unknown_job(job_execution_id: UUID) -> UnknownJobExecutionError:
    """The error for the id of a job execution that is not stored."""
    return UnknownJobExecutionError(JobExecution, [_unknown("job_execution_id", "job execution", job_execution_id)])


def _unknown(field: str, kind: str, id: UUID) -> Problem:
    return Problem(f"/{field}", "value", f"expected the id of a {kind} that is stored, there is none with the id {id}")
