"""How a run is doing, put together from reports, again and again until it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import frozen

from cicd_common.api.request import ReportRequest
from cicd_common.api.response import (
    JobReportSummary,
    PipelineExecutionRecord,
    PipelineExecutionResponse,
    StageExecutionRecord,
    StageReportSummary,
)
from cicd_common.model import Pipeline

from .client import Client

__all__ = ["Snapshot", "failed_logs", "follow"]

_PAUSES = (0.2, 0.3, 0.5, 1.0)  # Seconds between two looks; the first of them are short.
_ALL = 1000


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
    """
    run = _Run(client, pipeline.name, started)
    final: dict[str, tuple[JobReportSummary, ...]] = {}
    look = 0
    while True:
        record = run.record()
        jobs = dict(final)
        for stage in record.stages:
            if stage.stage_name not in final and (record.status.is_terminal or stage.start_time is not None):
                jobs[stage.stage_name] = run.jobs(stage)
                if stage.status.is_terminal:
                    final[stage.stage_name] = jobs[stage.stage_name]
        yield Snapshot(record, jobs)
        if record.status.is_terminal:
            return
        time.sleep(_PAUSES[min(look, len(_PAUSES) - 1)])
        look += 1


def failed_logs(
    client: Client, pipeline: Pipeline, started: PipelineExecutionResponse, snapshot: Snapshot
) -> Iterator[tuple[str, str]]:
    """The failed jobs of a run that has ended, with their output.

    Args:
        client: The Backend.
        pipeline: What was run.
        started: The run.
        snapshot: The run at its end.
    """
    run = _Run(client, pipeline.name, started)
    for stage, jobs in snapshot.jobs.items():
        for job in jobs:
            if job.status.value == "FAILED":
                yield job.job_name, run.logs(stage, job.job_name)


class _Run:
    """One run among those of its name: definitions that differ may share a name, and then numbers too.

    Reports list runs of one number in one order at every level, so a run is found by its place among them.
    """

    def __init__(self, client: Client, pipeline: str, started: PipelineExecutionResponse) -> None:
        self._client = client
        self._pipeline = pipeline
        self._started = started
        self._same_number: Sequence[PipelineExecutionRecord] = ()

    def record(self) -> PipelineExecutionRecord:
        self._same_number = self._report().executions
        return next(each for each in self._same_number if each.execution_id == self._started.execution_id)

    def jobs(self, stage: StageReportSummary) -> tuple[JobReportSummary, ...]:
        return self._stage(stage.stage_name)[0].jobs

    def logs(self, stage: str, job: str) -> str:
        self.record()
        _, place = self._stage(stage)
        same = self._report(stage_name=stage).executions
        jobs = [each for each in same if _has_job(job)(each)]
        record = self._report(stage_name=stage, job_name=job).executions[jobs.index(same[place])]
        return str(record.logs)

    def _stage(self, name: str) -> tuple[StageExecutionRecord, int]:
        """The run's stage and its place among those of runs of the same number."""
        with_stage = [each for each in self._same_number if _has_stage(name)(each)]
        place = [each.execution_id for each in with_stage].index(self._started.execution_id)
        return self._report(stage_name=name).executions[place], place

    def _report(self, **names: Any) -> Any:
        number = self._started.run_number
        return self._client.report(ReportRequest(pipeline_name=self._pipeline, run_number=number, limit=_ALL, **names))


def _has_stage(name: str) -> Callable[[PipelineExecutionRecord], bool]:
    return lambda record: any(stage.stage_name == name for stage in record.stages)


def _has_job(name: str) -> Callable[[StageExecutionRecord], bool]:
    return lambda record: any(job.job_name == name for job in record.jobs)
