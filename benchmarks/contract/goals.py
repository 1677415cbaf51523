"""The goals of the benchmark."""

from __future__ import annotations

from statistics import geometric_mean, median

import attrs
from cases import LARGE, SMALL
from figures import Figures

__all__ = ["Goal", "goals"]


@attrs.frozen
class Goal:
    """A ratio and its upper limit.

    Attributes:
        what: The name of the ratio in the table.
        limit: The limit.
        measured: The measured ratios: one for each message, or a single one.
    """

    what: str
    limit: float
    measured: list[float]

    @property
    def is_met(self) -> bool:
        return round(max(self.measured), 2) <= self.limit

    @property
    def row(self) -> tuple[str, ...]:
        mean, worst = geometric_mean(self.measured), max(self.measured)
        met = "yes" if self.is_met else "on average" if round(mean, 2) <= self.limit else "no"
        return self.what, f"{self.limit:.2f}", f"{mean:.2f}", f"{worst:.2f}", met


def goals(
    tables: Figures, scaling: dict[str, Figures], imports: dict[str, list[float]], messages: list[str]
) -> list[Goal]:
    return [
        *(
            Goal(f"engine `{ours}` to {peer}", limit, [tables.ratio(message, ours, peer) for message in messages])
            for ours, peer, limit in _PEERS
        ),
        Goal("engine `msgspec` to pydantic v2, mean", 0.50, [tables.mean_ratio(messages, "msgspec", "pydantic v2")]),
        *(
            Goal(
                f"engine `{ours}`: a job of {LARGE:,} to one of {SMALL}",
                1.30,
                [scaling[ours].growth(SMALL, LARGE, ours)],
            )
            for ours in ("msgspec", "json")
        ),
        *(
            Goal(f"`import cicd_common` {msgspec} msgspec to `import cattrs`", 1.60, [_import_ratio(imports, engine)])
            for engine, msgspec in (("msgspec", "with"), ("json", "without"))
        ),
    ]


_PEERS = [("msgspec", "pydantic v2", 0.60), ("msgspec", "msgspec `Struct`", 2.00), ("json", "mashumaro, json", 0.85)]


def _import_ratio(imports: dict[str, list[float]], engine: str) -> float:
    return median(ours / theirs for ours, theirs in zip(imports[engine], imports["cattrs"], strict=True))
