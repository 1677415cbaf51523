"""The store does not change the parameters of unknown kinds."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from cicd_common.api.request import JobExecutionRequest, JobStatusUpdate, PipelineExecutionRequest
from cicd_common.enums import ExecutionStatus
from cicd_common.model import Pipeline
from cicd_common.store import ExecutionStore
from cicd_common.testing.strategies import json_objects, pipelines
from tests.support.contract import ENGINES, name_of

pytestmark = pytest.mark.no_cover

NOW = datetime(2026, 1, 31, tzinfo=UTC)


@st.composite
def unknown_pipelines(draw: st.DrawFn) -> Pipeline:
    """Pipelines of unknown kinds, with unique ids."""
    pipeline = draw(pipelines(max_stages=2, max_jobs=2))

    def unknown(job):
        return evolve(job, id=uuid4(), kind="acme.unknown-job", parameters=draw(json_objects()), allow_failure=True)

    stages = tuple(
        evolve(stage, id=uuid4(), jobs=tuple(unknown(job) for job in stage.jobs)) for stage in pipeline.stages
    )
    return evolve(pipeline, id=uuid4(), kind="acme.unknown", parameters=draw(json_objects()), stages=stages)


@pytest.mark.parametrize("engine", ENGINES, ids=name_of)
def test_parameters_pass_through(fresh, engine):
    """The definition, the run and the requests for Workers have exactly the bytes of the parameters."""
    with ExecutionStore(fresh()) as store:

        @given(unknown_pipelines())
        def check(pipeline):
            message = engine.dumps(
                PipelineExecutionRequest(request_id=uuid4(), repo=pipeline.repo_url, pipeline=pipeline)
            )
            started = store.start(engine.loads(message, PipelineExecutionRequest), at=NOW)
            execution = store.execution(started.execution.execution_id)

            assert engine.dumps(store.pipeline(pipeline.id)) == engine.dumps(pipeline)
            assert engine.dumps(execution.pipeline) == engine.dumps(pipeline)
            for stage, run in zip(pipeline.stages, execution.stages, strict=True):
                assert engine.dumps(tuple(job.job for job in run.jobs)) == engine.dumps(stage.jobs)
            assert requests_of(store, started.jobs, engine) == {
                job.name: (job.kind, job.parameters.text) for stage in pipeline.stages for job in stage.jobs
            }

        check()


def requests_of(store, ready, engine):
    """Run every job, and return the kind and the parameters in its request as a Worker reads them."""
    found = {}
    while ready:
        messages = [engine.dumps(request) for request in ready]
        ready = []
        for message in messages:
            request = engine.loads(message, JobExecutionRequest)
            assert f'"parameters":{request.parameters.text},'.encode() in message
            found[request.job_name] = request.kind, request.parameters.text
            update = JobStatusUpdate(
                job_execution_id=request.job_execution_id,
                sequence=1,
                status=ExecutionStatus.SUCCESS,
                occurred_at=NOW,
                worker="worker",
            )
            ready += store.apply(update, at=NOW).jobs
    return found
