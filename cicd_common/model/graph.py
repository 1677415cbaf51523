"""Jobs and their dependencies as a graph: whether it can run, and who waits for whom. All in linear time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from ..errors import Problem

if TYPE_CHECKING:
    from .definition import Job, Stage

__all__ = ["Graph", "problems_of"]


@frozen
class Graph:
    """Who waits for whom in a pipeline. Jobs are named by their place in the order of definition, from 0.

    Attributes:
        jobs: All jobs.
        places: The place of the job of a name.
        starts: For each stage the place of its first job; and, last, the number of jobs.
        stage_of: For each job the place of its stage.
        dependents: For each job those that wait for it.
        needs: For each job those that it waits for.
    """

    jobs: tuple[Job, ...]
    places: Mapping[str, int]
    starts: tuple[int, ...]
    stage_of: tuple[int, ...]
    dependents: tuple[tuple[int, ...], ...]
    needs: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, stages: Sequence[Stage]) -> Graph:
        """Make the graph of stages in which `problems_of` finds none."""
        jobs = tuple(job for stage in stages for job in stage.jobs)
        places = {job.name: place for place, job in enumerate(jobs)}
        starts = [0]
        for stage in stages:
            starts.append(starts[-1] + len(stage.jobs))
        dependents: list[list[int]] = [[] for _ in jobs]
        needs = [tuple({places[name] for name in job.dependencies}) for job in jobs]
        for place, others in enumerate(needs):
            for other in others:
                dependents[other].append(place)
        return cls(
            jobs,
            places,
            tuple(starts),
            tuple(at for at, stage in enumerate(stages) for _ in stage.jobs),
            tuple(map(tuple, dependents)),
            tuple(needs),
        )


def problems_of(stages: Sequence[Stage]) -> list[Problem]:
    """Everything that keeps stages from being a pipeline, with pointers from the pipeline."""
    return [*_twice(stages), *_dependencies(stages), *_cycles(stages)]


def _each_job(stages: Sequence[Stage]) -> Iterator[tuple[str, int, Job]]:
    for at, stage in enumerate(stages):
        for place, job in enumerate(stage.jobs):
            yield f"/stages/{at}/jobs/{place}", at, job


def _twice(stages: Sequence[Stage]) -> Iterator[Problem]:
    named_stages = [(f"/stages/{at}", stage) for at, stage in enumerate(stages)]
    named_jobs = [(pointer, job) for pointer, _, job in _each_job(stages)]
    for kind, things in (("stage", named_stages), ("job", named_jobs)):
        names: set[str] = set()
        ids: set[object] = set()
        for pointer, thing in things:
            if thing.name in names:
                yield Problem(f"{pointer}/name", "value", f"expected one {kind} named {thing.name}, found another")
            if thing.id in ids:
                message = f"expected an id of its own for the {kind} {thing.name}, found that of another {kind}"
                yield Problem(f"{pointer}/id", "value", message)
            names.add(thing.name)
            ids.add(thing.id)


def _dependencies(stages: Sequence[Stage]) -> Iterator[Problem]:
    stage_of = {job.name: at for _, at, job in reversed(list(_each_job(stages)))}
    for pointer, at, job in _each_job(stages):
        for index, name in enumerate(job.dependencies):
            if reason := _refusal(job.name, at, name, stage_of.get(name)):
                yield Problem(f"{pointer}/dependencies/{index}", "value", reason)


def _refusal(job: str, stage: int, dependency: str, its_stage: int | None) -> str | None:
    if dependency == job:
        return f"expected job {job} not to depend on itself"
    if its_stage is None:
        return f"expected job {job} to depend on jobs of this pipeline, which has no job {dependency}"
    if its_stage > stage:
        return f"expected job {job} not to depend on job {dependency}, which is in a later stage"
    return None


def _cycles(stages: Sequence[Stage]) -> Iterator[Problem]:
    """One cycle, if there is any: of those through one of its jobs the shortest.

    Only dependencies inside a stage can close a cycle, since those on a later stage are refused anyway.
    """
    for at, stage in enumerate(stages):
        stuck = _stuck(stage)
        if stuck:
            path = _shortest_cycle(stuck)
            place = [job.name for job in stage.jobs].index(path[0])
            message = f"expected no cycle of dependencies, found {' -> '.join(path)}"
            yield Problem(f"/stages/{at}/jobs/{place}/dependencies", "value", message)
            return


def _stuck(stage: Stage) -> dict[str, list[str]]:
    """The jobs of a stage that can never start since they wait for each other, and for which of them each waits."""
    here = {job.name for job in stage.jobs}
    needs = {job.name: {name for name in job.dependencies if name in here and name != job.name} for job in stage.jobs}
    dependents: dict[str, list[str]] = {name: [] for name in needs}
    for name, others in needs.items():
        for other in others:
            dependents[other].append(name)
    waits = {name: len(others) for name, others in needs.items()}
    free = deque(name for name, count in waits.items() if not count)
    while free:
        for name in dependents[free.popleft()]:
            waits[name] -= 1
            if not waits[name]:
                free.append(name)
    return {name: [other for other in others if waits[other]] for name, others in needs.items() if waits[name]}


def _shortest_cycle(stuck: Mapping[str, Sequence[str]]) -> list[str]:
    """The shortest way from a job that is on a cycle back to it, by what each job waits for."""
    start = _on_a_cycle(stuck)
    before: dict[str, str] = {}
    reached = deque([start])
    while start not in before:
        name = reached.popleft()
        for other in stuck[name]:
            if other not in before:
                before[other] = name
                reached.append(other)
    path = [start]
    while len(path) == 1 or path[-1] != start:
        path.append(before[path[-1]])
    return path[::-1]


def _on_a_cycle(stuck: Mapping[str, Sequence[str]]) -> str:
    """A job on a cycle: who walks along what jobs wait for, each waiting for another, must come back to one."""
    seen: set[str] = set()
    name = next(iter(stuck))
    while name not in seen:
        seen.add(name)
        name = stuck[name][0]
    return name
