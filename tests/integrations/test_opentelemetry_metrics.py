"""The metrics of runs, with the names of the semantic conventions."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given

from cicd_common import ExecutionStatus
from cicd_common.testing.strategies import executions
from tests.support.http_receiver import receiver
from tests.support.run_states import run_states

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from cicd_common.integrations.opentelemetry import RunMetrics

STATES = {ExecutionStatus.PENDING: "pending", ExecutionStatus.RUNNING: "executing"}


class Meter:
    """A provider that keeps metrics in memory."""

    def __init__(self, **arguments):
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], resource=Resource({}), shutdown_on_exit=False)
        self.runs = RunMetrics(self.provider, **arguments)

    def points(self):
        """Return the points of a metric by its name."""
        data = self._reader.get_metrics_data()
        metrics = [] if data is None else data.resource_metrics[0].scope_metrics[0].metrics
        return {metric.name: (metric, list(metric.data.data_points)) for metric in metrics}


@pytest.mark.cover
@given(run_states())
def test_active_runs(states):
    """At every step a run is counted in its state, and not at all once it has ended."""
    meter = Meter()
    for before, after in pairwise(states):
        meter.runs.record(before, after)
        _, points = meter.points()["cicd.pipeline.run.active"]
        active = {point.attributes["cicd.pipeline.run.state"]: point.value for point in points if point.value}
        assert active == ({STATES[after.status]: 1} if after.status in STATES else {})


@given(run_states())
def test_duration_and_errors(states):
    """A run's duration is measured once, at its end, and each failed job is an error, allowed or not."""
    meter = Meter()
    for before, after in pairwise(states):
        meter.runs.record(before, after)
    end = next(state for state in states if state and state.status.is_terminal)
    durations = meter.points().get("cicd.pipeline.run.duration", (None, []))[1]
    assert [point.sum for point in durations] == ([] if end.duration is None else [end.duration.total_seconds()])
    for point in durations:
        assert point.count == 1
        assert point.attributes["cicd.pipeline.name"] == end.pipeline.name
        assert point.attributes["cicd.pipeline.run.state"] == "executing"
        is_failed = end.status is ExecutionStatus.FAILED
        assert (point.attributes["cicd.pipeline.result"] in ("failure", "error", "timeout")) is is_failed
        assert ("error.type" in point.attributes) is is_failed
    errors = meter.points().get("cicd.pipeline.run.errors", (None, []))[1]
    failed = [each for stage in end.stages for each in stage.jobs if each.status is ExecutionStatus.FAILED]
    assert sum(point.value for point in errors) == len(failed)
    told = Counter({point.attributes["error.type"]: point.value for point in errors})
    assert told == Counter("_OTHER" if each.reason in (None, "OTHER") else each.reason.value for each in failed)


@given(executions())
def test_of_a_run_on_its_way(run):
    """A process that starts counts a run in its current state."""
    meter = Meter()
    meter.runs.record(None, run)
    active = meter.points().get("cicd.pipeline.run.active", (None, []))[1]
    assert [point.value for point in active] == ([1] if run.status in STATES else [])


def test_workers():
    """Metrics have the current numbers of Workers whenever they are read."""
    workers = {"available": 2, "busy": 1}
    meter = Meter(workers=lambda: workers)
    for _ in range(2):
        metric, points = meter.points()["cicd.worker.count"]
        assert {point.attributes["cicd.worker.state"]: point.value for point in points} == workers
        workers["busy"] = 5
    assert metric.unit == "{worker}"


def test_arrives():
    """A receiver of OTLP/HTTP gets the metrics."""
    with receiver() as server:
        exporter = OTLPMetricExporter(endpoint=f"{server.url}/v1/metrics", timeout=60)
        provider = MeterProvider([PeriodicExportingMetricReader(exporter)], shutdown_on_exit=False)
        RunMetrics(provider, workers=lambda: {"busy": 3})
        provider.shutdown()
        (request,) = server.requests
    assert request.path == "/v1/metrics"
    (metric,) = ExportMetricsServiceRequest.FromString(request.body).resource_metrics[0].scope_metrics[0].metrics
    assert metric.name == "cicd.worker.count"
    assert [point.as_int for point in metric.sum.data_points] == [3]
