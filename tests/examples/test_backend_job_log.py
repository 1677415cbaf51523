"""Reading the output of a job for its page."""

import pytest
from cicd_system.backend.ansi import Position
from cicd_system.backend.job_log import JobLogs

from cicd_common.store import ExecutionStore
from tests.support.examples.backend_in_process import simple, update

LINE = "x" * 99 + "\n"


class CountingStore(ExecutionStore):
    """Counts the pages of output that are read."""

    asked = 0

    def logs(self, *args, **options):
        self.asked += 1
        return super().logs(*args, **options)


@pytest.fixture
def store():
    with CountingStore("sqlite://") as store:
        yield store


@pytest.fixture
def job(store):
    return store.start(simple()).jobs[0].job_execution_id


def say(store, job, sequence, text):
    store.apply(update(job, sequence, "RUNNING", logs=text))


def test_the_end_of_a_long_log_has_the_numbers_of_the_whole(store, job):
    """Its earlier lines are counted once."""
    logs = JobLogs(store)
    for sequence in range(1, 41):
        say(store, job, sequence, LINE * 1000)
    first = logs.end(job)
    assert first.end == Position(40, 0, 40_001)
    assert first.line + len(first.lines) - 1 == 40_001
    asked = store.asked
    say(store, job, 41, "last\n")
    again = logs.end(job)
    assert again.lines[-2:] == ["last", ""]
    assert again.end.line == 40_002
    assert store.asked - asked == 2  # What is new, and that there is no more.


def test_what_is_missing_is_waited_for(store, job):
    """The output after a gap is rendered once the gap is filled."""
    logs = JobLogs(store)
    say(store, job, 1, "one\n")
    say(store, job, 3, "three\n")
    end = logs.end(job)
    assert list(end.lines) == ["one", ""]
    assert logs.more(job, end.end) is None
    say(store, job, 2, "two\n")
    assert list(logs.more(job, end.end).lines) == ["two", "three", ""]


def test_one_long_chunk_is_shown(store, job):
    """A chunk that alone is longer than what is shown at first keeps its lines."""
    say(store, job, 1, LINE * 25_000)
    assert JobLogs(store).end(job).end.line == 25_001
