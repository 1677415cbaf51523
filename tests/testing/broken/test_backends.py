"""Backends with one fault each, and the tests of the kit that find it."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from httpx import Client

from cicd_common import ContractError, ExecutionStatus
from cicd_common.model import LogText, UpdateOutcome
from cicd_common.testing import FakeBackend, TakenOver
from cicd_common.testing.backend_api import Answer, BackendApi
from cicd_common.testing.conformance import BackendConformance, client_of

RUNNING, SUCCESS, CANCELED = ExecutionStatus.RUNNING, ExecutionStatus.SUCCESS, ExecutionStatus.CANCELED


class Broken(BackendConformance):
    """The kit for a Backend in memory. Derived classes use a Backend with a fault.

    Attributes:
        fails: The tests that find the fault.
    """

    fails: frozenset[str] = frozenset()
    lease_seconds = 1
    patience = 4
    make_backend = FakeBackend
    make_api = BackendApi

    @pytest.fixture
    def api(self) -> BackendApi:
        """The Backend, with a lease that is longer than any test."""
        return self.make_api(self.make_backend())

    @pytest.fixture
    def backend(self, api: BackendApi) -> Client:
        """A client of the Backend without a server."""
        return client_of(api)

    @pytest.fixture
    def short_leases(self) -> Client:
        """A client of another Backend of the class."""
        return client_of(self.make_api(self.make_backend(lease_seconds=1)))

    @pytest.fixture
    def handed_out(self, api: BackendApi):
        """A function that returns the requests that the Backend has handed out."""
        return lambda: api.requests


# --- updates ----------------------------------------------------------------------------------------------------------


class StoresRepeats(FakeBackend):
    def apply(self, update, *, at=None):
        known = self._outputs.get(update.job_execution_id, LogText())
        applied = super().apply(update, at=at)
        if applied.outcome is UpdateOutcome.LATE and any(update.sequence == sequence for sequence, _ in known.chunks):
            chunks = [(sequence, text * (1 + (sequence == update.sequence))) for sequence, text in known.chunks]
            self._outputs[update.job_execution_id] = LogText().join(chunks)
        return applied


class TestStoresRepeats(Broken):
    make_backend = StoresRepeats
    fails = frozenset({"test_an_update_that_is_repeated_changes_nothing"})


class LetsLateUpdatesOverwrite(FakeBackend):
    def apply(self, update, *, at=None):
        applied = super().apply(update, at=at)
        if applied.outcome is UpdateOutcome.LATE:
            run = self._run_of(update.job_execution_id)
            stages = tuple(
                evolve(
                    stage,
                    jobs=tuple(
                        evolve(job, status=update.status) if job.id == update.job_execution_id else job
                        for job in stage.jobs
                    ),
                )
                for stage in run.stages
            )
            self._runs[run.id] = evolve(run, stages=stages)
            return evolve(applied, response=self.job_status(update.job_execution_id))
        return applied


class TestLetsLateUpdatesOverwrite(Broken):
    make_backend = LetsLateUpdatesOverwrite
    fails = frozenset({"test_a_late_update_does_not_overwrite_the_end"})


class LosesLateOutput(FakeBackend):
    def apply(self, update, *, at=None):
        known = self._outputs.get(update.job_execution_id)
        applied = super().apply(update, at=at)
        if applied.outcome is UpdateOutcome.LATE and known is not None:
            self._outputs[update.job_execution_id] = known
        return applied


class TestLosesLateOutput(Broken):
    make_backend = LosesLateOutput
    fails = frozenset({"test_a_late_update_does_not_overwrite_the_end", "test_output_is_joined_by_sequence"})


class HidesConflicts(FakeBackend):
    def apply(self, update, *, at=None):
        applied = super().apply(update, at=at)
        if applied.outcome is UpdateOutcome.CONFLICT:
            return evolve(applied, response=evolve(applied.response, is_superseded=False))
        return applied


class TestHidesConflicts(Broken):
    make_backend = HidesConflicts
    fails = frozenset({"test_the_first_end_stands"})


# --- runs and jobs ----------------------------------------------------------------------------------------------------


class StartsTwice(FakeBackend):
    def start(self, what, **more):
        self._requests.clear()
        return super().start(what, **more)


class TestStartsTwice(Broken):
    make_backend = StartsTwice
    fails = frozenset({"test_a_start_is_idempotent"})


class NumbersByDefinition(FakeBackend):
    def start(self, what, **more):
        others = {run.id: run for run in self._runs.values() if run.pipeline.id != what.pipeline.id}
        for run_id in others:
            del self._runs[run_id]
        started = super().start(what, **more)
        self._runs |= others
        return started


class TestNumbersByDefinition(Broken):
    make_backend = NumbersByDefinition
    fails = frozenset({"test_runs_are_numbered_by_the_name_of_the_pipeline"})


class DropsTheBranch(FakeBackend):
    def start(self, what, **more):
        return super().start(evolve(what, branch=None, commit_hash=None), **more)


class TestDropsTheBranch(Broken):
    make_backend = DropsTheBranch
    fails = frozenset({"test_a_run_has_the_branch_that_was_asked_for"})


class HandsOutEarly(FakeBackend):
    def _handed_out(self, run, at):
        run, sent = super()._handed_out(run, at)
        stages = tuple(
            evolve(stage, jobs=tuple(evolve(job, queued_at=job.queued_at or at) for job in stage.jobs))
            for stage in run.stages
        )
        early = [job for stage in run.stages for job in stage.jobs if job.queued_at is None]
        run = evolve(run, stages=stages)
        return run, (*sent, *(self._sent(run, job, at) for job in early if not job.status.is_terminal))


class TestHandsOutEarly(Broken):
    make_backend = HandsOutEarly
    fails = frozenset(
        {
            "test_no_job_is_handed_out_before_its_dependencies",
            "test_no_job_is_handed_out_before_the_earlier_stages",
            "test_a_failure_halts_the_run",
            "test_canceling_skips_what_waits_and_asks_workers_to_stop",
        }
    )


class HandsOutAtEveryUpdate(FakeBackend):
    def apply(self, update, *, at=None):
        applied = super().apply(update, at=at)
        if applied.response.status is SUCCESS and applied.outcome is UpdateOutcome.LATE:
            run = self._run_of(update.job_execution_id)
            again = [job for stage in run.stages for job in stage.jobs if job.queued_at and not job.status.is_terminal]
            return evolve(applied, jobs=tuple(self._sent(run, job, run.canceled_at or job.queued_at) for job in again))
        return applied


class TestHandsOutAtEveryUpdate(Broken):
    make_backend = HandsOutAtEveryUpdate
    fails = frozenset({"test_jobs_are_handed_out_once"})


# --- canceling and leases ---------------------------------------------------------------------------------------------


class CancelsBehindWorkersBacks(FakeBackend):
    def cancel(self, execution_id, at=None):
        told = super().cancel(execution_id, at)
        run = self._runs[execution_id]
        stages = tuple(
            evolve(
                stage,
                jobs=tuple(
                    job if job.status.is_terminal else evolve(job, status=CANCELED, worker=None) for job in stage.jobs
                ),
            )
            for stage in run.stages
        )
        self._runs[execution_id] = evolve(run, stages=stages)
        return told


class TestCancelsBehindWorkersBacks(Broken):
    make_backend = CancelsBehindWorkersBacks
    fails = frozenset(
        {
            "test_canceling_skips_what_waits_and_asks_workers_to_stop",
            "test_canceling_again_changes_nothing",
        }
    )


class KeepsCancelsToItself(FakeBackend):
    def apply(self, update, *, at=None):
        applied = super().apply(update, at=at)
        return evolve(applied, response=evolve(applied.response, is_cancel_requested=False))


class TestKeepsCancelsToItself(Broken):
    make_backend = KeepsCancelsToItself
    fails = frozenset({"test_canceling_skips_what_waits_and_asks_workers_to_stop"})


class IgnoresOwners(FakeBackend):
    def apply(self, update, *, at=None):
        job = self._run_of(update.job_execution_id).job(update.job_execution_id)
        return super().apply(evolve(update, worker=job.worker or update.worker), at=at)


class TestIgnoresOwners(Broken):
    make_backend = IgnoresOwners
    fails = frozenset({"test_the_first_worker_owns_the_attempt"})


class NeverTakesOver(FakeBackend):
    def take_over(self, at=None):  # noqa: ARG002 - the signature of what it overrides
        return TakenOver(jobs=(), ended=())


class TestNeverTakesOver(Broken):
    make_backend = NeverTakesOver
    fails = frozenset({"test_a_lost_job_goes_to_the_next_attempt"})


class IgnoresHeartbeats(FakeBackend):
    def apply(self, update, *, at=None):
        heard_at = self._leases[update.job_execution_id].heard_at if update.job_execution_id in self._leases else None
        applied = super().apply(update, at=at)
        if applied.outcome is UpdateOutcome.LATE and heard_at is not None:
            self._leases[update.job_execution_id].heard_at = heard_at
        return applied


class TestIgnoresHeartbeats(Broken):
    make_backend = IgnoresHeartbeats
    fails = frozenset({"test_a_worker_that_is_heard_of_keeps_its_job"})


# --- artifacts, logs, errors ------------------------------------------------------------------------------------------


class KeepsTheFirstArtifact(FakeBackend):
    def add_artifacts(self, request):
        known = dict(self._artifacts.get(request.job_execution_id, {}))
        super().add_artifacts(request)
        self._artifacts[request.job_execution_id] |= known


class TestKeepsTheFirstArtifact(Broken):
    make_backend = KeepsTheFirstArtifact
    fails = frozenset({"test_artifacts_are_kept"})


class EchoesWhatIsWrong(BackendApi):
    def answer(self, method, path, query, body):
        answer = super().answer(method, path, query, body)
        if answer.type != "application/problem+json":
            return answer
        sent = json.dumps(body.decode("utf-8", "replace")).encode()
        return evolve(answer, body=answer.body[:-1] + b', "sent": ' + sent + b"}")


class TestEchoesWhatIsWrong(Broken):
    make_api = EchoesWhatIsWrong
    fails = frozenset({"test_a_refusal_repeats_no_secret"})


class FailsAtBadInput(BackendApi):
    def _route(self, method, path, query, body):
        try:
            return super()._route(method, path, query, body)
        except ContractError:
            return Answer(500, b"Internal Server Error", "text/plain")


class TestFailsAtBadInput(Broken):
    make_api = FailsAtBadInput
    fails = frozenset(
        {
            "test_what_is_not_json_is_answered_400[execute]",
            "test_what_is_not_json_is_answered_400[update]",
            "test_what_is_not_json_is_answered_400[upload]",
            "test_what_is_not_json_is_answered_400[add_logs]",
            "test_a_bad_message_is_answered_422_with_all_its_problems",
            "test_what_is_unknown_is_answered_404",
            "test_another_repository_than_the_pipelines_is_refused",
            "test_a_refusal_repeats_no_secret",
            "test_no_document_is_answered_500",
            "test_contents_of_artifacts_are_kept",
        }
    )
