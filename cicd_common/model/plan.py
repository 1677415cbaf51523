"""In which order a pipeline will run, shown before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from .graph import needs_inside, waves

if TYPE_CHECKING:
    from .definition import Pipeline, Stage

__all__ = ["Plan", "PlannedStage", "plan"]


@frozen(kw_only=True)
class PlannedStage:
    """The order inside a stage.

    Attributes:
        name: The name of the stage.
        waves: The names of its jobs: those of a wave may run side by side, once all that they depend on has succeeded,
            which is in earlier waves or stages.
    """

    name: str
    waves: tuple[tuple[str, ...], ...]


@frozen(kw_only=True)
class Plan:
    """The order in which a pipeline will run.

    Attributes:
        stages: Its stages; each starts when the one before it has succeeded.
    """

    stages: tuple[PlannedStage, ...]

    def __str__(self) -> str:
        lines = []
        for stage in self.stages:
            lines.append(f"{stage.name}:")
            lines += [f"  {number}. {', '.join(wave)}" for number, wave in enumerate(stage.waves, 1)]
        return "\n".join(lines)


def plan(pipeline: Pipeline) -> Plan:
    """Lay out the order in which a pipeline will run, in linear time.

    Args:
        pipeline: The pipeline.
    """
    return Plan(stages=tuple(PlannedStage(name=stage.name, waves=_waves(stage)) for stage in pipeline.stages))


def _waves(stage: Stage) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(stage.jobs[place].name for place in wave) for wave in waves(needs_inside(stage)))
