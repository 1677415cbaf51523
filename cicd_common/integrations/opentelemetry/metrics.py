"""Metrics of runs and Workers, by the semantic conventions for CI/CD."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from opentelemetry.metrics import MeterProvider, Observation
from opentelemetry.semconv._incubating.attributes import cicd_attributes as cicd
from opentelemetry.semconv._incubating.metrics import cicd_metrics
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE

from ...enums import ExecutionStatus
from ...model import PipelineExecution
from .._outcomes import cause_of, moved_jobs, result
from .spans import error_type

__all__ = ["RunMetrics"]

_STATES = {ExecutionStatus.PENDING: "pending", ExecutionStatus.RUNNING: "executing"}


class RunMetrics:
    """Measures runs when their status changes.

    - ``cicd.pipeline.run.active``: the number of runs that are pending or executing.
    - ``cicd.pipeline.run.duration``: the duration of ended runs in seconds, by their result.
    - ``cicd.pipeline.run.errors``: the number of failed jobs, also of those that are allowed to fail.
    - ``cicd.worker.count``: the number of Workers that are available, busy or offline, if ``workers`` is given.

    Args:
        provider: The provider of the meter.
        workers: Returns the current number of Workers by state (``available``, ``busy``, ``offline``); None means that
            Workers are not counted.
    """

    def __init__(self, provider: MeterProvider, *, workers: Callable[[], Mapping[str, int]] | None = None) -> None:
        meter = provider.get_meter("cicd_common")
        self._active = cicd_metrics.create_cicd_pipeline_run_active(meter)
        self._duration = cicd_metrics.create_cicd_pipeline_run_duration(meter)
        self._errors = cicd_metrics.create_cicd_pipeline_run_errors(meter)
        if workers is not None:
            # The counter of the conventions takes changes, which a restart would lose, so this one takes numbers.
            meter.create_observable_up_down_counter(
                cicd_metrics.CICD_WORKER_COUNT,
                [lambda _: _observations(workers())],
                unit="{worker}",
                description="The number of workers on the CI/CD system by state.",
            )

    def record(self, before: PipelineExecution | None, after: PipelineExecution) -> None:
        """Measure the changes of a run between two of its states.

        Args:
            before: The run before; None if it did not exist. A process that starts also passes None for every run under
                way, since the counts of an earlier process ended with that process.
            after: The run after.

        Raises:
            ValueError: The states are of two runs.
        """
        name = {cicd.CICD_PIPELINE_NAME: after.pipeline.name}
        was, now = None if before is None else _STATES.get(before.status), _STATES.get(after.status)
        if was != now:
            for state, change in ((was, -1), (now, 1)):
                if state is not None:
                    self._active.add(change, {**name, cicd.CICD_PIPELINE_RUN_STATE: state})
        for known, job in moved_jobs(before, after):
            has_failed = known is not None and known.status is ExecutionStatus.FAILED
            if job.status is ExecutionStatus.FAILED and not has_failed:
                self._errors.add(1, {**name, ERROR_TYPE: error_type(job)})
        has_ended = before is not None and before.status.is_terminal
        if after.duration is not None and not has_ended:
            self._duration.record(after.duration.total_seconds(), {**name, **_ending(after)})


def _ending(run: PipelineExecution) -> dict[str, str]:
    """Return the attributes of a run's end."""
    jobs = [job for stage in run.stages for job in stage.jobs]
    cause = cause_of(run.status, jobs)
    attributes = {
        cicd.CICD_PIPELINE_RUN_STATE: "executing",
        cicd.CICD_PIPELINE_RESULT: result(run.status, jobs),
    }
    return attributes if cause is None else {**attributes, ERROR_TYPE: error_type(cause)}


def _observations(workers: Mapping[str, int]) -> Iterable[Observation]:
    return [Observation(count, {cicd.CICD_WORKER_STATE: state}) for state, count in workers.items()]
