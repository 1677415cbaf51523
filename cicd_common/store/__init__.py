"""Executions, logs and artifacts in SQLite or PostgreSQL. Needs the extra ``store``, or ``postgres`` for PostgreSQL."""

from . import _extra  # noqa: F401 - first, so that a missing extra raises a clear error
from .apply import Applied
from .errors import (
    BusyError,
    DefinitionError,
    FullError,
    SchemaError,
    StoreError,
    UnavailableError,
    UnknownExecutionError,
    UnknownJobExecutionError,
    UnknownPipelineError,
    UnknownReportNameError,
    UrlError,
)
from .leases import TakenOver
from .outbox import Outbox, OutboxCounts, RunChange
from .start import Started
from .store import ExecutionStore

__all__ = [
    "Applied",
    "BusyError",
    "DefinitionError",
    "ExecutionStore",
    "FullError",
    "Outbox",
    "OutboxCounts",
    "RunChange",
    "SchemaError",
    "Started",
    "StoreError",
    "TakenOver",
    "UnavailableError",
    "UnknownExecutionError",
    "UnknownJobExecutionError",
    "UnknownPipelineError",
    "UnknownReportNameError",
    "UrlError",
]
