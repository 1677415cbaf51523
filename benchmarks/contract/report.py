"""What was measured, as tables in Markdown."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version

from figures import BOTH, Figures
from goals import Goal
from peers import OURS, PEERS
from refusals import BROKEN, refused

__all__ = ["report"]

_PACKAGES = ("attrs", "cattrs", "msgspec", "pydantic", "mashumaro", "adaptix", "orjson")


def report(tables: Figures, goals: list[Goal], messages: list[str]) -> str:
    """All tables.

    Args:
        tables: The times of the messages.
        goals: The goals, as measured.
        messages: The names of the messages.
    """
    headings = {"Read and write": BOTH, "Read": ["read"], "Write": ["write"]}
    parts = [
        _table(("goal", "at most", "measured", "met"), [goal.row for goal in goals]),
        *(f"### {heading}\n\n{_ratios(tables, messages, ways)}" for heading, ways in headings.items()),
        f"### Microseconds\n\n{_times(tables, messages)}",
        f"### Refused, of {len(BROKEN)} documents that break a rule\n\n{_refusals()}",
        f"Measured with {platform.python_implementation()} {platform.python_version()}, "
        + ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
        + ".",
    ]
    return "\n\n".join(parts) + "\n"


def _ratios(figures: Figures, messages: list[str], ways: Sequence[str]) -> str:
    rows = []
    for ours in OURS:
        for peer in PEERS:
            ratios = [figures.ratio(message, ours.name, peer.name, ways) for message in messages]
            mean = figures.mean_ratio(messages, ours.name, peer.name, ways)
            rows.append((f"`{ours.name}` / {peer.name}", *(f"{ratio:.2f}" for ratio in (*ratios, mean))))
    return _table(("engine / peer", *messages, "geometric mean"), rows)


def _times(figures: Figures, messages: list[str]) -> str:
    rows = []
    for contender in (*OURS, *PEERS):
        name = f"engine `{contender.name}`" if contender in OURS else contender.name
        pairs = [[figures.microseconds(message, contender.name, way) for way in BOTH] for message in messages]
        rows.append((name, *(" + ".join(f"{time:,.{1 if time < 100 else 0}f}" for time in pair) for pair in pairs)))
    return _table(("read + write", *messages), rows)


def _refusals() -> str:
    contenders = (*OURS, *PEERS)
    names = [f"engine `{contender.name}`" if contender in OURS else contender.name for contender in contenders]
    return _table(names, [[str(refused(contender)) for contender in contenders]])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))
