"""Definitions of pipelines, executions of them and their rules, and logs of executions."""

from .definition import SCRIPT, Job, Pipeline, Stage, job_environment
from .execution import PipelineExecution, StageExecution
from .explanation import Explanation, Reason
from .job_execution import JobExecution
from .log import ExecutionLog
from .log_text import LogText
from .plan import Plan, PlannedStage
from .status import StatusCounts
from .update import UpdateOutcome

__all__ = [
    "SCRIPT",
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
    "Stage",
    "StageExecution",
    "StatusCounts",
    "UpdateOutcome",
    "job_environment",
]
