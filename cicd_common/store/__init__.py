"""Executions, logs and artifacts in a database: SQLite or PostgreSQL. Needs the extra ``store``, and ``postgres``."""

from . import _extra  # noqa: F401 - says what is missing, before anything else fails for it
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
