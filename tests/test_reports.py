"""Reports, compared with a naive search through all runs."""

from datetime import UTC, datetime
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicd_common import ContractError, ExecutionStatus
from cicd_common.api.request import JobStatusUpdate, ReportRequest
from cicd_common.api.response import (
    JobExecutionRecord,
    JobReportSummary,
    PipelineExecutionRecord,
    StageExecutionRecord,
    StageReportSummary,
)
from cicd_common.enums import EndReason
from cicd_common.errors import UnknownNameError
from cicd_common.model import Job, Pipeline, PipelineExecution, Stage
from cicd_common.reports import MAX_PAGE_OUTPUT, Cursor, end_of_output, report
from tests.support import strategies as own_strategies

DAY = datetime(2026, 1, 31, tzinfo=UTC)


def pipeline(name="pipeline", **stages):
    return Pipeline(
        name=name,
        repo_url="",
        stages=tuple(
            Stage(name=stage, jobs=tuple(Job(name=job, script=("true",)) for job in jobs))
            for stage, jobs in stages.items()
        ),
    )


def times(thing):
    return {"status": thing.status, "start_time": thing.start_time, "completion_time": thing.completion_time}


def search(runs, request, logs):
    """All records by the rules of the contract, newest first, without pages."""
    records = []
    for run in sorted(runs, key=lambda each: (each.run_number, each.id), reverse=True):
        if run.pipeline.name != request.pipeline_name or request.run_number not in (None, run.run_number):
            continue
        summaries = tuple(StageReportSummary(stage_name=stage.name, **times(stage)) for stage in run.stages)
        if request.level == "pipeline" and request.status in (None, run.status):
            records.append(
                PipelineExecutionRecord(
                    execution_id=run.id,
                    run_number=run.run_number,
                    branch=run.branch,
                    commit_hash=run.commit_hash,
                    stages=summaries,
                    **times(run),
                )
            )
        for stage in run.stages:
            if stage.name != request.stage_name:
                continue
            jobs = tuple(
                JobReportSummary(
                    job_execution_id=each.id,
                    job_name=each.job.name,
                    reason=each.reason,
                    allow_failure=each.job.allow_failure,
                    **times(each),
                )
                for each in stage.jobs
            )
            if request.level == "stage" and request.status in (None, stage.status):
                records.append(
                    StageExecutionRecord(execution_id=stage.id, run_number=run.run_number, jobs=jobs, **times(stage))
                )
            records += [
                JobExecutionRecord(
                    execution_id=each.id,
                    run_number=run.run_number,
                    reason=each.reason,
                    allow_failure=each.job.allow_failure,
                    exit_code=each.exit_code,
                    logs=logs.get(each.id, ""),
                    **times(each),
                )
                for each in stage.jobs
                if each.job.name == request.job_name and request.status in (None, each.status)
            ]
    return records


@st.composite
def cases(draw):
    """Runs, logs of some jobs, and a request at any level for names that exist."""
    runs = draw(own_strategies.past_executions().filter(bool))
    run = draw(st.sampled_from(runs))
    stage = draw(st.none() | st.sampled_from(run.stages))
    job = None if stage is None else draw(st.none() | st.sampled_from(stage.jobs))
    logs = {each.id: f"log of {each.id}" for run in runs for stage in run.stages for each in stage.jobs[:1]}
    request = ReportRequest(
        pipeline_name=run.pipeline.name,
        stage_name=stage and stage.name,
        job_name=job and job.job.name,
        run_number=draw(st.none() | st.integers(1, 6)),
        status=draw(st.none() | own_strategies.statuses()),
        limit=draw(st.integers(1, 4)),
    )
    return runs, logs, request


def pages(runs, request, logs, arrive=lambda: ()):
    """The records of all pages. `arrive` returns the runs that are added after each page."""
    found = []
    while True:
        page = report(runs, request, logs=logs)
        assert len(page.executions) <= request.limit
        found += page.executions
        if page.next_cursor is None:
            return found
        assert len(page.executions) == request.limit
        request = attrs.evolve(request, cursor=page.next_cursor)
        runs = [*arrive(), *runs]


class TestReport:
    @given(cases())
    def test_all_pages_together_are_all_that_there_is(self, case):
        """All pages together have the records of a naive search, at each level and with each filter."""
        runs, logs, request = case
        assert pages(runs, request, logs) == search(runs, request, logs)

    @given(cases())
    def test_pages_stay_right_when_new_runs_arrive_between_them(self, case):
        """Later pages have the older runs, each once, even if new runs were added between them."""
        runs, logs, request = case
        newest = max(run.run_number for run in runs)

        def arrive():
            nonlocal newest
            newest += 1
            return [attrs.evolve(runs[0], run_number=newest, id=UUID(int=newest))]

        assert pages(runs, request, logs, arrive) == search(runs, request, logs)

    def test_it_says_what_it_is_about(self):
        """A report has the names of its request, at each level."""
        runs = [PipelineExecution.of(pipeline(build=["compile"]), run_number=1)]
        names = {"pipeline_name": "pipeline", "stage_name": "build", "job_name": "compile"}
        for level in (1, 2, 3):
            asked = dict(list(names.items())[:level])
            found = report(runs, ReportRequest(**asked))
            assert {name: getattr(found, name) for name in asked} == asked

    def test_a_page_of_jobs_with_all_that_is_known_of_them(self):
        """A page of jobs has the output, the exit code, the reason and the times, and the cursor of the next page."""
        runs, logs = [], {}
        for number in (1, 2):
            run, [job] = PipelineExecution.of(pipeline(build=["compile"]), run_number=number).hand_out(DAY)
            logs[job.id] = f"log {number}"
            ended = JobStatusUpdate(
                job_execution_id=job.id,
                sequence=1,
                status=ExecutionStatus.FAILED,
                occurred_at=DAY,
                exit_code=number,
                reason=EndReason.EXITED,
                worker="worker",
            )
            runs.append(run.apply(ended)[0])
        request = ReportRequest(pipeline_name="pipeline", stage_name="build", job_name="compile", limit=1)
        found = report(runs, request, logs=logs)
        [record] = found.executions
        assert (record.run_number, record.exit_code, record.logs, record.completion_time) == (2, 2, "log 2", DAY)
        assert (record.reason, record.is_log_whole) == (EndReason.EXITED, True)
        assert found.next_cursor == str(Cursor(2, runs[1].id))

    def test_a_page_shares_four_mebibytes_of_output_evenly(self):
        """The records of a page share 4 MiB of output. Each has the end of its output, and says whether it is whole."""
        runs = [PipelineExecution.of(pipeline(build=["compile"]), run_number=number) for number in (1, 2)]
        half = MAX_PAGE_OUTPUT // 2
        outputs = ["x" * half, "first" + "é" * (half // 2)]
        logs = {run.stages[0].jobs[0].id: output for run, output in zip(runs, outputs, strict=True)}
        request = ReportRequest(pipeline_name="pipeline", stage_name="build", job_name="compile")
        second, first = report(runs, request, logs=logs).executions
        assert (first.logs == outputs[0], first.is_log_whole) == (True, True)
        assert (second.logs == "é" * (half // 2), second.is_log_whole) == (True, False)

    @given(st.text(st.characters(codec="utf-8"), max_size=20), st.integers(1, 30))
    def test_the_end_of_an_output_is_as_many_whole_characters_as_fit(self, output, limit):
        """The end of an output has as many whole characters as fit into the limit."""
        end = end_of_output(output, limit)
        assert output.endswith(end)
        assert len(end.encode()) <= limit
        assert end == output or len(output[-len(end) - 1 :].encode()) > limit

    def test_a_run_without_the_stage_is_left_out(self):
        """A run whose pipeline did not have the stage yet has no record in a report on this stage."""
        old, new = pipeline(build=["a"]), pipeline(build=["a"], test=["b"])
        runs = [PipelineExecution.of(old, run_number=1), PipelineExecution.of(new, run_number=2)]
        for names in ({"stage_name": "test"}, {"stage_name": "test", "job_name": "b"}):
            found = report(runs, ReportRequest(pipeline_name="pipeline", **names))
            assert [record.run_number for record in found.executions] == [2]

    def test_a_run_without_the_job_is_left_out(self):
        """A run whose pipeline did not have the job yet has no record in a report on this job."""
        old, new = pipeline(build=["a"]), pipeline(build=["a", "b"])
        runs = [PipelineExecution.of(old, run_number=1), PipelineExecution.of(new, run_number=2)]
        found = report(runs, ReportRequest(pipeline_name="pipeline", stage_name="build", job_name="b"))
        assert [record.run_number for record in found.executions] == [2]

    def test_a_run_of_another_number_is_left_out(self):
        """A report on a run number has only the run with that number."""
        runs = [PipelineExecution.of(pipeline(build=["a"]), run_number=number) for number in (1, 2)]
        found = report(runs, ReportRequest(pipeline_name="pipeline", run_number=1))
        assert [record.run_number for record in found.executions] == [1]

    def test_the_next_page_begins_behind_the_cursor(self):
        """The cursor of a page leads to the older runs, and the last page has none."""
        runs = [PipelineExecution.of(pipeline(build=["a"]), run_number=number) for number in (1, 2)]
        request = ReportRequest(pipeline_name="pipeline", limit=1)
        found = report(runs, attrs.evolve(request, cursor=report(runs, request).next_cursor))
        assert [record.run_number for record in found.executions] == [1]
        assert found.next_cursor is None

    def test_a_filter_that_nothing_passes_gives_an_empty_page(self):
        """A status that no run has gives an empty page, and no error."""
        runs = [PipelineExecution.of(pipeline(build=["a"]), run_number=1)]
        found = report(runs, ReportRequest(pipeline_name="pipeline", status=ExecutionStatus.FAILED))
        assert (found.executions, found.next_cursor) == ((), None)


class TestNames:
    RUNS = [PipelineExecution.of(pipeline("one", build=["a"], test=["b"]), run_number=1)]  # noqa: RUF012

    @pytest.mark.parametrize(
        ("names", "pointer", "message"),
        [
            (["two"], "/pipeline_name", "expected the name of a pipeline, there is none named two"),
            (
                ["one", "b"],
                "/stage_name",
                "expected the name of a stage of the pipeline one, there is none named b",
            ),
            (
                ["one", "test", "a"],
                "/job_name",
                "expected the name of a job of the stage test of the pipeline one, there is none named a",
            ),
        ],
    )
    def test_the_error_says_which_name_at_which_level(self, names, pointer, message):
        """An unknown name is an error with the pointer of its field, and with the names above it in the message."""
        request = ReportRequest(**dict(zip(("pipeline_name", "stage_name", "job_name"), names, strict=False)))
        with pytest.raises(UnknownNameError) as caught:
            report(self.RUNS, request)
        [problem] = caught.value.problems
        assert (caught.value.type, problem.pointer, problem.code, problem.message) == (
            ReportRequest,
            pointer,
            "value",
            message,
        )

    def test_a_pipeline_that_has_not_run_yet_has_an_empty_report(self):
        """A pipeline that exists but has not run has an empty report."""
        found = report([], ReportRequest(pipeline_name="new", stage_name="s"), pipelines=[pipeline("new", s=["a"])])
        assert found.executions == ()

    def test_another_pipeline_that_exists_does_not_help(self):
        """An unknown name is an error even if other pipelines exist."""
        with pytest.raises(UnknownNameError):
            report([], ReportRequest(pipeline_name="new"), pipelines=[pipeline("old", s=["a"])])


class TestCursor:
    @given(st.integers(1, 2**63 - 1), st.uuids())
    def test_it_is_read_as_it_was_written(self, number, execution_id):
        """A cursor is equal after a round trip through its text, which needs no escapes in a URL."""
        cursor = Cursor(number, execution_id)
        assert Cursor.parse(str(cursor)) == cursor
        assert str(cursor).replace("-", "").replace("_", "").isalnum()

    @given(st.text() | st.text("AB-_=", min_size=30, max_size=34))
    def test_anything_else_is_refused(self, text):
        """Any text is refused with one problem, unless it is exactly the text of a cursor."""
        found = []
        try:
            found = [str(Cursor.parse(text))]
        except ContractError as caught:
            error = caught
        if not found:
            assert [(each.pointer, each.code) for each in error.problems] == [("/cursor", "value")]
        assert found in ([], [text])

    @pytest.mark.parametrize("cursor", ["first", "é", "", "A" * 31, str(Cursor(1, UUID(int=1))) + "!"])
    def test_a_request_with_a_bad_cursor_is_refused(self, cursor):
        """A request with a bad cursor is refused, instead of answered with the first page."""
        runs = [PipelineExecution.of(pipeline(build=["a"]), run_number=1)]
        with pytest.raises(ContractError) as caught:
            report(runs, ReportRequest(pipeline_name="pipeline", cursor=cursor))
        [problem] = caught.value.problems
        assert (caught.value.type, problem.pointer) == (ReportRequest, "/cursor")
        assert problem.message == "expected the next_cursor of the page before"
