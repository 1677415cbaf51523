"""The goals, and whether they are met."""

from __future__ import annotations

from statistics import median

import attrs
from cases import LARGE, SMALL
from figures import Figures

__all__ = ["Goal", "goals"]


@attrs.frozen
class Goal:
    """A ratio that is not to be exceeded."""

    what: str
    limit: float
    measured: float

    @property
    def is_met(self) -> bool:
        return self.measured <= self.limit

    @property
    def row(self) -> tuple[str, ...]:
        return self.what, f"{self.limit:.2f}", f"{self.measured:.2f}", "yes" if self.is_met else "**no**"


def goals(tables: Figures, scaling: Figures, imports: dict[str, list[float]], messages: list[str]) -> list[Goal]:
    peers = [("msgspec", "pydantic v2", 0.60), ("msgspec", "msgspec `Struct`", 2.00), ("json", "mashumaro, json", 0.85)]
    found = []
    for ours, peer, limit in peers:
        what = f"engine `{ours}` to {peer}"
        found += [Goal(f"{what}: {message}", limit, tables.ratio(message, ours, peer)) for message in messages]
        found.append(Goal(f"{what}: geometric mean", limit, tables.mean_ratio(messages, ours, peer)))
    for ours in ("msgspec", "json"):
        what = f"engine `{ours}`: a job of a pipeline of {LARGE:,} to one of {SMALL}"
        found.append(Goal(what, 1.30, scaling.growth(SMALL, LARGE, ours)))
    for name, with_or_without in (("msgspec", "with"), ("json", "without")):
        ratio = median(ours / theirs for ours, theirs in zip(imports[name], imports["cattrs"], strict=True))
        found.append(Goal(f"`import cicd_common`, {with_or_without} msgspec, to `import cattrs`", 1.60, ratio))
    return found
