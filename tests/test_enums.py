"""The statuses, and which may follow which."""

import copy
import itertools
import pickle

import pytest

from cicd_common import ExecutionStatus

PENDING, RUNNING, SUCCESS, FAILED, CANCELED = ExecutionStatus


class TestExecutionStatus:
    def test_has_the_values_of_the_contract(self) -> None:
        """There are five, written in upper case."""
        assert [status.value for status in ExecutionStatus] == ["PENDING", "RUNNING", "SUCCESS", "FAILED", "CANCELED"]

    @pytest.mark.parametrize("status", ExecutionStatus)
    def test_is_its_value(self, status: ExecutionStatus) -> None:
        """As a text, and by its value."""
        assert status.value == str(status) == f"{status}"
        assert status is ExecutionStatus(status.value)

    @pytest.mark.parametrize("status", ExecutionStatus)
    def test_says_what_it_means_in_one_sentence(self, status: ExecutionStatus) -> None:
        """Which no other says."""
        assert status.description[-1] == "."
        assert status.description.count(".") == 1
        assert [status] == [each for each in ExecutionStatus if each.description == status.description]

    def test_three_are_terminal(self) -> None:
        """Success, failure and canceling."""
        assert [status for status in ExecutionStatus if status.is_terminal] == [SUCCESS, FAILED, CANCELED]

    @pytest.mark.parametrize(("was", "now"), itertools.product(ExecutionStatus, repeat=2))
    def test_moves_to_a_higher_rank_only(self, was: ExecutionStatus, now: ExecutionStatus) -> None:
        """RUNNING may be skipped, and what is terminal stays."""
        allowed = {PENDING: [RUNNING, SUCCESS, FAILED, CANCELED], RUNNING: [SUCCESS, FAILED, CANCELED]}

        assert (now in allowed.get(was, [])) is was.can_become(now)

    @pytest.mark.parametrize("status", ExecutionStatus)
    def test_stays_itself(self, status: ExecutionStatus) -> None:
        """When it is copied and pickled."""
        assert status is copy.deepcopy(status)
        assert status is pickle.loads(pickle.dumps(status))
