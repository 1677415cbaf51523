"""The order in which a pipeline will run, known before anything runs."""

from __future__ import annotations

from attrs import frozen

from .definition import Pipeline, needs_inside
from .graph import waves

__all__ = ["Plan", "PlannedStage"]


@frozen(kw_only=True)
class PlannedStage:
    """The order inside a stage.

    Attributes:
        name: The name of the stage.
        waves: The names of its jobs. The jobs of a wave may run side by side once the jobs that they depend on have
            succeeded, which are in earlier waves or stages.
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

    @classmethod
    def of(cls, pipeline: Pipeline) -> Plan:
        """Return the order in which a pipeline will run, in linear time.

        Args:
            pipeline: The pipeline.
        """
        return cls(
            stages=tuple(
                PlannedStage(
                    name=stage.name,
                    waves=tuple(tuple(stage.jobs[place].name for place in wave) for wave in waves(needs_inside(stage))),
                )
                for stage in pipeline.stages
            )
        )

    def __str__(self) -> str:
        lines = []
        for stage in self.stages:
            lines.append(f"{stage.name}:")
            lines += [f"  {number}. {', '.join(wave)}" for number, wave in enumerate(stage.waves, 1)]
        return "\n".join(lines)
