"""The execution logic: what is to run, how it runs, and what it says."""

from .definition import Job, Pipeline, Stage
from .execution import PipelineExecution
from .explanation import Explanation, Reason
from .log import ExecutionLog
from .log_text import LogText
from .parts import JobExecution, StageExecution
from .plan import Plan, PlannedStage
from .span import Span
from .status import StatusCounts
from .update import UpdateOutcome

__all__ = [
    "ExecutionLog",
    "Explanation",
    "Job",
    "JobExecution",
    "LogText",
    "Pipeline",
    "PipelineExecution",
    "Plan",
    "PlannedStage",
    "Reason",
    "Span",
    "Stage",
    "StageExecution",
    "StatusCounts",
    "UpdateOutcome",
]
