"""The log of an execution."""

from uuid import UUID, uuid4

from attrs import Factory, frozen

from ..fields import Count, Time, checked, refuse

__all__ = ["ExecutionLog"]


@frozen(kw_only=True)
@checked
class ExecutionLog:
    """A piece of the log of an execution.

    Attributes:
        id: Its id; a new one by default.
        pipeline_execution_id: The pipeline execution it is of. At least one of this and the next two is given.
        stage_execution_id: The stage execution it is of.
        job_execution_id: The job execution it is of.
        sequence: Its place in the log of that execution, from 0.
        timestamp: When it was written.
        log_text: What it says.

    Raises:
        ContractError: A field is refused, or no execution is named.
    """

    id: UUID = Factory(uuid4)
    pipeline_execution_id: UUID | None = None
    stage_execution_id: UUID | None = None
    job_execution_id: UUID | None = None
    sequence: Count
    timestamp: Time
    log_text: str

    def __attrs_post_init__(self) -> None:
        if self.pipeline_execution_id is None and self.stage_execution_id is None and self.job_execution_id is None:
            message = "expected at least one of pipeline_execution_id, stage_execution_id and job_execution_id"
            raise refuse(type(self), "", message)
