"""A state machine that plays Backend, network and Workers on random pipelines."""

from collections import Counter

import attrs
import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.enums import EndReason
from cicd_common.model import PipelineExecution, UpdateOutcome
from cicd_common.testing import strategies
from tests.support import strategies as own_strategies
from tests.support.moves import MOMENT, jobs_of, naive_counts, naive_ready, state_of

pytestmark = pytest.mark.no_cover

SUCCESS, FAILED, CANCELED = ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELED


class System(RuleBasedStateMachine):
    """Hands out ready jobs and sends the updates of Workers, which the network delays, repeats and reorders."""

    @initialize(pipeline=strategies.pipelines())
    def start(self, pipeline):
        self.execution = PipelineExecution.of(pipeline, run_number=1)
        self.before = self.execution
        self.handed_out = set()
        self.to_send = {}  # By job: the updates that its Worker has not sent yet.
        self.owners = {}  # By job: the last attempt, and the Worker that has claimed it.
        self.losses = Counter()
        self.under_way = []
        self.delivered = []

    @precondition(lambda self: self.execution.ready_jobs())
    @rule(data=st.data())
    def hand_out(self, data):
        expected = naive_ready(self.execution)
        self.execution, jobs = self.execution.hand_out(MOMENT)
        assert [job.id for job in jobs] == [job.id for job in expected]
        assert not self.handed_out & {job.id for job in jobs}
        assert self.execution.ready_jobs() == ()
        for job in jobs:
            self.handed_out.add(job.id)
            self.owners[job.id] = (1, None)
            self.to_send[job.id] = data.draw(strategies.job_histories(job.id))

    @precondition(lambda self: any(self.to_send.values()))
    @rule(data=st.data())
    def send(self, data):
        job_id = data.draw(st.sampled_from([key for key, updates in self.to_send.items() if updates]))
        self.under_way.append(self.to_send[job_id].pop(0))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), keeps=st.booleans())
    def deliver(self, data, keeps):
        at = data.draw(st.integers(0, len(self.under_way) - 1))
        self.apply(self.under_way[at] if keeps else self.under_way.pop(at))

    @precondition(lambda self: self.delivered)
    @rule(data=st.data())
    def repeat(self, data):
        update = data.draw(st.sampled_from(self.delivered))
        execution, outcome = self.execution.apply(update)
        assert execution is self.execution
        assert outcome in (UpdateOutcome.LATE, UpdateOutcome.SUPERSEDED)
        assert (outcome is UpdateOutcome.SUPERSEDED) == self.is_fenced(update)

    @precondition(lambda self: self.handed_out)
    @rule(data=st.data())
    def lose(self, data):
        """A lease ends: the next Worker continues, and later updates of the lost Worker are superseded."""
        job_id = data.draw(st.sampled_from(sorted(self.handed_out)))
        before = self.execution.job(job_id)
        attempt, owner = self.owners[job_id]
        if not before.status.is_terminal and owner is not None:
            self.losses[job_id] += 1
        self.execution, job = self.execution.lose(job_id, MOMENT, losses=self.losses[job_id])
        if before.status.is_terminal:
            assert job is before
        elif self.execution.canceled_at is not None:
            assert job.status is CANCELED
            never_ran = owner is None and before.start_time is None
            assert job.reason is (EndReason.SKIPPED if never_ran else EndReason.WORKER_LOST)
            self.end(job_id)
        elif owner is None:
            assert job is before
        elif self.losses[job_id] == 3:
            assert (job.status, job.reason) == (FAILED, EndReason.WORKER_LOST)
            self.end(job_id)
        else:
            assert job == attrs.evolve(before, attempt=attempt + 1, worker=None)
            self.go_on(data, job)

    @precondition(lambda self: self.owners)
    @rule(data=st.data())
    def release(self, data):
        """A Worker ends and releases a job, after all its updates have arrived."""
        running = [
            job
            for job in jobs_of(self.execution)
            if job.id in self.owners
            and job.status is ExecutionStatus.RUNNING
            and self.owners[job.id] == (job.attempt, job.worker)
            and job.worker is not None
            and not any(update.job_execution_id == job.id for update in self.under_way)
        ]
        if not running:
            return
        job = data.draw(st.sampled_from(running))
        self.execution, outcome = self.execution.apply(
            JobStatusUpdate(
                job_execution_id=job.id,
                sequence=job.last_sequence + 1,
                status=ExecutionStatus.RUNNING,
                occurred_at=MOMENT,
                attempt=job.attempt,
                worker=job.worker,
                is_released=True,
            )
        )
        assert outcome is UpdateOutcome.APPLIED
        after = self.execution.job(job.id)
        assert (after.attempt, after.worker, after.status) == (job.attempt + 1, None, job.status)
        self.go_on(data, after)

    def go_on(self, data, job):
        """Another Worker continues the job in its next attempt, with the sequences after the last one."""
        self.owners[job.id] = (job.attempt, None)
        self.to_send[job.id] = [
            attrs.evolve(
                update,
                attempt=job.attempt,
                worker=f"worker {job.attempt}",
                sequence=update.sequence + job.last_sequence,
            )
            for update in data.draw(strategies.job_histories(job.id))
            # A job that has started is never PENDING again.
            if not update.status.can_become(job.status)
        ]

    def end(self, job_id):
        """The job has ended without its Worker, whose later updates are superseded."""
        self.owners[job_id] = (self.owners[job_id][0], "nobody")
        self.to_send[job_id] = []

    def is_fenced(self, update):
        """Whether an update is superseded by the rules of the contract: of another attempt or another Worker."""
        attempt, owner = self.owners[update.job_execution_id]
        return update.attempt != attempt or owner not in (None, update.worker)

    @rule(data=st.data())
    def cancel(self, data):
        running = [
            job.id for job in jobs_of(self.execution) if job.id in self.handed_out and not job.status.is_terminal
        ]
        has_ended = self.execution.status.is_terminal
        self.execution, to_stop = self.execution.cancel(MOMENT)
        assert [job.id for job in to_stop] == ([] if has_ended else running)
        for job in to_stop:
            # A Worker that is told to stop does so, or reports the end that it has reached.
            if self.to_send[job.id] and data.draw(st.booleans()):
                self.to_send[job.id][-1] = attrs.evolve(self.to_send[job.id][-1], status=CANCELED)

    def apply(self, update: JobStatusUpdate):
        note(f"apply {update.sequence} {update.status} of {update.job_execution_id}")
        is_fenced = self.is_fenced(update)
        before = self.execution
        self.execution, outcome = self.execution.apply(update)
        self.delivered.append(update)
        assert outcome is not UpdateOutcome.CONFLICT
        assert (outcome is UpdateOutcome.SUPERSEDED) == is_fenced
        if is_fenced:
            assert self.execution is before
        else:
            self.owners[update.job_execution_id] = (update.attempt, update.worker)

    @invariant()
    def terminal_statuses_never_change(self):
        for old, new in zip(jobs_of(self.before), jobs_of(self.execution), strict=True):
            assert old.status is new.status or old.status.can_become(new.status)
        assert self.before.status is self.execution.status or self.before.status.can_become(self.execution.status)
        self.before = self.execution

    @invariant()
    def what_follows_from_the_jobs_equals_a_recount(self):
        # Constructed from fields, without cached values.
        stages = tuple(attrs.evolve(stage) for stage in self.execution.stages)
        counted = attrs.evolve(self.execution, stages=stages)
        assert isinstance(counted, PipelineExecution)
        assert [stage.counts for stage in self.execution.stages] == [stage.counts for stage in counted.stages]
        assert state_of(self.execution) == state_of(counted)
        assert list(self.execution.ready_jobs()) == naive_ready(self.execution)
        assert self.execution.status is naive_counts(self.execution)

    @invariant()
    def nothing_waits_in_a_run_that_is_halted(self):
        jobs = jobs_of(self.execution)
        stopped = any(job.counted_status in (FAILED, CANCELED) for job in jobs)
        if stopped or self.execution.canceled_at is not None:
            assert all(job.queued_at is not None or job.status is CANCELED for job in jobs)

    @invariant()
    def updates_under_way_end_in_the_same_state_in_any_order(self):
        under_way = self.under_way + [update for updates in self.to_send.values() for update in updates]
        ends = set()
        for order in (under_way, under_way[::-1], sorted(under_way, key=lambda each: (-each.sequence, each.logs))):
            execution = self.execution
            for update in order:
                execution, _ = execution.apply(update)
            ends.add(execution)
        assert len(ends) == 1

    def teardown(self):
        if not hasattr(self, "execution"):
            return
        while not self.execution.status.is_terminal:
            for update in self.under_way + [update for updates in self.to_send.values() for update in updates]:
                self.apply(update)
            self.under_way, self.to_send = [], {}
            self.execution, jobs = self.execution.hand_out(MOMENT)
            assert jobs or self.execution.status.is_terminal, "the run has not ended, but no job is ready"
            self.to_send = {job.id: own_strategies.shortest_history(job.id) for job in jobs}
            self.owners |= {job.id: (1, None) for job in jobs}


System.TestCase.settings = settings(stateful_step_count=30)
TestSystem = System.TestCase
