"""What is to run: jobs, the stages they stand in, and the pipeline of the stages."""

from functools import cached_property
from typing import TYPE_CHECKING, Annotated
from uuid import UUID, uuid4

from attrs import Factory, frozen

from .._fields import checked
from .._rules import SOME, Name, Texts
from ..errors import ContractError
from .graph import Graph, problems_of
from .plan import Plan, plan

if TYPE_CHECKING:
    from .execution import PipelineExecution

__all__ = ["Job", "Pipeline", "Stage"]


@frozen(kw_only=True)
@checked
class Job:
    """Commands that run together, and what they need to run.

    Attributes:
        id: Its id; a new one by default.
        name: Its name, the only one of its kind in the pipeline.
        script: Its shell commands, in order; at least one.
        docker_image: The image to run in; none means on the host.
        working_dir: Where to run, from the root of the repository; none means in the root.
        dependencies: Names of jobs of this or an earlier stage that must succeed before it; none by default.
        allow_failure: Whether its failure leaves the stage in ``SUCCESS``; false by default.
        artifacts: Glob patterns of the files to keep; none by default.

    Raises:
        ContractError: A field is refused.
    """

    id: UUID = Factory(uuid4)
    name: Name
    script: Texts
    docker_image: str | None = None
    working_dir: str | None = None
    dependencies: tuple[Name, ...] = ()
    allow_failure: bool = False
    artifacts: tuple[str, ...] = ()


@frozen(kw_only=True)
@checked
class Stage:
    """Jobs that may run side by side, as far as their dependencies allow.

    Attributes:
        id: Its id; a new one by default.
        name: Its name, the only one of its kind in the pipeline.
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
    stages: Annotated[tuple[Stage, ...], SOME]

    def __attrs_post_init__(self) -> None:
        if problems := problems_of(self.stages):
            raise ContractError(type(self), problems)

    def new_execution(
        self,
        *,
        run_number: int,
        commit_hash: str | None = None,
        is_local: bool = False,
        id: UUID | None = None,
    ) -> "PipelineExecution":
        """A run of this pipeline of which nothing has started.

        Args:
            run_number: Its number among the runs of this pipeline, from 1.
            commit_hash: The commit it runs on; that of the pipeline by default.
            is_local: Whether it is for the caller's own machine.
            id: Its id; a new one by default. Its stages and jobs get new ones.

        Raises:
            ContractError: An argument is refused.
        """
        from .execution import PipelineExecution
        from .parts import JobExecution, StageExecution

        return PipelineExecution(
            id=uuid4() if id is None else id,
            pipeline=self,
            run_number=run_number,
            commit_hash=self.commit_hash if commit_hash is None else commit_hash,
            is_local=is_local,
            stages=tuple(
                StageExecution(name=stage.name, jobs=tuple(JobExecution(job=job) for job in stage.jobs))
                for stage in self.stages
            ),
        )

    def plan(self) -> Plan:
        """The order in which it will run: its stages, and in each the waves of jobs that may run side by side."""
        return plan(self)

    @cached_property
    def _graph(self) -> Graph:
        """Who waits for whom; made when it is first asked for."""
        return Graph.of(self.stages)
