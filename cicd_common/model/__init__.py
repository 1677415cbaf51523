"""The execution logic: what is to run, how it runs, and what it says."""

from .definition import Job, Pipeline, Stage
from .execution import JobExecution, PipelineExecution, StageExecution
from .log import ExecutionLog
from .status import StatusCounts

__all__ = [
    "ExecutionLog",
    "Job",
    "JobExecution",
    "Pipeline",
    "PipelineExecution",
    "Stage",
    "StageExecution",
    "StatusCounts",
]
