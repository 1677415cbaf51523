"""Follow a run by its reports until it has ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from attrs import evolve, frozen

from cicd_common import ExecutionStatus
from cicd_common.api.request import ReportRequest
from cicd_common.api.response import JobReportSummary, PipelineExecutionRecord

from .client import BackendError, Client

__all__ = ["Snapshot", "follow"]

_PAUSES = (0.2, 0.3, 0.5, 0.7, 1.0)  # Seconds between two looks: longer the longer nothing changes.


@frozen
class Snapshot:
    """A run at one moment.

    Attributes:
        run: The run, with its stages.
        jobs: The jobs of each started stage, by the name of the stage.
    """

    run: PipelineExecutionRecord
    jobs: dict[str, tuple[JobReportSummary, ...]]

    def jobs_that_are(self, status: ExecutionStatus) -> Iterator[JobReportSummary]:
        """The jobs with a status, in the order of the definition."""
        return (job for jobs in self.jobs.values() for job in jobs if job.status is status)


def follow(client: Client, pipeline: str, run_number: int) -> Iterator[Snapshot]:
    """Read a run repeatedly until it has ended. The last snapshot shows its end.

    Args:
        client: The Backend.
        pipeline: The name of the pipeline.
        run_number: The number of the run.

    Raises:
        BackendError: The Backend does not answer, or does not know the run.
    """
    request = ReportRequest(pipeline_name=pipeline, run_number=run_number, limit=1)
    last, calm = None, 0
    while True:
        snapshot = _look(client, request, last)
        yield snapshot
        if snapshot.run.status.is_terminal:
            return
        calm = min(calm + 1, len(_PAUSES) - 1) if snapshot == last else 0
        last = snapshot
        time.sleep(_PAUSES[calm])


def _look(client: Client, request: ReportRequest, last: Snapshot | None) -> Snapshot:
    """Read the run. Stages that had ended in the last snapshot are not read again."""
    run = _only(client, request)
    ended = {stage.stage_name for stage in last.run.stages if stage.status.is_terminal} if last else set()
    jobs = dict(last.jobs) if last else {}
    for stage in run.stages:
        has_begun = stage.status is not ExecutionStatus.PENDING or run.status.is_terminal
        if has_begun and stage.stage_name not in ended:
            jobs[stage.stage_name] = _only(client, evolve(request, stage_name=stage.stage_name)).jobs
    return Snapshot(run, jobs)


def _only(client: Client, request: ReportRequest) -> Any:
    """The record of the run. Its number is unique among pipelines of this name."""
    for record in client.report(request).executions:
        return record
    raise BackendError("the Backend's reports do not have the run that it has started")
