"""Conversions between models, records and messages."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicd_common import ContractError, ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.api.response import JobExecutionResponse, PipelineExecutionResponse
from cicd_common.dto import JobDTO, JobExecutionDTO, StageDTO, StageExecutionDTO
from cicd_common.errors import UnknownJobError
from cicd_common.mapping import (
    execution_from_records,
    execution_to_records,
    job_execution_request,
    job_execution_response,
    pipeline_execution_response,
    pipeline_from_records,
    pipeline_to_records,
)
from cicd_common.model import Job, Pipeline, PipelineExecution, Stage
from cicd_common.testing import strategies

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
UPDATED = datetime(2026, 1, 2, tzinfo=UTC)
STRAY = UUID(int=13)


def records_of(pipeline):
    return pipeline_to_records(pipeline, created_at=CREATED, updated_at=UPDATED)


def said(caught):
    """The type, pointer, code and message of an error with one problem."""
    [problem] = caught.value.problems
    return caught.value.type, problem.pointer, problem.code, problem.message


def jobs_of(parent):
    return [job for stage in parent.stages for job in stage.jobs]


@pytest.fixture
def pipeline():
    compile_it = Job(name="compile", script=("make",))
    return Pipeline(
        name="pipeline",
        repo_url="https://example.org/repo.git",
        stages=(
            Stage(name="build", jobs=(compile_it,)),
            Stage(name="test", jobs=(Job(name="test", script=("make test",), dependencies=("compile",)),)),
        ),
    )


class TestPipelines:
    @given(strategies.pipelines(), st.randoms(use_true_random=False))
    def test_to_records_and_back_is_the_identity(self, pipeline, random):
        """The records become the same pipeline again, in any order of the stages."""
        records = records_of(pipeline)
        stages, by_stage = list(records.stages), list(pipeline.stages)
        random.shuffle(stages)
        random.shuffle(by_stage)
        of_job = {job.id: job for job in records.jobs}
        jobs = [of_job[job.id] for stage in by_stage for job in stage.jobs]
        assert pipeline_from_records(records.pipeline, stages, jobs) == pipeline

    @given(strategies.pipelines())
    def test_every_field_is_in_a_record(self, pipeline):
        """Every field of a model is in its record under the same name, except stages, jobs and dependencies."""
        records = records_of(pipeline)
        for model, record in [
            (pipeline, records.pipeline),
            *zip(pipeline.stages, records.stages, strict=True),
            *zip(jobs_of(pipeline), records.jobs, strict=True),
        ]:
            names = {field.name for field in attrs.fields(type(model))} - {"stages", "jobs", "dependencies"}
            assert {name: getattr(record, name) for name in names} == {name: getattr(model, name) for name in names}
            assert (record.created_at, record.updated_at) == (CREATED, UPDATED)

    def test_foreign_keys(self, pipeline):
        """Stages point to the pipeline, jobs to the stage, dependencies to jobs."""
        records = records_of(pipeline)
        assert [(stage.pipeline_id, stage.execution_order) for stage in records.stages] == [
            (pipeline.id, 0),
            (pipeline.id, 1),
        ]
        assert [job.stage_id for job in records.jobs] == [stage.id for stage in pipeline.stages]
        assert records.jobs[1].dependencies == (records.jobs[0].id,)

    def test_a_job_of_another_stage_is_refused(self, pipeline):
        """A job record whose stage is not among the stage records is refused."""
        records = records_of(pipeline)
        stray = attrs.evolve(records.jobs[0], stage_id=uuid4())
        with pytest.raises(ContractError) as caught:
            pipeline_from_records(records.pipeline, records.stages, [stray, *records.jobs])
        message = f"expected the stage_id of the record {stray.id} to be of those given"
        assert said(caught) == (JobDTO, "/jobs", "value", message)

    def test_a_stage_of_another_pipeline_is_refused(self, pipeline):
        """A stage record with the id of another pipeline is refused."""
        records = records_of(pipeline)
        stray = attrs.evolve(records.stages[0], pipeline_id=uuid4())
        with pytest.raises(ContractError) as caught:
            pipeline_from_records(records.pipeline, [stray, records.stages[1]], records.jobs)
        message = f"expected the pipeline_id of the record {stray.id} to be of those given"
        assert said(caught) == (StageDTO, "/stages", "value", message)

    def test_a_dependency_that_is_not_there_is_refused(self, pipeline):
        """A dependency on an unknown job id is refused, and the message names the job and the id."""
        records = records_of(pipeline)
        lost = uuid4()
        with pytest.raises(ContractError) as caught:
            pipeline_from_records(
                records.pipeline,
                records.stages,
                [records.jobs[0], attrs.evolve(records.jobs[1], dependencies=(lost,))],
            )
        message = f"expected job test to depend on jobs of the pipeline, not on {lost}"
        assert said(caught) == (Pipeline, "/jobs", "value", message)


class TestExecutions:
    @pytest.mark.no_cover
    @given(strategies.from_type(PipelineExecution) | strategies.executions(), st.randoms(use_true_random=False))
    def test_to_records_and_back_is_the_identity(self, execution, random):
        """The records of an execution, in any order, become the same execution again."""
        records = execution_to_records(execution)
        stages, jobs = list(records.stages), list(records.jobs)
        random.shuffle(stages)
        random.shuffle(jobs)
        assert execution_from_records(execution.pipeline, records.execution, stages, jobs) == execution

    @pytest.mark.no_cover
    @given(strategies.executions())
    def test_records_carry_what_follows_from_the_jobs(self, execution):
        """Records contain the statuses and times that are derived from the jobs."""
        records = execution_to_records(execution)
        for model, record in [
            (execution, records.execution),
            *zip(execution.stages, records.stages, strict=True),
            *zip(jobs_of(execution), records.jobs, strict=True),
        ]:
            assert record.status is model.status
            assert (record.start_time, record.completion_time) == (model.start_time, model.completion_time)
        assert [run.allow_failure for run in records.jobs] == [run.job.allow_failure for run in jobs_of(execution)]

    def test_logs_and_jobs_go_with_the_records_that_they_are_of(self, pipeline):
        """Each log and each job definition is put into its record. The other records have an empty log and no job."""
        execution = PipelineExecution.of(pipeline, run_number=1)
        job = records_of(pipeline).jobs[1]
        records = execution_to_records(execution, logs={jobs_of(execution)[0].id: "output"}, jobs=[job])
        assert [(run.logs, run.job) for run in records.jobs] == [("output", None), ("", job)]

    def test_times_of_an_execution_that_ended(self, pipeline):
        """The records of a finished execution, its stages and its jobs have start and completion times."""
        execution = PipelineExecution.of(pipeline, run_number=1)
        while not execution.status.is_terminal:
            execution, jobs = execution.hand_out(CREATED)
            for run in jobs:
                for sequence, status in enumerate((ExecutionStatus.RUNNING, ExecutionStatus.SUCCESS), 1):
                    update = JobStatusUpdate(
                        job_execution_id=run.id,
                        sequence=sequence,
                        status=status,
                        occurred_at=UPDATED,
                        exit_code=0,
                        worker="worker",
                    )
                    execution, _ = execution.apply(update)
        records = execution_to_records(execution)
        for record in (records.execution, *records.stages, *records.jobs):
            assert (record.start_time, record.completion_time) == (UPDATED, UPDATED)
        assert {record.exit_code for record in records.jobs} == {0}

    @pytest.mark.parametrize(
        ("change", "type", "pointer", "message"),
        [
            (
                lambda x: (attrs.evolve(x.execution, pipeline_id=uuid4()), x.stages, x.jobs),
                PipelineExecution,
                "/pipeline_id",
                "expected the id of the pipeline, {pipeline}",
            ),
            (
                lambda x: (x.execution, x.stages[:1], x.jobs[:1]),
                PipelineExecution,
                "/stages",
                "expected one record of the stage_id {stage}, found 0",
            ),
            (
                lambda x: (x.execution, (*x.stages, attrs.evolve(x.stages[0], stage_id=uuid4())), x.jobs),
                StageExecutionDTO,
                "/stages",
                "expected the stage_id of the record {run} to be of those given",
            ),
            (
                lambda x: (x.execution, x.stages, x.jobs[:1]),
                PipelineExecution,
                "/jobs",
                "expected one record of the job_id {job}, found 0",
            ),
            (
                lambda x: (x.execution, x.stages, (*x.jobs, x.jobs[1])),
                PipelineExecution,
                "/jobs",
                "expected one record of the job_id {job}, found 2",
            ),
            (
                lambda x: (x.execution, x.stages, (*x.jobs, attrs.evolve(x.jobs[0], id=STRAY, job_id=uuid4()))),
                JobExecutionDTO,
                "/jobs",
                f"expected the job_id of the record {STRAY} to be of those given",
            ),
            (
                lambda x: (x.execution, x.stages, (attrs.evolve(x.jobs[0], id=STRAY, stage_execution_id=uuid4()),)),
                JobExecutionDTO,
                "/jobs",
                f"expected the stage_execution_id of the record {STRAY} to be of those given",
            ),
            (
                lambda x: (
                    x.execution,
                    (attrs.evolve(x.stages[0], pipeline_execution_id=uuid4()), x.stages[1]),
                    x.jobs,
                ),
                StageExecutionDTO,
                "/stages",
                "expected the pipeline_execution_id of the record {run} to be of those given",
            ),
        ],
    )
    def test_records_that_do_not_belong_together_are_refused(self, pipeline, change, type, pointer, message):
        """Records with missing, repeated or foreign ids are refused, and the message names the id."""
        records = execution_to_records(PipelineExecution.of(pipeline, run_number=1))
        with pytest.raises(ContractError) as caught:
            execution_from_records(pipeline, *change(records))
        ids = {
            "pipeline": pipeline.id,
            "stage": pipeline.stages[1].id,
            "job": pipeline.stages[1].jobs[0].id,
            "run": records.stages[0].id,
        }
        assert said(caught) == (type, pointer, "value", message.format(**ids))


class TestMessages:
    @given(strategies.executions())
    def test_a_worker_is_asked_for_all_that_the_job_says(self, execution):
        """The request for a Worker has the values of the job, the pipeline and the execution."""
        ids = {run.job.name: run.id for run in jobs_of(execution)}
        for stage in execution.stages:
            for run in stage.jobs:
                request = job_execution_request(execution, run.id, lease_seconds=90)
                job = run.job
                assert attrs.asdict(request) == {
                    "job_execution_id": run.id,
                    "stage_execution_id": stage.id,
                    "pipeline_execution_id": execution.id,
                    "job_id": job.id,
                    "job_name": job.name,
                    "stage_name": stage.name,
                    "pipeline_name": execution.pipeline.name,
                    "run_number": execution.run_number,
                    "repo": execution.pipeline.repo_url,
                    "branch": execution.branch,
                    "commit_hash": execution.commit_hash,
                    "is_local": execution.is_local,
                    "kind": job.kind,
                    "parameters": job.parameters,
                    "environment": {**execution.pipeline.environment, **job.environment, **execution.environment},
                    "secrets": job.secrets,
                    "docker_image": job.docker_image,
                    "commands": job.script,
                    "working_dir": job.working_dir,
                    "timeout_seconds": job.timeout_seconds,
                    "retries": job.retries,
                    "artifacts": job.artifacts,
                    "inputs": tuple(ids[name] for name in dict.fromkeys(job.dependencies)),
                    "attempt": run.attempt,
                    "last_sequence": run.last_sequence,
                    "lease_seconds": 90,
                }

    def test_a_job_that_is_not_in_the_execution_is_an_error(self, pipeline):
        """A request for an unknown job raises an UnknownJobError."""
        with pytest.raises(UnknownJobError):
            job_execution_request(PipelineExecution.of(pipeline, run_number=1), uuid4())

    def test_what_a_backend_answers(self, pipeline):
        """The responses have the ids and the status of the execution or of the job, and the given flags."""
        execution = PipelineExecution.of(pipeline, run_number=3, is_local=True)
        run = jobs_of(execution)[0]
        assert job_execution_request(execution, run.id).is_local is True
        assert pipeline_execution_response(execution) == PipelineExecutionResponse(
            execution_id=execution.id, run_number=3, status=ExecutionStatus.PENDING
        )
        assert job_execution_response(run) == JobExecutionResponse(
            job_execution_id=run.id, status=ExecutionStatus.PENDING
        )
        assert job_execution_response(run, is_cancel_requested=True, is_superseded=True) == JobExecutionResponse(
            job_execution_id=run.id, status=ExecutionStatus.PENDING, is_cancel_requested=True, is_superseded=True
        )
