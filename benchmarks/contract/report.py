"""The results as tables in Markdown."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version

from cases import LARGE, SMALL
from figures import BOTH, Figures
from goals import Goal
from peers import OURS, PEERS
from refusals import BROKEN, refused

__all__ = ["details", "summary"]

_PACKAGES = ("attrs", "cattrs", "msgspec", "pydantic", "mashumaro", "adaptix", "orjson")


def summary(tables: Figures, goals: list[Goal], messages: list[str]) -> str:
    """The goals, the ratios of reading and writing together, and the number of invalid documents that are refused."""
    packages = ", ".join(f"{package} {version(package)}" for package in _PACKAGES)
    return _joined(
        _table(("goal", "at most", "mean", "worst", "met"), [goal.row for goal in goals]),
        _ratios(tables, messages, BOTH),
        f"Of {len(BROKEN)} documents that each break one rule of the contract, these refuse: {_refusals()}.",
        f"Measured with {platform.python_implementation()} {platform.python_version()}, {packages}.",
    )


def details(tables: Figures, scaling: dict[str, Figures], messages: list[str]) -> str:
    """The separate ratios of reading and writing, the times, and the growth with the number of jobs."""
    return _joined(
        f"Read:\n\n{_ratios(tables, messages, ['read'])}",
        f"Write:\n\n{_ratios(tables, messages, ['write'])}",
        f"Microseconds:\n\n{_times(tables, messages)}",
        f"A job of a pipeline of {LARGE:,}, to one of a pipeline of {SMALL}:\n\n{_growth(scaling)}",
    )


def _joined(*parts: str) -> str:
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
        pairs = [[figures.microseconds(message, contender.name, way) for way in BOTH] for message in messages]
        rows.append(
            (
                _label(contender.name),
                *(" + ".join(f"{time:,.{1 if time < 100 else 0}f}" for time in pair) for pair in pairs),
            )
        )
    return _table(("read + write", *messages), rows)


def _growth(scaling: dict[str, Figures]) -> str:
    headings = {"read": ["read"], "write": ["write"], "both": BOTH}
    rows = [
        (_label(name), *(f"{figures.growth(SMALL, LARGE, name, ways):.2f}" for ways in headings.values()))
        for name, figures in scaling.items()
    ]
    return _table(("", *headings), rows)


def _refusals() -> str:
    return ", ".join(f"{_label(contender.name)} {refused(contender)}" for contender in (*OURS, *PEERS))


def _label(contender: str) -> str:
    return f"engine `{contender}`" if contender in [ours.name for ours in OURS] else contender


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))
