"""Jobs and their dependencies as a graph: whether it can run, and who waits for whom. All in linear time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from attrs import frozen

from ..errors import Problem

if TYPE_CHECKING:
    from .definition import Job, Stage

__all__ = ["Graph", "needs_inside", "problems_of", "waves"]


@frozen
class Graph:
    """Who waits for whom in a pipeline. Jobs are named by their place in the order of definition, from 0.

    Attributes:
        starts: For each stage the place of its first job; and, last, the number of jobs.
        stage_of: For each job the place of its stage.
        dependents: For each job those that wait for it.
        needs: For each job those that it waits for.
    """

    starts: tuple[int, ...]
    stage_of: tuple[int, ...]
    dependents: tuple[tuple[int, ...], ...]
    needs: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, stages: Sequence[Stage]) -> Graph:
        """Make the graph of stages in which `problems_of` finds none."""
        jobs = [job for stage in stages for job in stage.jobs]
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
            tuple(starts),
            tuple(at for at, stage in enumerate(stages) for _ in stage.jobs),
            tuple(map(tuple, dependents)),
            tuple(needs),
        )


def problems_of(stages: Sequence[Stage]) -> list[Problem]:
    """Everything that keeps stages from being a pipeline, with pointers from the pipeline."""
    if _is_in_order(stages):
        return []
    return [*_twice(stages), *_dependencies(stages), *_cycles(stages)]


def _is_in_order(stages: Sequence[Stage]) -> bool:
    """Whether nothing is there twice and all jobs come after those they depend on: a sound pipeline, most likely.

    One of which a job waits for one further down in its stage may be sound as well.
    """
    names: set[str] = set()
    for stage in stages:
        for job in stage.jobs:
            if not names.issuperset(job.dependencies):
                return False
            names.add(job.name)
    ids = {job.id.int for stage in stages for job in stage.jobs}
    count = sum(len(stage.jobs) for stage in stages)
    return len(names) == len(ids) == count and len({stage.name for stage in stages}) == len(
        {stage.id.int for stage in stages}
    ) == len(stages)


def _each_job(stages: Sequence[Stage]) -> Iterator[tuple[int, int, Job]]:
    for at, stage in enumerate(stages):
        for place, job in enumerate(stage.jobs):
            yield at, place, job


def _twice(stages: Sequence[Stage]) -> Iterator[Problem]:
    yield from _doubles("stage", ((stage, (at,)) for at, stage in enumerate(stages)))
    yield from _doubles("job", ((job, (at, place)) for at, place, job in _each_job(stages)))


def _doubles(kind: str, things: Iterable[tuple[Stage | Job, tuple[int, ...]]]) -> Iterator[Problem]:
    names: set[str] = set()
    ids: set[UUID] = set()
    for thing, places in things:
        if thing.name in names:
            message = f"expected one {kind} named {thing.name}, found another"
            yield Problem(f"{_pointer(places)}/name", "value", message)
        if thing.id in ids:
            message = f"expected an id of its own for the {kind} {thing.name}, found that of another {kind}"
            yield Problem(f"{_pointer(places)}/id", "value", message)
        names.add(thing.name)
        ids.add(thing.id)


def _pointer(places: tuple[int, ...]) -> str:
    """The pointer of a stage, by its place, or of a job, by the places of its stage and its own."""
    return "".join(f"/{kind}/{place}" for kind, place in zip(("stages", "jobs"), places, strict=False))


def _dependencies(stages: Sequence[Stage]) -> Iterator[Problem]:
    stage_of: dict[str, int] = {}
    for at, _, job in _each_job(stages):
        stage_of.setdefault(job.name, at)
    for at, place, job in _each_job(stages):
        for index, name in enumerate(job.dependencies):
            if reason := _refusal(job.name, at, name, stage_of.get(name)):
                yield Problem(f"/stages/{at}/jobs/{place}/dependencies/{index}", "value", reason)


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
        needs = needs_inside(stage)
        free = {place for wave in waves(needs) for place in wave}
        if len(free) < len(needs):
            path = _shortest_cycle([[other for other in others if other not in free] for others in needs])
            names = " -> ".join(stage.jobs[place].name for place in path)
            message = f"expected no cycle of dependencies, found {names}"
            yield Problem(f"/stages/{at}/jobs/{path[0]}/dependencies", "value", message)
            return


def needs_inside(stage: Stage) -> list[list[int]]:
    """For each job of a stage the others of the stage that it waits for. Jobs are named by their places in the stage.

    Jobs of earlier stages are done when this one starts.
    """
    places = {job.name: place for place, job in enumerate(stage.jobs)}
    return [
        [places[name] for name in dict.fromkeys(job.dependencies) if name in places and name != job.name]
        for job in stage.jobs
    ]


def waves(needs: Sequence[Sequence[int]]) -> list[list[int]]:
    """Put jobs into waves: each job in the first one behind all that it waits for.

    Args:
        needs: For each job those that it waits for.

    Returns:
        The waves; jobs that wait for each other, so that none can ever be first, are in none.
    """
    dependents: list[list[int]] = [[] for _ in needs]
    for place, others in enumerate(needs):
        for other in others:
            dependents[other].append(place)
    left = [len(others) for others in needs]
    found = []
    wave = [place for place, count in enumerate(left) if not count]
    while wave:
        found.append(wave)
        after = []
        for place in wave:
            for dependent in dependents[place]:
                left[dependent] -= 1
                if not left[dependent]:
                    after.append(dependent)
        wave = sorted(after)
    return found


def _shortest_cycle(needs: Sequence[Sequence[int]]) -> list[int]:
    """The shortest way from a job that is on a cycle back to it, by what each job waits for."""
    start = _on_a_cycle(needs)
    before: dict[int, int] = {}
    reached = deque([start])
    while start not in before:
        place = reached.popleft()
        for other in needs[place]:
            if other not in before:
                before[other] = place
                reached.append(other)
    path = [start]
    while len(path) == 1 or path[-1] != start:
        path.append(before[path[-1]])
    return path[::-1]


def _on_a_cycle(needs: Sequence[Sequence[int]]) -> int:
    """A job on a cycle: who walks along what jobs wait for, each waiting for another, must come back to one."""
    seen: set[int] = set()
    place = next(place for place, others in enumerate(needs) if others)
    while place not in seen:
        seen.add(place)
        place = needs[place][0]
    return place
