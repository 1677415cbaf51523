"""The status of a parent by the statuses of its children."""

import csv
from itertools import accumulate, permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicd_common import ExecutionStatus
from cicd_common.model import Job, JobExecution, StageExecution, StatusCounts
from tests.support import strategies as own_strategies

STATUSES = {status.value[0]: status for status in ExecutionStatus}
RANKS = {"PENDING": 0, "RUNNING": 1, "SUCCESS": 2, "FAILED": 2, "CANCELED": 2}


def child(letter):
    """A job whose status begins with this letter. With a lower-case letter, it is allowed to fail."""
    job = Job(name="job", script=("true",), allow_failure=letter.islower())
    return JobExecution(job=job, status=STATUSES[letter.upper()])


def rows():
    with Path(__file__).with_name("rollup.csv").open(newline="") as file:
        return [(row["children"], ExecutionStatus(row["expected"])) for row in csv.DictReader(file)]


class TestExecutionStatus:
    def test_every_status_says_in_one_sentence_what_it_is(self):
        """Each description is one sentence, and all are different."""
        descriptions = [status.description for status in ExecutionStatus]
        assert len(set(descriptions)) == len(descriptions)
        assert all(text[0].isupper() and text.endswith(".") and text.count(".") == 1 for text in descriptions)

    def test_terminal(self):
        """SUCCESS, FAILED and CANCELED are terminal."""
        terminal = {status.value for status in ExecutionStatus if status.is_terminal}
        assert terminal == {"SUCCESS", "FAILED", "CANCELED"}

    @pytest.mark.parametrize("status", ExecutionStatus)
    @pytest.mark.parametrize("other", ExecutionStatus)
    def test_a_status_only_moves_to_a_higher_rank(self, status, other):
        """A status can change exactly to statuses of a higher rank."""
        assert status.can_become(other) is (RANKS[status.value] < RANKS[other.value])


class TestRollUp:
    def test_the_table_is_whole(self):
        """The table has every combination of up to four children of ten kinds, each once."""
        children = [letters for letters, _ in rows()]
        assert len(children) == len(set(children)) == 1 + 10 + 55 + 220 + 715

    def test_every_combination_of_up_to_four_children(self):
        """A stage with these jobs has the expected status."""
        wrong = {
            letters: (expected, stage.status)
            for letters, expected in rows()
            if (stage := StageExecution(name="stage", jobs=tuple(map(child, letters)))).status is not expected
        }
        assert wrong == {}

    def test_the_order_of_children_does_not_matter(self):
        """All orders of three children have the same status."""
        triples = [(letters, expected) for letters, expected in rows() if len(letters) == 3]
        for letters, expected in triples:
            found = {StatusCounts.of(child(x).counted_status for x in order).status for order in permutations(letters)}
            assert found == {expected}

    def test_a_job_that_is_allowed_to_fail_keeps_its_own_status(self):
        """An allowed failure has the status FAILED, and counts as SUCCESS."""
        job = child("f")
        assert (job.status, job.counted_status) == (ExecutionStatus.FAILED, ExecutionStatus.SUCCESS)


class TestStatusCounts:
    @given(st.lists(st.lists(own_strategies.statuses())))
    def test_counts_of_parts_add_up_to_those_of_the_whole(self, parts):
        """The sum of the counts of all parts is the count of the whole."""
        whole = StatusCounts.of(status for part in parts for status in part)
        assert sum(map(StatusCounts.of, parts), StatusCounts()) == whole
        assert whole.total == sum(map(len, parts))

    @given(st.lists(own_strategies.statuses(), min_size=1), own_strategies.statuses(), st.data())
    def test_one_child_moved_equals_counting_again(self, statuses, now, data):
        """`moved` has the result of a new count, also if the status stays the same."""
        at = data.draw(st.integers(0, len(statuses) - 1))
        after = [*statuses[:at], now, *statuses[at + 1 :]]
        assert StatusCounts.of(statuses).moved(statuses[at], now) == StatusCounts.of(after)

    @given(st.lists(own_strategies.statuses(), min_size=1), st.data())
    def test_a_parent_never_falls_in_rank_while_its_children_only_rise(self, statuses, data):
        """While children change only to higher ranks, the rank of the parent never falls."""
        moves = data.draw(st.lists(st.tuples(st.integers(0, len(statuses) - 1), own_strategies.statuses())))

        def move(children, step):
            at, now = step
            return [*children[:at], now, *children[at + 1 :]] if children[at].can_become(now) else children

        ranks = [RANKS[StatusCounts.of(each).status] for each in accumulate(moves, move, initial=statuses)]
        assert ranks == sorted(ranks)
