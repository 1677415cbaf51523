"""Backend, network and Workers, played by a machine on generated pipelines."""

import attrs
import strategies
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from moves import MOMENT, jobs_of, naive_counts, naive_ready, state_of

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.model import PipelineExecution, UpdateOutcome

SUCCESS, FAILED, CANCELED = ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELED


class System(RuleBasedStateMachine):
    """Hands out what is ready, plays what Workers report, and lets the network delay, repeat and reorder it."""

    @initialize(pipeline=strategies.pipelines())
    def start(self, pipeline):
        self.execution = pipeline.new_execution(run_number=1)
        self.before = self.execution
        self.handed_out = set()
        self.to_send = {}  # What the Worker of each job will still report.
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
            self.to_send[job.id] = data.draw(strategies.histories(job.id))

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
        assert outcome is UpdateOutcome.LATE

    @rule(data=st.data())
    def cancel(self, data):
        running = [
            job.id for job in jobs_of(self.execution) if job.id in self.handed_out and not job.status.is_terminal
        ]
        has_ended = self.execution.status.is_terminal
        self.execution, to_stop = self.execution.cancel(MOMENT)
        assert [job.id for job in to_stop] == ([] if has_ended else running)
        for job in to_stop:
            # A Worker that was told to stop does so, or was just about to end anyway.
            if self.to_send[job.id] and data.draw(st.booleans()):
                self.to_send[job.id][-1] = attrs.evolve(self.to_send[job.id][-1], status=CANCELED)

    def apply(self, update: JobStatusUpdate):
        note(f"apply {update.sequence} {update.status} of {update.job_execution_id}")
        self.execution, outcome = self.execution.apply(update)
        self.delivered.append(update)
        assert outcome is not UpdateOutcome.CONFLICT

    @invariant()
    def terminal_statuses_never_change(self):
        for old, new in zip(jobs_of(self.before), jobs_of(self.execution), strict=True):
            assert old.status is new.status or old.status.can_become(new.status)
        assert self.before.status is self.execution.status or self.before.status.can_become(self.execution.status)
        self.before = self.execution

    @invariant()
    def what_follows_from_the_jobs_equals_a_recount(self):
        counted = attrs.evolve(self.execution)  # Made of its fields, with nothing kept up with.
        assert isinstance(counted, PipelineExecution)
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
            assert jobs or self.execution.status.is_terminal, "it waits for nothing and has not ended"
            self.to_send = {job.id: strategies.shortest_history(job.id) for job in jobs}


System.TestCase.settings = settings(stateful_step_count=30)
TestSystem = System.TestCase
