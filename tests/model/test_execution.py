"""State changes of executions, by named cases. `test_moves` tests random sequences."""

from datetime import datetime, timedelta
from itertools import permutations
from uuid import uuid4

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicd_common import ContractError
from cicd_common.errors import UnknownJobError
from cicd_common.model import Job, JobExecution, Pipeline, PipelineExecution, Stage, StageExecution, UpdateOutcome
from cicd_common.testing import strategies
from cicd_common.values import Environment
from tests.support.moves import (
    CANCELED,
    FAILED,
    MOMENT,
    PENDING,
    RUNNING,
    SUCCESS,
    job,
    jobs_of,
    moved,
    named,
    pipeline,
    update,
)

APPLIED, LATE, CONFLICT, SUPERSEDED = UpdateOutcome


def names(jobs):
    return [each.job.name for each in jobs]


def after(execution, *updates):
    """The execution after updates, and the outcome of each update."""
    outcomes = []
    for each in updates:
        execution, outcome = execution.apply(each)
        outcomes.append(outcome)
    return execution, outcomes


@pytest.fixture
def execution():
    """A run with one job, which was handed out."""
    return PipelineExecution.of(pipeline(["only"]), run_number=1).hand_out(MOMENT)[0]


class TestNewExecution:
    def test_every_job_is_pending(self):
        """All jobs of a new execution are PENDING, without times."""
        execution = PipelineExecution.of(pipeline(["a", "b"], ["c"]), run_number=7)
        assert {(run.status, run.queued_at, run.start_time, run.last_sequence) for run in jobs_of(execution)} == {
            (PENDING, None, None, 0)
        }
        assert (execution.status, execution.run_number, execution.is_local) == (PENDING, 7, False)

    def test_the_commit_is_that_of_the_pipeline_unless_another_is_given(self):
        """The commit of a run is the given one, or that of the pipeline."""
        definition = attrs.evolve(pipeline(["a"]), commit_hash="c0ffee")
        assert PipelineExecution.of(definition, run_number=1).commit_hash == "c0ffee"
        assert PipelineExecution.of(definition, run_number=1, commit_hash="beef").commit_hash == "beef"

    def test_its_id_may_be_given(self):
        """The id of an execution can be given."""
        chosen = uuid4()
        assert PipelineExecution.of(pipeline(["a"]), run_number=1, id=chosen).id == chosen

    def test_an_environment_that_no_request_could_hold_is_refused(self):
        """The variables of pipeline, job and run must fit into one environment together."""
        half, others = Environment({"A": "x" * 40_000}), Environment({"B": "x" * 40_000})
        stages = (Stage(name="only", jobs=tuple(Job(name=name, script=("x",)) for name in "ab")),)
        pipeline = Pipeline(name="p", repo_url="", environment=half, stages=stages)
        wide = attrs.evolve(stages[0], jobs=(stages[0].jobs[0], attrs.evolve(stages[0].jobs[1], environment=others)))

        assert PipelineExecution.of(pipeline, run_number=1, environment=half).environment == half
        with pytest.raises(ContractError) as caught:
            PipelineExecution.of(attrs.evolve(pipeline, stages=(wide,)), run_number=1)
        assert [problem.pointer for problem in caught.value.problems] == ["/pipeline/stages/0/jobs/1/environment"]
        with pytest.raises(ContractError, match="expected at most 65,536 bytes together with the variables of"):
            PipelineExecution.of(pipeline, run_number=1, environment=others)

    def test_the_run_number_is_checked(self):
        """A run number below 1 is refused."""
        with pytest.raises(ContractError, match="run_number"):
            PipelineExecution.of(pipeline(["a"]), run_number=0)


class TestApply:
    @pytest.mark.parametrize(
        ("updates", "outcomes", "status"),
        [
            ([(1, RUNNING), (2, SUCCESS)], [APPLIED, APPLIED], SUCCESS),
            ([(1, FAILED)], [APPLIED], FAILED),
            ([(2, SUCCESS), (1, RUNNING)], [APPLIED, LATE], SUCCESS),
            ([(1, RUNNING), (1, RUNNING)], [APPLIED, LATE], RUNNING),
            ([(1, RUNNING), (2, RUNNING)], [APPLIED, APPLIED], RUNNING),
            ([(1, RUNNING), (2, PENDING)], [APPLIED, LATE], RUNNING),
            ([(1, SUCCESS), (2, RUNNING)], [APPLIED, LATE], SUCCESS),
            ([(1, SUCCESS), (2, FAILED)], [APPLIED, CONFLICT], SUCCESS),
            ([(2, CANCELED), (1, SUCCESS)], [APPLIED, CONFLICT], CANCELED),
            ([(1, PENDING), (2, RUNNING)], [APPLIED, APPLIED], RUNNING),
            ([(5, RUNNING), (3, SUCCESS)], [APPLIED, LATE], RUNNING),
        ],
    )
    def test_outcomes(self, execution, updates, outcomes, status):
        """Each update has its outcome, and the run has the expected status at the end."""
        execution, found = after(execution, *(update(execution, "only", *each) for each in updates))
        assert (found, execution.status) == (outcomes, status)

    def test_a_conflict_changes_nothing(self, execution):
        """A second end with another status is a conflict, and returns the same execution."""
        ended, _ = after(execution, update(execution, "only", 1, SUCCESS, exit_code=0))
        same, outcome = ended.apply(update(execution, "only", 9, FAILED, 5, exit_code=1))
        assert (same is ended, outcome) == (True, CONFLICT)

    def test_a_late_start_is_filled_in(self, execution):
        """A RUNNING update that arrives after the terminal update sets the start time."""
        execution, _ = after(
            execution, update(execution, "only", 2, SUCCESS, 9, exit_code=0), update(execution, "only", 1, RUNNING, 4)
        )
        run = named(execution, "only")
        assert (run.start_time, run.completion_time) == (MOMENT + timedelta(seconds=4), MOMENT + timedelta(seconds=9))
        assert (run.exit_code, run.last_sequence) == (0, 2)
        assert (execution.start_time, execution.completion_time) == (run.start_time, run.completion_time)

    def test_the_start_is_the_earliest_running_update(self, execution):
        """The start time is the earliest time of a RUNNING update, in any order of arrival."""
        execution, _ = after(
            execution, update(execution, "only", 2, RUNNING, 6), update(execution, "only", 1, RUNNING, 3)
        )
        assert execution.start_time == MOMENT + timedelta(seconds=3)

    def test_of_two_updates_that_tell_of_the_end_the_later_time_and_the_first_exit_code_stand(self, execution):
        """Two terminal updates have the same result in any order: a Worker may send more output after the end."""
        first = update(execution, "only", 1, SUCCESS, 9, exit_code=0)
        second = update(execution, "only", 2, SUCCESS, 5)
        for order in ((first, second), (second, first)):
            ended, _ = after(execution, *order)
            run = named(ended, "only")
            assert (run.completion_time, run.exit_code) == (MOMENT + timedelta(seconds=9), 0)
        ended, _ = after(execution, first, update(execution, "only", 2, SUCCESS, 9, exit_code=3))
        assert named(ended, "only").exit_code == 0

    def test_an_older_end_than_what_is_known_does_not_end_it(self, execution):
        """A terminal update with a lower sequence than a RUNNING update does not end the job."""
        execution, _ = after(
            execution, update(execution, "only", 5, RUNNING, 5), update(execution, "only", 3, SUCCESS, 3, exit_code=0)
        )
        run = named(execution, "only")
        assert (run.status, run.completion_time, run.exit_code) == (RUNNING, None, None)

    def test_an_older_start_does_not_start_what_is_pending(self, execution):
        """A RUNNING update with a lower sequence than a PENDING update does not start the job."""
        execution, _ = after(execution, update(execution, "only", 5, PENDING), update(execution, "only", 3, RUNNING))
        assert (execution.status, execution.start_time) == (PENDING, None)

    def test_a_job_of_another_run_is_an_error_of_its_own(self, execution):
        """An update of an unknown job raises an UnknownJobError that names the run and the job."""
        other = PipelineExecution.of(pipeline(["only"]), run_number=1)
        stray = update(other, "only", 1, RUNNING)
        with pytest.raises(UnknownJobError) as caught:
            execution.apply(stray)
        assert str(execution.id) in str(caught.value)
        assert str(stray.job_execution_id) in str(caught.value)
        [problem] = caught.value.problems
        assert (caught.value.type, problem.pointer, problem.code) == (PipelineExecution, "/job_execution_id", "value")

    def test_all_720_orders_of_six_updates_with_repeats_end_in_the_same_run(self, execution):
        """All orders of six updates, each repeated, lead to the same run."""
        history = [
            update(execution, "only", 1, PENDING, 0, logs="a"),
            update(execution, "only", 2, RUNNING, 1, logs="b"),
            update(execution, "only", 3, RUNNING, 2, logs="c"),
            update(execution, "only", 4, RUNNING, 3, logs="d"),
            update(execution, "only", 5, RUNNING, 4, logs="e"),
            update(execution, "only", 6, FAILED, 5, logs="f", exit_code=2),
        ]
        ends = {after(execution, *order, *order[::2], *order[1::2])[0] for order in permutations(history)}
        assert len(ends) == 1
        run = named(ends.pop(), "only")
        assert (run.status, run.exit_code, run.last_sequence) == (FAILED, 2, 6)
        assert (run.start_time, run.completion_time) == (MOMENT + timedelta(seconds=1), MOMENT + timedelta(seconds=5))

    @given(st.data())
    def test_any_order_of_a_history_with_repeats_ends_in_the_same_run(self, data):
        """Any order of a generated history, with repeats, leads to the same run."""
        execution = PipelineExecution.of(pipeline(["only"]), run_number=1).hand_out(MOMENT)[0]
        history = data.draw(strategies.job_histories(named(execution, "only").id))
        order = data.draw(st.permutations(history + data.draw(st.lists(st.sampled_from(history)))))
        assert after(execution, *order)[0] == after(execution, *history)[0]


class TestHalting:
    def test_a_failure_cancels_all_that_was_not_handed_out(self):
        """A failure cancels the jobs that were not handed out, without times. The other jobs run to their end."""
        execution = PipelineExecution.of(pipeline(["a", "b", job("c", "a")], ["d"]), run_number=1)
        execution = moved(execution, "a", FAILED)
        assert [run.status for run in jobs_of(execution)] == [FAILED, PENDING, CANCELED, CANCELED]
        assert {(run.queued_at, run.completion_time) for run in jobs_of(execution)[2:]} == {(None, None)}
        assert execution.ready_jobs() == ()
        assert execution.status is RUNNING
        execution, _ = after(execution, update(execution, "b", 1, SUCCESS, 9))
        assert (execution.status, execution.completion_time) == (FAILED, MOMENT + timedelta(seconds=9))

    def test_ten_thousand_jobs_are_canceled_at_once(self):
        """A failure cancels 10,000 jobs without reaching the recursion limit."""
        execution = PipelineExecution.of(pipeline(["a", *(job(f"b{at}", "a") for at in range(10_000))]), run_number=1)
        execution = moved(execution, "a", FAILED)
        assert execution.explain().canceled == 10_000
        assert execution.status is FAILED

    def test_a_failure_that_is_allowed_halts_nothing(self):
        """After an allowed failure, jobs that depend on the failed job are ready."""
        execution = PipelineExecution.of(pipeline([job("a", allow_failure=True), job("b", "a")], ["c"]), run_number=1)
        execution = moved(execution, "a", FAILED)
        assert names(execution.ready_jobs()) == ["b"]

    def test_a_job_that_its_worker_canceled_halts_the_run(self):
        """A run is CANCELED if a Worker reports a job as CANCELED, because jobs after it can never start."""
        execution = moved(PipelineExecution.of(pipeline(["a"], ["b"]), run_number=1), "a", CANCELED)
        assert (execution.status, names(jobs_of(execution)[1:])) == (CANCELED, ["b"])


class TestHandOut:
    def test_stages_and_dependencies_are_waited_for(self):
        """Jobs are ready when their dependencies and the stages before them have succeeded."""
        execution = PipelineExecution.of(pipeline([job("b", "a"), "a"], [job("c", "b"), "d"]), run_number=1)
        seen = []
        while not execution.status.is_terminal:
            seen.append(names(execution.ready_jobs()))
            execution, jobs = execution.hand_out(MOMENT)
            for each in jobs:
                execution, _ = execution.apply(update(execution, each.job.name, 1, SUCCESS))
        assert seen == [["a"], ["b"], ["c", "d"]]
        assert execution.status is SUCCESS

    def test_it_marks_the_jobs(self):
        """`hand_out` sets the time of the jobs in the execution and in its result."""
        execution, jobs = PipelineExecution.of(pipeline(["a", "b"]), run_number=1).hand_out(MOMENT)
        assert [each.queued_at for each in jobs] == [MOMENT, MOMENT]
        assert list(jobs) == jobs_of(execution)

    def test_nothing_is_handed_out_twice(self, execution):
        """A second `hand_out` returns no jobs and the same execution."""
        same, jobs = execution.hand_out(MOMENT)
        assert (same is execution, jobs) == (True, ())

    def test_a_job_that_reported_before_it_was_handed_out_is_not_ready(self):
        """A job with an update is not ready, even if it was not handed out."""
        execution = PipelineExecution.of(pipeline(["a", "b"]), run_number=1)
        execution, _ = after(execution, update(execution, "a", 1, RUNNING))
        assert names(execution.ready_jobs()) == ["b"]

    @pytest.mark.parametrize("move", [PipelineExecution.hand_out, PipelineExecution.cancel])
    def test_a_naive_time_is_refused(self, move):
        """`hand_out` and `cancel` refuse a time without an offset."""
        with pytest.raises(ContractError, match="PipelineExecution: /at: expected a time with an offset"):
            move(PipelineExecution.of(pipeline(["a"]), run_number=1), datetime(2026, 1, 31))


class TestCancel:
    def test_what_was_not_handed_out_is_canceled_and_the_rest_is_named(self):
        """`cancel` cancels the jobs that were not handed out, and returns the others, whose Workers must stop them."""
        execution, _ = PipelineExecution.of(pipeline(["a", "b"], ["c"]), run_number=1).hand_out(MOMENT)
        execution, _ = after(execution, update(execution, "a", 1, SUCCESS))
        execution, to_stop = execution.cancel(MOMENT)
        assert names(to_stop) == ["b"]
        assert [run.status for run in jobs_of(execution)] == [SUCCESS, PENDING, CANCELED]
        assert (execution.status, execution.canceled_at) == (RUNNING, MOMENT)
        execution, _ = after(execution, update(execution, "b", 1, CANCELED, 3))
        assert (execution.status, execution.completion_time) == (CANCELED, MOMENT + timedelta(seconds=3))

    def test_a_run_of_which_nothing_ran_completes_when_it_was_canceled(self):
        """A run that is canceled before its first job has a completion time and no start time."""
        execution, to_stop = PipelineExecution.of(pipeline(["a"], ["b"]), run_number=1).cancel(MOMENT)
        assert (to_stop, execution.status) == ((), CANCELED)
        assert (execution.start_time, execution.completion_time, execution.duration) == (None, MOMENT, None)
        assert execution.stages[0].completion_time is None

    def test_asked_again_the_first_time_stands(self, execution):
        """A second `cancel` changes nothing, and returns the same jobs to stop."""
        once, _ = execution.cancel(MOMENT)
        twice, to_stop = once.cancel(MOMENT + timedelta(seconds=5))
        assert (twice is once, names(to_stop)) == (True, ["only"])

    def test_too_late_it_changes_nothing(self, execution):
        """`cancel` does not change a run that has ended."""
        ended, _ = after(execution, update(execution, "only", 1, SUCCESS))
        assert ended.cancel(MOMENT) == (ended, ())

    def test_the_time_is_stored_in_utc(self, execution):
        """`cancel` stores its time in UTC."""
        canceled, _ = execution.cancel(datetime.fromisoformat("2026-01-31T14:00:00+02:00"))
        assert canceled.canceled_at == MOMENT
        assert canceled.canceled_at.utcoffset() == timedelta(0)


class TestLoaded:
    """Executions that are constructed from fields, as from a database."""

    @staticmethod
    def loaded(status, **fields):
        """A run with two stages. Job a has the given status, and b and c wait."""
        execution, _ = PipelineExecution.of(pipeline(["a", "b"], ["c"]), run_number=1).hand_out(MOMENT)
        first, second = execution.stages
        jobs = (attrs.evolve(first.jobs[0], status=status), attrs.evolve(first.jobs[1], queued_at=None))
        return attrs.evolve(execution, stages=(attrs.evolve(first, jobs=jobs), second), **fields)

    @pytest.mark.parametrize("status", [FAILED, CANCELED])
    def test_nothing_is_ready_after_a_job_failed_or_was_canceled(self, status):
        """After a FAILED or CANCELED job no waiting job is ready; after SUCCESS it is."""
        assert self.loaded(status).ready_jobs() == ()
        assert names(self.loaded(SUCCESS).ready_jobs()) == ["b"]

    def test_nothing_is_ready_after_canceling_was_asked_for(self):
        """No job is ready in a canceled run, also after other jobs have succeeded."""
        execution = self.loaded(RUNNING, canceled_at=MOMENT)
        assert execution.ready_jobs() == ()
        execution, _ = after(execution, update(execution, "a", 1, SUCCESS), update(execution, "b", 1, SUCCESS))
        assert (execution.stages[0].status, execution.ready_jobs()) == (SUCCESS, ())


class TestTimes:
    def test_a_parent_spans_its_children(self):
        """Run and stage span the earliest start to the latest end of their jobs, in any order of updates."""
        execution, _ = PipelineExecution.of(pipeline(["a", "b", "c"]), run_number=1).hand_out(MOMENT)
        told = [
            *(update(execution, "a", 1, RUNNING, 3), update(execution, "a", 2, SUCCESS, 5)),
            *(update(execution, "b", 1, RUNNING, 1), update(execution, "b", 2, SUCCESS, 9)),
            *(update(execution, "c", 1, RUNNING, 2), update(execution, "c", 2, SUCCESS, 4)),
        ]
        for order in (told, told[::-1], told[2:] + told[:2]):
            ended, _ = after(execution, *order)
            for parent in (ended, ended.stages[0]):
                assert parent.start_time == MOMENT + timedelta(seconds=1)
                assert parent.completion_time == MOMENT + timedelta(seconds=9)

    def test_durations(self, execution):
        """A job has a queue time, and job, stage and run have a duration."""
        execution, _ = after(
            execution, update(execution, "only", 1, RUNNING, 2), update(execution, "only", 2, SUCCESS, 5)
        )
        run = named(execution, "only")
        assert run.queue_time == timedelta(seconds=2)
        assert run.duration == execution.stages[0].duration == execution.duration == timedelta(seconds=3)

    def test_what_is_not_known_is_none(self, execution):
        """The queue time is None before the start, and durations are None before the end."""
        assert (named(execution, "only").queue_time, execution.duration) == (None, None)
        running, _ = after(execution, update(execution, "only", 1, RUNNING, 2))
        assert (running.duration, running.stages[0].duration, named(running, "only").duration) == (None, None, None)

    def test_a_stage_without_jobs_has_ended_and_never_ran(self):
        """A StageExecution without jobs is SUCCESS, without times."""
        stage = StageExecution(name="empty", jobs=())
        assert (stage.status, stage.start_time, stage.completion_time) == (SUCCESS, None, None)


class TestValue:
    def test_what_did_not_change_is_shared(self):
        """After an update, the other stages and the pipeline are the same objects."""
        before, _ = PipelineExecution.of(pipeline(["a"], ["b"]), run_number=1).hand_out(MOMENT)
        after_it, _ = after(before, update(before, "a", 1, RUNNING))
        assert after_it.stages[1] is before.stages[1]
        assert after_it.pipeline is before.pipeline
        assert before.status is PENDING

    @given(strategies.executions())
    def test_a_moved_execution_equals_one_made_of_its_fields(self, execution):
        """An execution after updates equals an execution constructed from the same fields."""
        made = attrs.evolve(execution)
        assert (made, hash(made), repr(made)) == (execution, hash(execution), repr(execution))

    def test_jobs_by_id(self, execution):
        """A job and its stage are found by the id of the job. An unknown id is an error."""
        run = named(execution, "only")
        assert execution.job(run.id) is run
        assert execution.stage_of(run.id) is execution.stages[0]
        for question in (execution.job, execution.stage_of):
            with pytest.raises(UnknownJobError):
                question(uuid4())


class TestRefusals:
    @staticmethod
    def problems(**changes):
        execution = PipelineExecution.of(pipeline(["a", "b"], ["c"]), run_number=1)
        with pytest.raises(ContractError) as caught:
            attrs.evolve(execution, **{name: change(execution) for name, change in changes.items()})
        assert caught.value.type is PipelineExecution
        assert {problem.code for problem in caught.value.problems} == {"value"}
        return [(problem.pointer, problem.message) for problem in caught.value.problems]

    def test_fewer_stages_than_the_pipeline(self):
        """An execution with fewer stages than its pipeline is refused."""
        found = self.problems(stages=lambda execution: execution.stages[:1])
        assert found == [("/stages", "expected the stages of the pipeline, one for one")]

    def test_stages_of_other_names_or_jobs(self):
        """Other names of stages and other jobs than those of the pipeline are refused together."""
        found = self.problems(
            stages=lambda execution: (
                attrs.evolve(execution.stages[0], jobs=execution.stages[0].jobs[::-1]),
                attrs.evolve(execution.stages[1], name="other"),
            )
        )
        assert found == [
            ("/stages/0/jobs", "expected the jobs of the pipeline's stage stage 0"),
            ("/stages/1/name", "expected the name of the pipeline's stage, stage 1"),
        ]

    def test_fewer_jobs_than_the_stage(self):
        """A stage with fewer jobs than in the pipeline is refused."""
        found = self.problems(
            stages=lambda execution: (
                attrs.evolve(execution.stages[0], jobs=execution.stages[0].jobs[:1]),
                execution.stages[1],
            )
        )
        assert found == [("/stages/0/jobs", "expected the jobs of the pipeline's stage stage 0")]

    def test_ids_that_are_shared(self):
        """Two stages or two jobs with one id are refused."""

        def stages(execution):
            first, second = execution.stages
            run = JobExecution(id=first.jobs[0].id, job=second.jobs[0].job)
            return first, StageExecution(id=first.id, name=second.name, jobs=(run,))

        assert self.problems(stages=stages) == [
            ("/stages/1/id", "expected an id that no other stage has"),
            ("/stages/1/jobs/0/id", "expected an id that no other job execution has"),
        ]
