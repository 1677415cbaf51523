"""Claims, fencing, releases and lost jobs, by named cases and with random histories."""

from datetime import timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicd_common import ContractError
from cicd_common.api.request import JobStatusUpdate
from cicd_common.enums import EndReason
from cicd_common.errors import UnknownJobError
from cicd_common.model import JobExecution, PipelineExecution, UpdateOutcome
from cicd_common.model.job_execution import JobState
from cicd_common.model.update import is_superseded, join
from cicd_common.testing import strategies
from tests.support.moves import CANCELED, FAILED, MOMENT, PENDING, RUNNING, SUCCESS, named, pipeline, update

APPLIED, LATE, CONFLICT, SUPERSEDED = UpdateOutcome
LATER = MOMENT + timedelta(hours=1)


@pytest.fixture
def handed_out():
    """A run of two stages. Its first job was handed out."""
    return PipelineExecution.of(pipeline(["a"], ["b"]), run_number=1).hand_out(MOMENT)[0]


@pytest.fixture
def claimed(handed_out):
    """The run after a Worker has claimed the job."""
    return handed_out.apply(update(handed_out, "a", 1, RUNNING, worker="one"))[0]


def lose(execution, losses=1, **options):
    return execution.lose(named(execution, "a").id, LATER, losses=losses, **options)


class TestClaims:
    def test_the_first_update_claims_the_attempt(self, handed_out, claimed):
        """The Worker of the first update has claimed the job."""
        assert (named(handed_out, "a").worker, named(claimed, "a").worker) == (None, "one")

    @pytest.mark.parametrize("fields", [{"worker": "two"}, {"worker": "one", "attempt": 2}])
    def test_another_worker_or_another_attempt_is_superseded(self, claimed, fields):
        """An update of another Worker or attempt is SUPERSEDED and changes nothing, with any status and sequence."""
        for status in (PENDING, RUNNING, SUCCESS, FAILED, CANCELED):
            for sequence in (1, 2):
                after, outcome = claimed.apply(update(claimed, "a", sequence, status, **fields))
                assert (after is claimed, outcome) == (True, SUPERSEDED)

    def test_the_end_of_a_job_that_nobody_claimed_is_nobodys(self, handed_out):
        """An update of a job that was canceled without a claim is SUPERSEDED, also with the status CANCELED."""
        canceled, _ = handed_out.cancel(MOMENT)
        for status in (RUNNING, CANCELED):
            after, outcome = canceled.apply(update(canceled, "b", 1, status))
            assert (after is canceled, outcome) == (True, SUPERSEDED)

    def test_a_repeat_of_the_end_by_its_worker_is_late(self, claimed):
        """A repeated terminal update of the same Worker is LATE, and changes nothing."""
        end = update(claimed, "a", 2, SUCCESS, worker="one")
        ended, first = claimed.apply(end)
        again, second = ended.apply(end)
        assert (first, second, again is ended) == (APPLIED, LATE, True)

    def test_the_first_end_stands(self, claimed):
        """A second terminal update with another status is a CONFLICT, and the first reason is kept."""
        ended, _ = claimed.apply(update(claimed, "a", 2, FAILED, worker="one", reason=EndReason.TIMED_OUT))
        after, outcome = ended.apply(update(ended, "a", 3, SUCCESS, worker="one", reason=EndReason.EXITED))
        assert (after is ended, outcome, named(after, "a").reason) == (True, CONFLICT, EndReason.TIMED_OUT)


class TestReleases:
    def test_a_released_job_is_in_its_next_attempt_and_unclaimed(self, claimed):
        """A released job is in its next attempt, has no Worker, and keeps its status and its start time."""
        released, outcome = claimed.apply(update(claimed, "a", 2, RUNNING, 5, worker="one", is_released=True))
        job = named(released, "a")
        assert outcome is APPLIED
        assert (job.attempt, job.worker, job.status, job.last_sequence) == (2, None, RUNNING, 2)
        assert job.start_time == named(claimed, "a").start_time
        assert released.ready_jobs() == ()

    def test_a_release_that_comes_twice_is_superseded(self, claimed):
        """A repeated release is SUPERSEDED, because the job is in its next attempt."""
        release = update(claimed, "a", 2, RUNNING, worker="one", is_released=True)
        released, _ = claimed.apply(release)
        assert released.apply(release) == (released, SUPERSEDED)

    def test_the_next_attempt_goes_on_behind_what_is_stored(self, claimed):
        """Another Worker continues a released job with the next sequence."""
        released, _ = claimed.apply(update(claimed, "a", 2, RUNNING, worker="one", is_released=True))
        told = {"worker": "two", "attempt": 2}
        running, outcome = released.apply(update(released, "a", 3, RUNNING, **told))
        ended, last = running.apply(update(running, "a", 4, SUCCESS, **told))
        assert (outcome, last, named(ended, "a").status) == (APPLIED, APPLIED, SUCCESS)

    def test_an_old_release_is_late(self, claimed):
        """A release that arrives after a newer update is LATE, and the Worker keeps the job."""
        ended, _ = claimed.apply(update(claimed, "a", 3, RUNNING, worker="one"))
        after, outcome = ended.apply(update(ended, "a", 2, RUNNING, worker="one", is_released=True))
        assert (outcome, named(after, "a").attempt) == (LATE, 1)


class TestLost:
    @pytest.mark.parametrize("losses", [1, 2])
    def test_a_claimed_job_is_handed_out_again(self, claimed, losses):
        """A lost job is in its next attempt without a Worker, and updates of the lost Worker are SUPERSEDED."""
        after, job = lose(claimed, losses)
        assert (job.attempt, job.worker, job.status) == (2, None, RUNNING)
        assert after.apply(update(after, "a", 2, SUCCESS, worker="one")) == (after, SUPERSEDED)

    def test_a_job_that_is_lost_too_often_fails(self, claimed):
        """A job that is lost too often fails, and the run cancels its other jobs."""
        after, job = lose(claimed, 3)
        assert (job.status, job.reason, job.completion_time) == (FAILED, EndReason.WORKER_LOST, LATER)
        assert (named(after, "b").status, named(after, "b").reason) == (CANCELED, EndReason.SKIPPED)
        assert after.apply(update(after, "a", 2, FAILED, worker="one")) == (after, SUPERSEDED)
        assert lose(claimed, 1, max_losses=1)[1].status is FAILED

    def test_a_lost_job_of_a_canceled_run_ends(self, claimed):
        """A lost job of a canceled run ends as CANCELED after the first loss."""
        canceled, to_stop = claimed.cancel(MOMENT)
        after, job = lose(canceled)
        assert [each.id for each in to_stop] == [job.id]
        assert (job.status, job.reason, job.completion_time) == (CANCELED, EndReason.WORKER_LOST, LATER)
        assert after.status is CANCELED

    def test_a_job_that_nobody_claimed_stays_as_it_is(self, handed_out):
        """`lose` does not change a job that no Worker has claimed."""
        after, job = lose(handed_out)
        assert (after is handed_out, job.attempt) == (True, 1)

    def test_a_job_that_nobody_claimed_in_a_canceled_run_is_skipped(self, handed_out):
        """An unclaimed job of a canceled run ends as SKIPPED, without times."""
        after, job = lose(handed_out.cancel(MOMENT)[0])
        assert (job.status, job.reason, job.completion_time) == (CANCELED, EndReason.SKIPPED, None)
        assert (after.status, after.completion_time) == (CANCELED, MOMENT)

    def test_an_unclaimed_attempt_of_a_job_that_ran_before_ends_as_lost(self, claimed):
        """An unclaimed job that ran in an earlier attempt ends as WORKER_LOST in a canceled run."""
        job = lose(lose(claimed)[0].cancel(MOMENT)[0])[1]
        assert (job.status, job.reason) == (CANCELED, EndReason.WORKER_LOST)

    def test_a_job_that_waits_or_has_ended_stays_as_it_is(self, claimed):
        """`lose` does not change a job that waits or has ended."""
        ended, _ = claimed.apply(update(claimed, "a", 2, SUCCESS, worker="one"))
        assert lose(ended) == (ended, named(ended, "a"))
        waiting = named(claimed, "b")
        assert claimed.lose(waiting.id, LATER, losses=1) == (claimed, waiting)

    def test_bad_arguments_are_refused(self, claimed):
        """`lose` refuses a job of another run and a time without an offset."""
        with pytest.raises(UnknownJobError):
            claimed.lose(claimed.id, LATER, losses=1)
        with pytest.raises(ContractError, match="/at"):
            claimed.lose(named(claimed, "a").id, LATER.replace(tzinfo=None), losses=1)


class TestTwoAttempts:
    @given(st.data(), strategies.job_histories(), strategies.job_histories())
    def test_only_the_newer_attempt_is_stored(self, data, first, second):
        """If a lost Worker and its successor both send updates, in any order, only those of the successor count."""
        [job] = PipelineExecution.of(pipeline(["a"]), run_number=1).hand_out(MOMENT)[1]
        prefix = [attrs.evolve(each, job_execution_id=job.id) for each in first]
        told = data.draw(st.integers(1, len(prefix)))
        lost = job
        for each in prefix[: told - 1]:
            lost, _ = join(lost, each)
        if lost.status.is_terminal or lost.worker is None:
            return
        again = attrs.evolve(lost, attempt=2, worker=None)
        newer = [
            attrs.evolve(
                each, job_execution_id=job.id, attempt=2, worker="two", sequence=each.sequence + again.last_sequence
            )
            for each in second
            if not each.status.can_become(lost.status)
        ]
        alone = again
        for each in newer:
            alone, _ = join(alone, each)
        mixed = again
        for each in data.draw(st.permutations([*prefix, *newer])):
            mixed, outcome = join(mixed, each)
            assert (outcome is SUPERSEDED) == (each.worker == "worker")
        assert mixed == alone

    @given(strategies.from_type(JobExecution), strategies.from_type(JobStatusUpdate))
    def test_a_row_of_a_database_moves_like_a_model(self, job, told):
        """`JobState` has the fields of a `JobExecution` that change, and `join` changes both alike."""
        names = [field.name for field in attrs.fields(JobState)]
        row = JobState(**{name: getattr(job, name) for name in names})
        moved, outcome = join(job, told)
        moved_row, outcome_of_row = join(row, told)
        assert {name: getattr(moved, name) for name in names} == attrs.asdict(moved_row)
        assert outcome is outcome_of_row
        assert is_superseded(job, told) == is_superseded(row, told) == (outcome is SUPERSEDED)
