"""The moving part of a pipeline execution: all that follows from its jobs, kept up with at each change.

A change costs what it changes, however many jobs there are: nothing is counted again, nothing copied whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from attrs import evolve, frozen

from ..enums import ExecutionStatus
from .graph import Graph
from .span import Span, earliest, latest
from .status import StatusCounts
from .vector import Vector

if TYPE_CHECKING:
    from .parts import JobExecution, StageExecution

__all__ = ["Run"]

_STOPPED = (ExecutionStatus.FAILED, ExecutionStatus.CANCELED)


@frozen(eq=False, kw_only=True)
class Run:
    """All that follows from the jobs of a run. Jobs and stages are named by their places, as in `Graph`.

    Attributes:
        graph: Who waits for whom.
        places: The place of the job execution of an id.
        jobs: The job executions.
        waits: For each job, for how many others it still waits.
        spans: The span of each stage.
        whole: The span of the pipeline, whose children are the stages.
        open_stage: The first stage that is not in ``SUCCESS``; the number of stages if all are.
        candidates: Jobs that became ready and, since then, may have been handed out or moved on.
        is_halted: Whether no more jobs are to start.
    """

    graph: Graph
    places: Mapping[UUID, int]
    jobs: Vector[JobExecution]
    waits: Vector[int]
    spans: Vector[Span]
    whole: Span
    open_stage: int
    candidates: tuple[int, ...]
    is_halted: bool

    @classmethod
    def of(cls, graph: Graph, stages: tuple[StageExecution, ...], is_halted: bool) -> Run:
        """Look at every job once."""
        jobs = [job for stage in stages for job in stage.jobs]
        counted = [job.counted_status for job in jobs]
        waits = [sum(counted[other] is not ExecutionStatus.SUCCESS for other in others) for others in graph.needs]
        spans = [stage.span for stage in stages]
        step = _Step(
            cls(
                graph=graph,
                places={job.id: place for place, job in enumerate(jobs)},
                jobs=Vector.of(jobs),
                waits=Vector.of(waits),
                spans=Vector.of(spans),
                whole=Span(
                    StatusCounts.of(span.counts.status for span in spans),
                    earliest(*(span.start for span in spans)),
                    latest(*(span.end for span in spans)),
                ),
                open_stage=-1,
                candidates=(),
                is_halted=is_halted or any(status in _STOPPED for status in counted),
            )
        )
        step.open_next()
        return step.run()

    def ready(self) -> Iterator[int]:
        """The jobs that may be handed out now, in the order of definition."""
        if not self.is_halted:
            for place in sorted(self.candidates):
                if self.jobs[place].is_waiting:
                    yield place

    def with_job(self, place: int, job: JobExecution) -> Run:
        """The run after a job has changed, with all that follows from it."""
        step = _Step(self)
        step.put(place, job)
        return step.run()

    def handed_out(self, at: datetime) -> Run:
        """The run after all that is ready has been handed out."""
        step = _Step(self)
        for place in self.ready():
            step.put(place, evolve(self.jobs[place], queued_at=at))
        step.candidates = []
        return step.run()

    def halted(self) -> Run:
        """The run after what was not handed out has been canceled."""
        step = _Step(self)
        step.halt()
        return step.run()


class _Step:
    """A run on its way to the next. Lives inside one call only."""

    def __init__(self, run: Run) -> None:
        self._from = run
        self.graph = run.graph
        self.jobs = run.jobs
        self.waits = run.waits
        self.spans = run.spans
        self.whole = run.whole
        self.open_stage = run.open_stage
        self.candidates = list(run.candidates)
        self.is_halted = run.is_halted

    def run(self) -> Run:
        return Run(
            graph=self.graph,
            places=self._from.places,
            jobs=self.jobs,
            waits=self.waits,
            spans=self.spans,
            whole=self.whole,
            open_stage=self.open_stage,
            candidates=tuple(self.candidates),
            is_halted=self.is_halted,
        )

    def put(self, place: int, job: JobExecution) -> None:
        was, now = self.jobs[place].counted_status, job.counted_status
        self.jobs = self.jobs.put(place, job)
        self._widen(self.graph.stage_of[place], was, now, job)
        if was is now:
            return
        if now is ExecutionStatus.SUCCESS:
            self._release(place)
            self.open_next()
        elif now in _STOPPED and not self.is_halted:
            self.halt()

    def _widen(self, stage: int, was: ExecutionStatus, now: ExecutionStatus, job: JobExecution) -> None:
        before = self.spans[stage]
        span = before.after(was, now, job.start_time, job.completion_time)
        if span != before:
            self.spans = self.spans.put(stage, span)
            self.whole = self.whole.after(before.counts.status, span.counts.status, span.start, span.end)

    def _release(self, place: int) -> None:
        for dependent in self.graph.dependents[place]:
            left = self.waits[dependent] - 1
            self.waits = self.waits.put(dependent, left)
            if not left and self.graph.stage_of[dependent] <= self.open_stage:
                self.candidates.append(dependent)

    def open_next(self) -> None:
        """Open the stage after the last one that is in ``SUCCESS``, if it is not open yet."""
        stages = len(self.graph.starts) - 1
        stage = max(self.open_stage, 0)
        while stage < stages and self.spans[stage].counts.status is ExecutionStatus.SUCCESS:
            stage += 1
        if self.open_stage < stage < stages:
            jobs = range(self.graph.starts[stage], self.graph.starts[stage + 1])
            self.candidates += [place for place in jobs if not self.waits[place]]
        self.open_stage = stage

    def halt(self) -> None:
        """Cancel every job that was not handed out."""
        self.is_halted = True
        self.candidates = []
        for place, job in enumerate(self.jobs):
            if job.is_waiting:
                self.put(place, evolve(job, status=ExecutionStatus.CANCELED))
