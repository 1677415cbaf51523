"""The errors of the store. Whatever it raises is a `StoreError`, and then nothing was written.

StoreError
    UnavailableError
        The database does not answer: it is gone, cannot be opened, broke off, or the store was closed.
    BusyError
        Others held what was needed for longer than the store waits. Trying again may help.
    FullError
        The database has no room left.
    SchemaError
        The database has tables of another version, or tables of others under the same names.
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
    """The store could not do what it was asked to. The root of all its errors."""


class UnavailableError(StoreError):
    """The database does not answer: it is gone, cannot be opened, broke off, or the store was closed."""


class BusyError(StoreError):
    """Others held what was needed for longer than the store waits. Trying again may help."""


class FullError(StoreError):
    """The database has no room left."""


class SchemaError(StoreError):
    """The database has tables of another version, or tables of others under the same names."""


class UrlError(StoreError, ContractError):
    """What was to be the URL of a database is none that the store works with."""


class DefinitionError(StoreError, ContractError):
    """A pipeline has an id under which the store has something else."""


class UnknownPipelineError(StoreError, ContractError):
    """There is no pipeline of this id."""


class UnknownExecutionError(StoreError, ContractError):
    """There is no pipeline execution of this id."""


class UnknownJobExecutionError(StoreError, UnknownJobError):
    """There is no job execution of this id."""


class UnknownReportNameError(StoreError, UnknownNameError):
    """There is no pipeline, stage or job of this name."""


def store_closed() -> UnavailableError:
    """The error for a store that was closed."""
    return UnavailableError("expected a store that is open, it was closed")


def unknown_pipeline(pipeline_id: UUID) -> UnknownPipelineError:
    """The error for a pipeline that there is none of."""
    return UnknownPipelineError(Pipeline, [_unknown("pipeline_id", "pipeline", pipeline_id)])


def unknown_execution(execution_id: UUID) -> UnknownExecutionError:
    """The error for a pipeline execution that there is none of."""
    return UnknownExecutionError(PipelineExecution, [_unknown("execution_id", "pipeline execution", execution_id)])


def unknown_job(job_execution_id: UUID) -> UnknownJobExecutionError:
    """The error for a job execution that there is none of."""
    return UnknownJobExecutionError(JobExecution, [_unknown("job_execution_id", "job execution", job_execution_id)])


def _unknown(field: str, kind: str, id: UUID) -> Problem:
    return Problem(f"/{field}", "value", f"expected the id of a {kind} that is stored, there is none with the id {id}")
