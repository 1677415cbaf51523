"""Make the events of a run and of its artifacts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid5

import attrs

from ...api.request import Artifact, ArtifactUploadRequest
from ...converter import converter
from ...enums import ExecutionStatus
from ...model import JobExecution, PipelineExecution
from ...values import JsonObject
from .._outcomes import cause_of, job_result, moved_jobs, plain_url, result
from .event import CDEvent, json_text

__all__ = ["artifact_events", "events"]

QUEUED = "dev.cdevents.pipelinerun.queued"
STARTED = "dev.cdevents.pipelinerun.started"
FINISHED = "dev.cdevents.pipelinerun.finished"
JOB_STARTED = "dev.cdevents.taskrun.started"
JOB_FINISHED = "dev.cdevents.taskrun.finished"
PACKAGED = "dev.cdevents.artifact.packaged"
PUBLISHED = "dev.cdevents.artifact.published"

_VERSION = "0.3.0"  # The version of these types in CDEvents 0.5.1.

_OUTCOMES = {
    "success": "success",
    "failure": "failure",
    "timeout": "failure",
    "error": "error",
    "cancellation": "cancel",
    "skip": "cancel",
}
"""The outcomes of CDEvents for the results of OpenTelemetry."""

_MAX_ERRORS = 4000  # In characters.


def events(
    before: PipelineExecution | None,
    after: PipelineExecution,
    *,
    source: str,
    at: datetime,
    uri: Callable[[UUID], str] = attrgetter("urn"),
) -> tuple[CDEvent, ...]:
    """Make the events of a run between two of its states.

    There are events for the queueing, the start and the end of a run, and for the start and the end of a job. The id of
    an event is made from the id of the execution and the event's type, so the same change always has the same ids, and
    two changes have no common event.

    Args:
        before: The run before; None if it did not exist.
        after: The run after.
        source: The sender of the events, as a URI reference: the URL of the Backend.
        at: The current time, with an offset: the time of events whose time the run does not have.
        uri: Returns the URI of a run or a job for the id of its execution; by default ``urn:uuid:...``.

    Returns:
        The events, in the order of definition; empty if there are none.

    Raises:
        ContractError: The time or the source is refused.
        ValueError: The states are of two runs.
    """
    return tuple(_EventFactory(after, source, at, uri).between(before))


def artifact_events(
    request: ArtifactUploadRequest,
    execution: PipelineExecution,
    *,
    source: str,
    at: datetime,
) -> tuple[CDEvent, ...]:
    """Make the events of a job's artifacts: each was packaged, and then published.

    The id of an artifact is a package URL: ``pkg:generic/<pipeline>/<path>@<run number>?checksum=sha256:<sha256>``.

    Args:
        request: The artifacts of the job.
        execution: The run that the job is part of.
        source: The sender of the events, as a URI reference: the URL of the Backend.
        at: When the contents were stored, with an offset.

    Raises:
        UnknownJobError: The run has no such job.
        ContractError: The time or the source is refused.
    """
    job = execution.job(request.job_execution_id)
    factory = _EventFactory(execution, source, at, attrgetter("urn"))
    return tuple(event for artifact in request.artifacts for event in factory.artifact(job, artifact))


def event_id(execution_id: UUID, kind: str) -> str:
    """Make the id of an event.

    Args:
        execution_id: The execution that the event is about.
        kind: The type of the event without its version.
    """
    return str(uuid5(execution_id, kind))


def package_url(execution: PipelineExecution, artifact: Artifact) -> str:
    """Make the package URL of an artifact of a run.

    Args:
        execution: The run.
        artifact: The artifact.
    """
    steps = [*execution.pipeline.name.split("/"), *artifact.path.split("/")]
    path = "/".join(quote(step, safe="") for step in steps if step not in ("", ".", ".."))
    return f"pkg:generic/{path}@{execution.run_number}?checksum=sha256:{artifact.sha256}"


@attrs.frozen
class _EventFactory:
    """Makes the events of a run."""

    execution: PipelineExecution
    source: str
    at: datetime
    uri: Callable[[UUID], str]

    def between(self, before: PipelineExecution | None) -> Iterator[CDEvent]:
        after = self.execution
        if before is None:
            yield self._run(QUEUED, None, [], data=after)
        if after.start_time is not None and (before is None or before.start_time is None):
            yield self._run(STARTED, after.start_time, [_path(event_id(after.id, QUEUED))])
        for was, job in moved_jobs(before, after):
            yield from self._job(was, job)
        if after.status.is_terminal and not (before is not None and before.status.is_terminal):
            yield self._finished()

    def artifact(self, job: JobExecution, artifact: Artifact) -> Iterator[CDEvent]:
        run = self.execution
        change = {"id": run.commit_hash or run.branch}
        if url := plain_url(run.pipeline.repo_url):
            change["source"] = url
        came_from = self._newest(job)
        contents: tuple[tuple[str, dict[str, Any]], ...] = ((PACKAGED, {"change": change}), (PUBLISHED, {}))
        for kind, content in contents:
            event = self._event(
                kind,
                uuid5(job.id, f"{artifact.path} {artifact.sha256}"),
                self.at,
                content,
                [_path(came_from)],
                data=ArtifactUploadRequest(job_execution_id=job.id, artifacts=(artifact,)),
                subject_id=package_url(run, artifact),
            )
            yield event
            came_from = event.id

    def _job(self, before: JobExecution | None, job: JobExecution) -> Iterator[CDEvent]:
        if job.start_time is not None and (before is None or before.start_time is None):
            needs = (_relation("DEPENDENCY", event_id(need, JOB_FINISHED)) for need in self._needs(job))
            yield self._task(JOB_STARTED, job, job.start_time, [_path(event_id(self.execution.id, STARTED)), *needs])
        if job.status.is_terminal and not (before is not None and before.status.is_terminal):
            ending = {"outcome": _OUTCOMES[job_result(job)]}
            if job.status is not ExecutionStatus.SUCCESS:
                ending["errors"] = _why(job)
            yield self._task(JOB_FINISHED, job, job.completion_time, [_path(self._newest(job))], ending)

    def _needs(self, job: JobExecution) -> list[UUID]:
        """Return the ids of the executions that a job depends on."""
        names = set(job.job.dependencies)
        return [each.id for stage in self.execution.stages for each in stage.jobs if each.job.name in names]

    def _newest(self, job: JobExecution) -> str:
        """Return the id of the event before the end of a job: its start, or the queueing of the run."""
        return event_id(self.execution.id, QUEUED) if job.start_time is None else event_id(job.id, JOB_STARTED)

    def _finished(self) -> CDEvent:
        run = self.execution
        jobs = [job for stage in run.stages for job in stage.jobs]
        cause = cause_of(run.status, jobs)
        links = [{"linkType": "END", "from": {"contextId": event_id(run.id, STARTED if run.start_time else QUEUED)}}]
        if cause is not None:
            links.append(_relation("CAUSE", event_id(cause.id, JOB_FINISHED)))
        ending = {"outcome": _OUTCOMES[result(run.status, jobs)]}
        if run.status is not ExecutionStatus.SUCCESS:
            ending["errors"] = run.explain().text[:_MAX_ERRORS]
        return self._run(FINISHED, run.completion_time, links, ending, data=run)

    def _run(
        self,
        kind: str,
        time: datetime | None,
        links: list[dict[str, Any]],
        ending: Mapping[str, str] = JsonObject(),
        data: PipelineExecution | None = None,
    ) -> CDEvent:
        run = self.execution
        content = {"pipelineName": run.pipeline.name, "uri": self.uri(run.id), **ending}
        return self._event(kind, run.id, time, content, links, data=data)

    def _task(
        self,
        kind: str,
        job: JobExecution,
        time: datetime | None,
        links: list[dict[str, Any]],
        ending: Mapping[str, str] = JsonObject(),
    ) -> CDEvent:
        content = {
            "taskName": job.job.name,
            "uri": self.uri(job.id),
            "pipelineRun": {"id": str(self.execution.id)},
            **ending,
        }
        return self._event(kind, job.id, time, content, links, data=job)

    def _event(
        self,
        kind: str,
        execution_id: UUID,
        time: datetime | None,
        content: Mapping[str, Any],
        links: Iterable[Mapping[str, Any]],
        *,
        data: Any,
        subject_id: str | None = None,
    ) -> CDEvent:
        return CDEvent(
            id=event_id(execution_id, kind),
            source=self.source,
            type=f"{kind}.{_VERSION}",
            timestamp=self.at if time is None else time,
            subject_id=subject_id or str(execution_id),
            content=JsonObject(content),
            chain_id=str(self.execution.id),
            links=tuple(map(JsonObject, links)),
            custom_data=None if data is None else json_text({type(data).__name__: converter.unstructure(data)}),
        )


def _path(event: str) -> dict[str, Any]:
    return {"linkType": "PATH", "from": {"contextId": event}}


def _relation(kind: str, event: str) -> dict[str, Any]:
    return {"linkType": "RELATION", "linkKind": kind, "target": {"contextId": event}}


def _why(job: JobExecution) -> str:
    """Return why a job did not succeed, in whole sentences."""
    parts = [] if job.reason is None else [f"{job.reason}: {job.reason.description}"]
    if job.exit_code is not None:
        parts.append(f"Exit code {job.exit_code}.")
    return " ".join(parts) or job.status.description
