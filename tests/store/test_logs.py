"""Pages of output, the ends of logs, and the logs of executions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cicd_common import ExecutionStatus
from cicd_common.api.request import ExecutionLogUpload, JobStatusUpdate, ReportRequest
from cicd_common.model import ExecutionLog, Job, Pipeline, Stage
from cicd_common.reports import MAX_PAGE_OUTPUT, end_of_output
from cicd_common.store import ExecutionStore
from cicd_common.store.logs import MAX_PAGE_BYTES, ends_of

MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
PIPELINE = Pipeline(
    name="build",
    repo_url="https://example.org/repo.git",
    stages=(Stage(name="compile", jobs=(Job(name="make", script=("make",)),)),),
)
HALF = MAX_PAGE_BYTES // 2


def pages_of(store: ExecutionStore, texts: list[str], limit: int = 1000) -> list[tuple[int, ...]]:
    """Return the sequences on each page of a log, after a check that the pages have the stored texts."""
    (job,) = store.start(PIPELINE, at=MOMENT).jobs
    for sequence, text in enumerate(texts, 1):
        store.apply(
            JobStatusUpdate(
                job_execution_id=job.job_execution_id,
                sequence=sequence,
                status=ExecutionStatus.RUNNING,
                occurred_at=MOMENT,
                logs=text,
                worker="worker",
            )
        )
    pages, after = [], 0
    while chunks := store.logs(job.job_execution_id, after=after, limit=limit).chunks:
        assert [text for _, text in chunks] == texts[after : after + len(chunks)]
        pages.append(tuple(sequence for sequence, _ in chunks))
        after = pages[-1][-1]
    return pages


@pytest.mark.parametrize(
    ("texts", "pages"),
    [
        ([], []),
        ([""] * 3, [(1, 2, 3)]),
        (["x" * (HALF - 1)] * 4, [(1, 2, 3), (4,)]),
        (["x" * HALF] * 4, [(1, 2), (3, 4)]),
        (["\u00fc" * HALF] * 3, [(1,), (2,), (3,)]),
        (["x" * MAX_PAGE_BYTES, "", "x"], [(1,), (2, 3)]),
        (["", "x" * (MAX_PAGE_BYTES + 1), ""], [(1, 2), (3,)]),
    ],
    ids=["none", "empty", "not full", "just full", "bytes", "alone", "behind"],
)
def test_bytes(store, texts, pages):
    """A page ends with the chunk that reaches the bound, however large the chunk is."""
    assert pages_of(store, texts) == pages


def test_limit(store):
    """A page has at most as many chunks as the caller asks for."""
    assert pages_of(store, ["x"] * 5, limit=2) == [(1, 2), (3, 4), (5,)]


class TestEnds:
    def test_the_end_of_a_log_is_read_without_the_rest(self, store):
        """`log_tail` returns as many whole characters as fit, across chunks."""
        job = start(store)
        for sequence, text in enumerate(["first", "", "\u00fcx", "yz"], 1):
            store.apply(told(job, sequence, text))
        assert [store.log_tail(job, max_bytes=limit) for limit in (1, 3, 4, 5, 100)] == [
            "z",
            "xyz",
            "xyz",
            "\u00fcxyz",
            "first\u00fcxyz",
        ]

    def test_a_job_without_output_has_an_empty_end(self, store):
        """The end of an empty log is empty and no error."""
        assert store.log_tail(start(store)) == ""

    def test_a_page_of_a_report_shares_its_bound(self, store):
        """The records of a page share its limit of output, and say whether their output is whole."""
        third = MAX_PAGE_OUTPUT // 3
        for text in ("x" * (third + 1), "y" * third, "z"):
            store.apply(told(start(store), 1, text))
        records = store.report(ReportRequest(pipeline_name="build", stage_name="compile", job_name="make")).executions
        assert [(record.logs, record.is_log_whole) for record in records] == [
            ("z", True),
            ("y" * third, True),
            ("x" * third, False),
        ]

    @pytest.mark.parametrize("limit", [1, 2, 4, 5, 6, 7, 8, 9, 100])
    def test_is_that_of_the_whole_log(self, store, limit):
        """`ends_of` returns the end of the whole log, also with empty chunks and around the limit."""
        logs = [["abc", "", "de", ""], ["", "", "abcde"], ["a", "\u20ac", "b\u20ac"], [""] * 4, ["abcdef", "g", "h"]]
        ids = [start(store) for _ in logs]
        for job, texts in zip(ids, logs, strict=True):
            for sequence, text in enumerate(texts, 1):
                store.apply(told(job, sequence, text))
        with store._database.read() as connection:
            found = ends_of(connection, ids, limit)
        wholes = ["".join(texts) for texts in logs]
        assert [found[job] for job in ids] == [
            (end_of_output(whole, limit), len(whole.encode()) <= limit) for whole in wholes
        ]

    def test_costs_the_same_however_long_the_log_is(self, tmp_path):
        """SQLite takes at most 1.5 times as many steps for a log of 3,000 chunks as for one of 30."""
        with ExecutionStore(f"sqlite:///{tmp_path}/store.db") as store:
            steps = []
            for count in (30, 3_000):
                job = start(store)
                store.apply_all([told(job, sequence, f"{sequence:099}\n") for sequence in range(1, count + 1)])
                with store._database.read() as connection:
                    ends_of(connection, [job], 1_000)  # Compile the statements first.
                    driver = connection.connection.driver_connection
                    counted = iter(range(10**9))
                    driver.set_progress_handler(lambda counted=counted: next(counted) < 0, 1)
                    [(text, is_whole)] = ends_of(connection, [job], 1_000).values()
                    driver.set_progress_handler(None, 0)
                    steps.append(next(counted))
                assert (len(text), is_whole) == (1_000, False)
        assert steps[1] < steps[0] * 1.5


class TestExecutionLogs:
    def test_those_of_a_run_include_those_of_its_stages_and_jobs(self, store):
        """Logs are in the order of time and sequence, and each level has its own."""
        run = store.execution(store.start(PIPELINE, at=MOMENT).execution.execution_id)
        stage, job = run.stages[0].id, run.stages[0].jobs[0].id
        of_run = entry(0, pipeline_execution_id=run.id)
        of_stage = entry(1, stage_execution_id=stage)
        of_job = entry(2, job_execution_id=job, pipeline_execution_id=run.id)
        store.add_logs(ExecutionLogUpload(logs=(of_job, of_run, of_stage)))
        store.add_logs(ExecutionLogUpload(logs=(of_stage,)))
        assert store.execution_logs(pipeline_execution_id=run.id).logs == (of_run, of_stage, of_job)
        assert store.execution_logs(stage_execution_id=stage).logs == (of_stage, of_job)
        assert store.execution_logs(job_execution_id=job).logs == (of_job,)

    def test_what_has_none_has_an_empty_page(self, store):
        """An existing run, stage or job without logs has an empty page."""
        run = store.execution(store.start(PIPELINE, at=MOMENT).execution.execution_id)
        stage, job = run.stages[0].id, run.stages[0].jobs[0].id
        for ids in ({"pipeline_execution_id": run.id}, {"stage_execution_id": stage}, {"job_execution_id": job}):
            assert store.execution_logs(**ids).logs == ()

    def test_pages_follow_each_other(self, store):
        """Each log is on one page, also if many logs have the same time."""
        run = store.start(PIPELINE, at=MOMENT).execution.execution_id
        entries = [entry(0, pipeline_execution_id=run, sequence=at // 2) for at in range(7)]
        store.add_logs(ExecutionLogUpload(logs=tuple(entries)))
        found, cursor = [], None
        while True:
            page = store.execution_logs(pipeline_execution_id=run, after=cursor, limit=3)
            found += page.logs
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == sorted(entries, key=lambda log: (log.sequence, log.id))


def entry(seconds, sequence=0, **ids):
    return ExecutionLog(
        sequence=sequence, timestamp=MOMENT + timedelta(seconds=seconds), log_text=f"after {seconds}\0", **ids
    )


def start(store):
    return store.start(PIPELINE, at=MOMENT).jobs[0].job_execution_id


def told(job, sequence, text):
    return JobStatusUpdate(
        job_execution_id=job,
        sequence=sequence,
        status=ExecutionStatus.RUNNING,
        occurred_at=MOMENT,
        logs=text,
        worker="worker",
    )
