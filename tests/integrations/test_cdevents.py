"""CDEvents of the changes of runs: they follow the standard, and a run can be rebuilt from them."""

from __future__ import annotations

import importlib
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicd_common import ContractError, ExecutionStatus
from cicd_common.api.request import Artifact, ArtifactUploadRequest, JobStatusUpdate
from cicd_common.enums import EndReason
from cicd_common.errors import UnknownJobError
from cicd_common.model import Job, Pipeline, PipelineExecution, Stage
from cicd_common.testing.strategies import executions, from_type

pytest.importorskip("cloudevents.core")

from cicd_common.integrations.cdevents import (
    CDEvent,
    artifact_events,
    events,
    execution_of,
    read,
)
from tests.support import cdevents
from tests.support.run_states import run_states

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
SOURCE = "https://ci.example.org"
RUN = "dev.cdevents.pipelinerun"
TASK = "dev.cdevents.taskrun"


def told(before: PipelineExecution | None, after: PipelineExecution) -> tuple[CDEvent, ...]:
    return events(before, after, source=SOURCE, at=NOW)


def kinds(told: tuple[CDEvent, ...]) -> list[str]:
    return [event.type.removeprefix("dev.cdevents.").removesuffix(".0.3.0") for event in told]


def run_of(*jobs: Job, repo_url: str = "https://example.org/repo.git", **fields) -> PipelineExecution:
    pipeline = Pipeline(name="checkout", repo_url=repo_url, stages=(Stage(name="test", jobs=jobs),))
    return PipelineExecution.of(pipeline, run_number=7, id=UUID(int=7), **fields)


def job(name: str, **fields) -> Job:
    return Job(name=name, script=("true",), **fields)


def told_by_worker(run: PipelineExecution, place: int, sequence: int, status: str, **fields) -> JobStatusUpdate:
    return JobStatusUpdate(
        job_execution_id=run.stages[0].jobs[place].id,
        sequence=sequence,
        status=ExecutionStatus(status),
        occurred_at=NOW + timedelta(minutes=sequence),
        worker="worker",
        **fields,
    )


def ended(run: PipelineExecution, status: str, reason: str | None = None, **fields) -> PipelineExecution:
    """Return the run after its first job ran and ended."""
    run, _ = run.hand_out(NOW)
    run, _ = run.apply(told_by_worker(run, 0, 1, "RUNNING"))
    run, _ = run.apply(told_by_worker(run, 0, 2, status, reason=reason and EndReason(reason), **fields))
    return run


class TestEvents:
    def test_of_a_run_that_succeeds(self):
        """Each change of a run has its events, with the times of the model."""
        run = run_of(job("build"))
        handed_out, _ = run.hand_out(NOW)
        running, _ = handed_out.apply(told_by_worker(run, 0, 1, "RUNNING"))
        output, _ = running.apply(told_by_worker(run, 0, 2, "RUNNING", logs="a"))
        done, _ = output.apply(told_by_worker(run, 0, 3, "SUCCESS"))
        assert kinds(told(None, run)) == ["pipelinerun.queued"]
        assert told(run, handed_out) == told(running, output) == told(done, done) == ()
        started, finished = told(handed_out, running), told(output, done)
        assert kinds(started) == ["pipelinerun.started", "taskrun.started"]
        assert kinds(finished) == ["taskrun.finished", "pipelinerun.finished"]
        assert {event.timestamp for event in started} == {NOW + timedelta(minutes=1)}
        assert {event.timestamp for event in finished} == {NOW + timedelta(minutes=3)}
        assert {event.content["outcome"] for event in finished} == {"success"}
        assert not any("errors" in event.content for event in finished)
        assert told(None, run)[0].timestamp == NOW

    @pytest.mark.parametrize(
        ("status", "reason", "of_job", "of_run"),
        [
            ("FAILED", "EXITED", "failure", "failure"),
            ("FAILED", "TIMED_OUT", "failure", "failure"),
            ("FAILED", "WORKER_LOST", "error", "error"),
            ("FAILED", "NOT_RUNNABLE", "error", "error"),
            ("FAILED", "STOPPED", "cancel", "failure"),
            ("FAILED", None, "failure", "failure"),
            ("CANCELED", "STOPPED", "cancel", "cancel"),
        ],
    )
    def test_outcomes(self, status, reason, of_job, of_run):
        """The outcomes follow from the status and the reason of the end."""
        run = run_of(job("build"))
        *_, of_task, of_pipeline = told(run, ended(run, status, reason))
        assert (of_task.content["outcome"], of_pipeline.content["outcome"]) == (of_job, of_run)

    def test_errors_of_a_failure(self):
        """A job has its reason and a run its explanation; jobs that never ran are canceled."""
        run = run_of(job("build"), job("test", dependencies=("build",)))
        failed = ended(run, "FAILED", "EXITED", exit_code=3)
        *_, build, test, pipeline = told(run, failed)
        assert build.content["errors"] == "EXITED: Its process ended by itself. Exit code 3."
        assert (test.content["outcome"], test.content["errors"]) == (
            "cancel",
            "SKIPPED: It never ran, because the run was halted first.",
        )
        assert test.timestamp == NOW
        assert pipeline.content["errors"] == failed.explain().text

    def test_errors_of_a_failure_without_a_reason(self):
        """A job without a reason has the description of its status."""
        run = run_of(job("build"))
        *_, build, _ = told(run, ended(run, "FAILED"))
        assert build.content["errors"] == "Ended, and did not do what it was asked to do."

    def test_allowed_failure(self):
        """A job that is allowed to fail has failed; its run has succeeded."""
        run = run_of(job("lint", allow_failure=True))
        *_, lint, pipeline = told(run, ended(run, "FAILED"))
        assert (lint.content["outcome"], pipeline.content["outcome"]) == ("failure", "success")

    def test_links(self):
        """The end of a run is linked to its start and its cause, and a job to its dependencies."""
        run = run_of(job("build"), job("test", dependencies=("build", "build")))
        built = ended(run, "SUCCESS")
        second = attrs.evolve(built.hand_out(NOW)[0])
        second, _ = second.apply(told_by_worker(run, 1, 3, "RUNNING"))
        second, _ = second.apply(told_by_worker(run, 1, 4, "FAILED"))
        ids = {kind: event.id for event in told(None, second) for kind in kinds((event,)) if "pipeline" in kind}
        builds = {kind: event.id for event in told(run, built) for kind in kinds((event,))}
        start, end, finished = told(built, second)
        path = [{"linkType": "PATH", "from": {"contextId": ids["pipelinerun.started"]}}]
        dependency = {
            "linkType": "RELATION",
            "linkKind": "DEPENDENCY",
            "target": {"contextId": builds["taskrun.finished"]},
        }
        assert list(start.links) == [*path, dependency]
        assert list(end.links) == [{"linkType": "PATH", "from": {"contextId": start.id}}]
        assert list(finished.links) == [
            {"linkType": "END", "from": {"contextId": ids["pipelinerun.started"]}},
            {"linkType": "RELATION", "linkKind": "CAUSE", "target": {"contextId": end.id}},
        ]

    def test_canceled_before_it_started(self):
        """The end of a run that never ran is linked to its queueing."""
        run = run_of(job("build"))
        canceled, _ = run.cancel(NOW + timedelta(hours=1))
        task, pipeline = told(run, canceled)
        queued = [{"from": {"contextId": told(None, run)[0].id}}]
        assert [dict(link) for link in task.links] == [{"linkType": "PATH", **queued[0]}]
        assert [dict(link) for link in pipeline.links] == [{"linkType": "END", **queued[0]}]
        assert pipeline.timestamp == NOW + timedelta(hours=1)
        assert pipeline.content["outcome"] == "cancel"

    def test_uris(self):
        """The caller's function makes the URI of a subject from the id of its execution."""
        run = run_of(job("build"))
        (queued,) = events(None, run, source=SOURCE, at=NOW, uri=lambda each: f"https://ci/runs/{each}")
        assert queued.content["uri"] == f"https://ci/runs/{run.id}"
        assert told(None, run)[0].content["uri"] == run.id.urn

    def test_of_two_runs(self):
        """States of two runs are refused."""
        with pytest.raises(ValueError, match="one run"):
            told(run_of(job("a")), attrs.evolve(run_of(job("a")), id=UUID(int=8)))

    @given(run_states())
    def test_each_is_told_once(self, states):
        """The ids of events are the same step by step or at once, and in any order of updates."""
        by_step = [event.id for before, after in pairwise(states) for event in told(before, after)]
        assert len(set(by_step)) == len(by_step)
        assert set(by_step) == {event.id for event in told(None, states[-1])}

    @given(run_states())
    def test_links_point_to_events_that_were_told(self, states):
        """All events of a run have its chain id, and their links point to earlier events."""
        seen = set()
        for before, after in pairwise(states):
            step = told(before, after)
            seen |= {event.id for event in step}
            for event in step:
                ends = [link["target"] if "target" in link else link["from"] for link in event.links]
                assert {end["contextId"] for end in ends} <= seen
                assert ends or event.type.startswith(f"{RUN}.queued")
                assert event.chain_id == str(after.id)


class TestExecutionOf:
    @given(st.data(), run_states(in_order=True))
    def test_rebuilds_a_run_at_every_step(self, data, states):
        """From the events so far, in any order and repeated, each job has the state of its last event."""
        so_far = []
        for before, after in pairwise(states):
            so_far += told(before, after)
            rebuilt = execution_of(data.draw(st.permutations(so_far + so_far[:2])))
            assert rebuilt.status is after.status
            jobs = [job for stage in after.stages for job in stage.jobs]
            for job, known in zip([job for stage in rebuilt.stages for job in stage.jobs], jobs, strict=True):
                facts = ("id", "job", "status", "completion_time", "exit_code", "reason")
                assert all(getattr(job, name) == getattr(known, name) for name in facts)
        assert rebuilt == states[-1]

    @given(run_states())
    def test_rebuilds_a_run_as_it_ended(self, states):
        """The rebuilt run equals the run at its end, in any order of updates."""
        so_far = [event for before, after in pairwise(states) for event in told(before, after)]
        assert execution_of(so_far) == next(state for state in states if state and state.status.is_terminal)

    def test_passes_over_other_events(self):
        """Events of artifacts and of other sources are ignored."""
        run = run_of(job("build"))
        request = ArtifactUploadRequest(
            job_execution_id=run.stages[0].jobs[0].id, artifacts=(Artifact(path="a", size=0, sha256="0" * 64),)
        )
        others = artifact_events(request, run, source=SOURCE, at=NOW)
        foreign = attrs.evolve(others[0], custom_data='"text"')
        assert execution_of([*others, foreign, attrs.evolve(foreign, custom_data=None), *told(None, run)]) == run

    def test_refuses_what_is_no_run(self):
        """No events, events of two runs, and wrong custom data are refused."""
        run = run_of(job("build"))
        (queued,) = told(None, run)
        other = told(None, attrs.evolve(run, id=UUID(int=8)))
        for wrong in ([], told(run, ended(run, "SUCCESS"))[:1], [queued, *other]):
            with pytest.raises(ContractError, match="expected the events of one run"):
                execution_of(wrong)
        with pytest.raises(ContractError):
            execution_of([attrs.evolve(queued, custom_data='{"PipelineExecution": {}}')])


class TestArtifactEvents:
    @staticmethod
    def told(run: PipelineExecution, *paths: str) -> tuple[CDEvent, ...]:
        artifacts = tuple(Artifact(path=path, size=1, sha256="ab" * 32) for path in paths)
        request = ArtifactUploadRequest(job_execution_id=run.stages[0].jobs[0].id, artifacts=artifacts)
        return artifact_events(request, run, source=SOURCE, at=NOW)

    def test_packaged_and_published(self):
        """Each artifact has a package URL with its checksum, its commit, and a link to its job."""
        run = ended(run_of(job("build"), commit_hash="c0ffee"), "SUCCESS")
        packaged, published, *others = self.told(run, "dist/my app.whl", "report.txt")
        assert kinds((packaged, published, *others)) == ["artifact.packaged", "artifact.published"] * 2
        assert packaged.subject_id == published.subject_id
        assert packaged.subject_id == f"pkg:generic/checkout/dist/my%20app.whl@7?checksum=sha256:{'ab' * 32}"
        assert packaged.content == {"change": {"id": "c0ffee", "source": "https://example.org/repo.git"}}
        assert published.content == {}
        started = next(event for event in told(None, run) if event.type.startswith(f"{TASK}.started"))
        assert packaged.links[0]["from"]["contextId"] == started.id
        assert published.links[0]["from"]["contextId"] == packaged.id
        assert len({event.id for event in (packaged, published, *others)}) == 4
        assert self.told(run, "report.txt") == tuple(others)

    @pytest.mark.parametrize(
        ("repo_url", "source"),
        [
            ("https://user:password@example.org:8443/repo.git", "https://example.org:8443/repo.git"),
            ("git@example.org:repo.git", None),
            ("/srv/repo.git", None),
            ("https://example.org/re po", None),
            ("https://example.org:port/", None),
        ],
    )
    def test_source_of_the_change(self, repo_url, source):
        """The repository is in the event only if it is a URL, without its password."""
        packaged, _ = self.told(run_of(job("build"), repo_url=repo_url), "report.txt")
        assert packaged.content["change"] == {"id": "main"} | ({"source": source} if source else {})

    def test_of_a_job_that_is_not_there(self):
        """The artifacts of another run's job are refused."""
        request = ArtifactUploadRequest(
            job_execution_id=UUID(int=1), artifacts=(Artifact(path="a", size=0, sha256="0" * 64),)
        )
        with pytest.raises(UnknownJobError):
            artifact_events(request, run_of(job("build")), source=SOURCE, at=NOW)


@cdevents.is_there
class TestStandard:
    @given(executions() | from_type(PipelineExecution))
    def test_events_of_runs_are_valid(self, run):
        """The official schemas accept the events of a run in any state."""
        for event in told(None, run):
            cdevents.validator(event.type).validate(event.document())

    @given(executions(), st.data())
    def test_events_of_artifacts_are_valid(self, run, data):
        """The official schemas accept the events of any artifact."""
        request = data.draw(from_type(ArtifactUploadRequest))
        request = attrs.evolve(request, job_execution_id=run.stages[0].jobs[0].id)
        for event in artifact_events(request, run, source=SOURCE, at=NOW):
            cdevents.validator(event.type).validate(event.document())
            assert re.fullmatch(r"pkg:generic(/[\w.~%-]+)+@[0-9]+\?checksum=sha256:[0-9a-f]{64}", event.subject_id)

    @pytest.mark.parametrize(
        "path", sorted(cdevents.FOLDER.glob("conformance/*.json")), ids=lambda path: getattr(path, "stem", None)
    )
    def test_reads_the_conformance_examples(self, path):
        """The official examples are read, and written unchanged."""
        example = json.loads(path.read_text())
        cdevents.validator(example["context"]["type"]).validate(example)
        assert read(path.read_bytes()).document() == read(example).document() == example


class TestRead:
    EVENT = told(None, run_of(job("build")))[0]

    @given(executions())
    def test_reads_what_was_written(self, run):
        """Every event is read back equal, from its document and from its text."""
        for event in told(None, run):
            assert read(event.document()) == event
            assert read(json.dumps(event.document())) == event

    @given(from_type(CDEvent))
    def test_reads_any_event(self, event):
        """An event with any field values is read back equal."""
        event = attrs.evolve(event, custom_data=None if event.custom_data is None else json.dumps(event.custom_data))
        assert read(event.document()).document() == event.document()

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            (lambda document: document["context"].pop("id"), "/context/id"),
            (lambda document: document["context"].pop("specversion"), "/context/specversion"),
            (lambda document: document["context"].update(source=""), "/context/source"),
            (lambda document: document["context"].update(links=[{}, 3]), "/context/links/1"),
            (lambda document: document["subject"].pop("content"), "/subject/content"),
            (lambda document: document.update(customDataContentType=3), "/customDataContentType"),
            (lambda document: document.update(customData={1, 2}), "/customData"),
            (lambda document: document.update(customData=float("nan")), "/customData"),
            (lambda document: document.update(context=[]), ""),
        ],
    )
    def test_refuses(self, change, pointer):
        """A document that is no event is refused with the place of the problem."""
        document = self.EVENT.document()
        change(document)
        with pytest.raises(ContractError) as caught:
            read(document)
        assert [problem.pointer for problem in caught.value.problems] == [pointer]

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"customData": NaN}', b"\xff"])
    def test_refuses_text(self, text):
        """A text that is no JSON object is a ContractError."""
        with pytest.raises(ContractError):
            read(text)

    def test_is_hashable(self):
        """Equal events are one element of a set."""
        assert len({self.EVENT, read(self.EVENT.document())}) == 1


def test_needs_cloudevents(monkeypatch):
    """Without cloudevents, the import raises an ImportError that names the extra."""
    for name in [name for name in sys.modules if name.startswith("cicd_common.integrations.cdevents")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cloudevents.core", None)
    with pytest.raises(ImportError) as caught:
        importlib.import_module("cicd_common.integrations.cdevents")
    assert str(caught.value) == (
        "cicd_common.integrations.cdevents needs cloudevents 2.0 or newer, which is not installed; "
        "the extra 'cdevents' brings it: pip install 'cicd-common[cdevents]'"
    )
