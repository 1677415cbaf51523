"""How a run is doing, put together from reports, again and again until it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

from attrs import evolve, frozen

from cicd_common import ExecutionStatus
from cicd_common.api.request import ReportRequest
from cicd_common.api.response import (
    JobExecutionRecord,
    JobReportSummary,
    PipelineExecutionRecord,
    PipelineExecutionResponse,
    StageExecutionRecord,
)
from cicd_common.model import Pipeline

from .client import BackendError, Client

__all__ = ["Snapshot", "failed_jobs", "follow"]

_PAUSES = (0.2, 0.3, 0.5, 0.7, 1.0)  # Seconds between two looks: longer the longer nothing changes.
_ALL = 1000
_TRIES = 10


@frozen
class Snapshot:
    """A run at one moment.

    Attributes:
        run: The run, with its stages.
        jobs: The jobs of each stage that has begun, by its name.
    """

    run: PipelineExecutionRecord
    jobs: dict[str, tuple[JobReportSummary, ...]]


def follow(client: Client, pipeline: Pipeline, started: PipelineExecutionResponse) -> Iterator[Snapshot]:
    """Look at a run until it has ended; the last look shows its end.

    Args:
        client: The Backend.
        pipeline: What is run.
        started: The run.

    Raises:
        BackendError: The Backend does not answer any more, or does not know the run.
    """
    run = _Run(client, pipeline.name, started)
    last, calm = None, 0
    while True:
        snapshot = run.look(last)
        yield snapshot
        if snapshot.run.status.is_terminal:
            return
        calm = min(calm + 1, len(_PAUSES) - 1) if snapshot == last else 0
        last = snapshot
        time.sleep(_PAUSES[calm])


def failed_jobs(
    client: Client, pipeline: Pipeline, started: PipelineExecutionResponse, snapshot: Snapshot
) -> Iterator[tuple[str, JobExecutionRecord]]:
    """The failed jobs of a run that has ended: their names and records, with their output.

    Args:
        client: The Backend.
        pipeline: What was run.
        started: The run.
        snapshot: The run at its end.

    Raises:
        BackendError: The Backend does not answer, or does not know the run.
    """
    run = _Run(client, pipeline.name, started)
    for stage, jobs in snapshot.jobs.items():
        for job in jobs:
            if job.status is ExecutionStatus.FAILED:
                yield job.job_name, run.job(stage, job.job_name)


class _Run:
    """One run among those of its name: definitions that differ may share a name, and then numbers too.

    A report lists the runs of one number in the same order at every level, so a stage or job is found by its place
    among those that there must be, and later by its own id.
    """

    def __init__(self, client: Client, pipeline: str, started: PipelineExecutionResponse) -> None:
        self._client = client
        self._request = ReportRequest(pipeline_name=pipeline, run_number=started.run_number, limit=_ALL)
        self._id = started.execution_id
        self._stage_ids: dict[str, UUID] = {}

    def look(self, last: Snapshot | None) -> Snapshot:
        """How it is doing.

        Args:
            last: How it was doing before; of stages that had ended then, nothing is asked any more.
        """
        record = _of_id(self._id, self._records())
        before = {} if last is None else {stage.stage_name: stage.status for stage in last.run.stages}
        jobs: dict[str, tuple[JobReportSummary, ...]] = {} if last is None else dict(last.jobs)
        for stage in record.stages:
            name, has_ended = stage.stage_name, before.get(stage.stage_name, ExecutionStatus.PENDING).is_terminal
            if not has_ended and (stage.status is not ExecutionStatus.PENDING or record.status.is_terminal):
                jobs[name] = self.stage(name).jobs
        return Snapshot(record, jobs)

    def stage(self, name: str) -> StageExecutionRecord:
        """A stage of it."""
        if name in self._stage_ids:
            known: StageExecutionRecord = _of_id(self._stage_ids[name], self._records(stage_name=name))
            return known
        found: StageExecutionRecord = self._part(
            self._id,
            lambda: [run for run in self._records() if any(stage.stage_name == name for stage in run.stages)],
            lambda: self._records(stage_name=name),
        )
        self._stage_ids[name] = found.execution_id
        return found

    def job(self, stage: str, name: str) -> JobExecutionRecord:
        """A job of it, with its output."""
        found: JobExecutionRecord = self._part(
            self.stage(stage).execution_id,
            lambda: [
                each for each in self._records(stage_name=stage) if any(job.job_name == name for job in each.jobs)
            ],
            lambda: self._records(stage_name=stage, job_name=name),
        )
        return found

    def _part(
        self, whole: UUID, read_wholes: Callable[[], Sequence[Any]], read_parts: Callable[[], Sequence[Any]]
    ) -> Any:
        for _ in range(_TRIES):
            ids = [each.execution_id for each in read_wholes()]
            parts = read_parts()
            if len(ids) == len(parts) and whole in ids:  # Else another run has begun between the two questions.
                return parts[ids.index(whole)]
        raise _unknown()

    def _records(self, **names: Any) -> list[Any]:
        """All of one level, from all pages."""
        request = evolve(self._request, **names)
        page = self._client.report(request)
        records = list(page.executions)
        while page.next_cursor is not None:
            page = self._client.report(evolve(request, cursor=page.next_cursor))
            records += page.executions
        return records


def _of_id(execution_id: UUID, records: Sequence[Any]) -> Any:
    for record in records:
        if record.execution_id == execution_id:
            return record
    raise _unknown()


def _unknown() -> BackendError:
    return BackendError("the Backend's reports do not have the run that it has started")
