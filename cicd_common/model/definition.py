"""Definitions: a pipeline has stages, and a stage has jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated
from uuid import UUID, uuid4

from attrs import Factory, frozen

from ..errors import ContractError, Problem
from ..fields import SOME, Kind, Name, Ordinal, Retries, checked, refuse
from ..values import Environment, JsonObject
from .graph import shortest_cycle

__all__ = ["SCRIPT", "Job", "Pipeline", "Stage", "job_environment", "needs_inside"]

SCRIPT = "script"
"""The kind of jobs that run shell commands."""


@frozen(kw_only=True)
@checked
class Job:
    """Work that runs in one place at one time, and what it needs to run.

    Attributes:
        id: Its id; a new one by default.
        name: Its name; no other job of the pipeline has it.
        kind: What the parameters mean; ``script`` by default.
        parameters: The parameters of the kind; empty by default.
        environment: Environment variables, which overlay those of the pipeline; empty by default.
        secrets: Names of the secrets that it gets, never their values; none by default.
        script: Its shell commands, in order; at least one if the kind is ``script``. None by default.
        docker_image: The image to run in; none means on the host.
        working_dir: Where to run, from the root of the repository; none means in the root.
        dependencies: Names of jobs of this or an earlier stage that must succeed before it; none by default.
        allow_failure: Whether its failure leaves the stage in ``SUCCESS``; false by default.
        timeout_seconds: How many seconds a try may take, from 1; none means no limit.
        retries: How often its Worker runs it again after it failed, 0 to 10; 0 by default.
        artifacts: Glob patterns of the files to keep; none by default.

    Raises:
        ContractError: A field is refused, or a job of the kind ``script`` has no commands.
    """

    id: UUID = Factory(uuid4)
    name: Name
    kind: Kind = SCRIPT
    parameters: JsonObject = JsonObject()
    environment: Environment = Environment()
    secrets: tuple[str, ...] = ()
    script: tuple[str, ...] = ()
    docker_image: str | None = None
    working_dir: str | None = None
    dependencies: tuple[Name, ...] = ()
    allow_failure: bool = False
    timeout_seconds: Ordinal | None = None
    retries: Retries = 0
    artifacts: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        if self.kind == SCRIPT and not self.script:
            raise refuse(type(self), "/script", "expected at least one command for a job of the kind script")


@frozen(kw_only=True)
@checked
class Stage:
    """Jobs that may run side by side, as far as their dependencies allow.

    Attributes:
        id: Its id; a new one by default.
        name: Its name; no other stage of the pipeline has it.
        jobs: Its jobs; at least one.

    Raises:
        ContractError: A field is refused.
    """

    id: UUID = Factory(uuid4)
    name: Name
    jobs: Annotated[tuple[Job, ...], SOME]


@frozen(kw_only=True)
@checked
class Pipeline:
    """Stages that run one after the other.

    Attributes:
        id: Its id; a new one by default.
        name: Its name.
        repo_url: The repository that it is for.
        branch: The branch that it runs on; ``main`` by default.
        commit_hash: The commit that it runs on; none means the head of the branch.
        kind: What the parameters mean; ``pipeline`` by default.
        parameters: The parameters of the kind; empty by default.
        environment: Environment variables of all its jobs; empty by default.
        stages: Its stages, in the order in which they run; at least one.

    Raises:
        ContractError: A field is refused; two stages or two jobs have one name or one id; or a dependency does not
            exist, points to a later stage or to the job itself, or is part of a cycle.
    """

    id: UUID = Factory(uuid4)
    name: Name
    repo_url: str
    branch: Name = "main"
    commit_hash: str | None = None
    kind: Kind = "pipeline"
    parameters: JsonObject = JsonObject()
    environment: Environment = Environment()
    stages: Annotated[tuple[Stage, ...], SOME]

    def __attrs_post_init__(self) -> None:
        if not _is_in_order(self.stages) and (problems := [*_repeats(self), *_dependencies(self), *_cycles(self)]):
            raise ContractError(type(self), problems)

    def _jobs(self) -> Iterator[tuple[int, int, Job]]:
        """Yield each job with the place of its stage and its place in the stage."""
        for at, stage in enumerate(self.stages):
            for place, job in enumerate(stage.jobs):
                yield at, place, job


def job_environment(pipeline: Environment, job: Environment, run: Environment) -> Environment:
    """Return the environment that a job runs in: its pipeline's, overlaid by its own, overlaid by that of the run.

    Args:
        pipeline: The environment of the pipeline.
        job: The environment of the job.
        run: The environment of the pipeline execution.
    """
    return pipeline | job | run


def needs_inside(stage: Stage) -> list[list[int]]:
    """Return for each job of a stage the places of the jobs of the same stage that it depends on.

    Args:
        stage: The stage.
    """
    places = {job.name: place for place, job in enumerate(stage.jobs)}
    return [
        [places[name] for name in dict.fromkeys(job.dependencies) if name in places and name != job.name]
        for job in stage.jobs
    ]


# --- what is wrong with a pipeline -------------------------------------------------------------------------------


def _is_in_order(stages: Sequence[Stage]) -> bool:
    """Tell whether no name and no id repeats and every job comes after its dependencies, so that no problem is left.

    A pipeline in which a job depends on one further down in its stage may be valid as well.
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


def _repeats(pipeline: Pipeline) -> Iterator[Problem]:
    stages = ((f"/stages/{at}", stage) for at, stage in enumerate(pipeline.stages))
    jobs = ((f"/stages/{at}/jobs/{place}", job) for at, place, job in pipeline._jobs())
    yield from _repeats_of("stage", stages)
    yield from _repeats_of("job", jobs)


def _repeats_of(kind: str, items: Iterable[tuple[str, Stage | Job]]) -> Iterator[Problem]:
    names: set[str] = set()
    ids: set[UUID] = set()
    for pointer, item in items:
        if item.name in names:
            yield Problem(f"{pointer}/name", "value", f"expected one {kind} named {item.name}, found another")
        if item.id in ids:
            message = f"expected another id for the {kind} {item.name}, found that of a {kind} before it"
            yield Problem(f"{pointer}/id", "value", message)
        names.add(item.name)
        ids.add(item.id)


def _dependencies(pipeline: Pipeline) -> Iterator[Problem]:
    stage_of: dict[str, int] = {}
    for at, _, job in pipeline._jobs():
        stage_of.setdefault(job.name, at)
    for at, place, job in pipeline._jobs():
        for index, name in enumerate(job.dependencies):
            if name == job.name:
                message = f"expected job {job.name} not to depend on itself"
            elif name not in stage_of:
                message = f"expected job {job.name} to depend on jobs of this pipeline, which has no job {name}"
            elif stage_of[name] > at:
                message = f"expected job {job.name} not to depend on job {name}, which is in a later stage"
            else:
                continue
            yield Problem(f"/stages/{at}/jobs/{place}/dependencies/{index}", "value", message)


def _cycles(pipeline: Pipeline) -> Iterator[Problem]:
    """Yield a problem for one cycle, if there is any. It is inside a stage: jobs cannot depend on later stages."""
    for at, stage in enumerate(pipeline.stages):
        if path := shortest_cycle(needs_inside(stage)):
            names = " -> ".join(stage.jobs[place].name for place in path)
            message = f"expected no cycle of dependencies, found {names}"
            yield Problem(f"/stages/{at}/jobs/{path[0]}/dependencies", "value", message)
            return
