"""Pages of output: what fits, in order, and nothing lost between them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.model import Job, Pipeline, Stage
from cicd_common.store import ExecutionStore
from cicd_common.store.outputs import MAX_PAGE_BYTES

MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
PIPELINE = Pipeline(
    name="build",
    repo_url="https://example.org/repo.git",
    stages=(Stage(name="compile", jobs=(Job(name="make", script=("make",)),)),),
)
HALF = MAX_PAGE_BYTES // 2


def pages_of(store: ExecutionStore, texts: list[str], limit: int = 1000) -> list[tuple[int, ...]]:
    """The sequences on each page of a log of these texts, which are checked to be those that were stored."""
    (job,) = store.start(PIPELINE, at=MOMENT).jobs
    for sequence, text in enumerate(texts, 1):
        store.apply(
            JobStatusUpdate(
                job_execution_id=job.job_execution_id,
                sequence=sequence,
                status=ExecutionStatus.RUNNING,
                occurred_at=MOMENT,
                logs=text,
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
    """A page ends with the chunk that fills it, however large that is."""
    assert pages_of(store, texts) == pages


def test_limit(store):
    """A page ends where its caller wants, too."""
    assert pages_of(store, ["x"] * 5, limit=2) == [(1, 2), (3, 4), (5,)]
