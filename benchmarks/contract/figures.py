"""Times, and the ratios between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import geometric_mean, median

import attrs

__all__ = ["BOTH", "Figures", "Timed"]

Key = tuple[str, str, str]
Timed = tuple[Key, list[float]]
BOTH = ("read", "write")


@attrs.frozen
class Figures:
    """The least time of each case in each process.

    Other work on the machine only adds time, so the least time is the best estimate. Hashes and memory addresses differ
    between processes, so ratios are medians over the processes.

    Attributes:
        processes: The seconds of each case, for each process.
    """

    processes: list[dict[Key, float]]

    @classmethod
    def of(cls, processes: Iterable[Iterable[Timed]]) -> Figures:
        return cls([{key: min(times) for key, times in process} for process in processes])

    def microseconds(self, message: str, contender: str, way: str) -> float:
        return 1e6 * median(process[message, contender, way] for process in self.processes)

    def ratio(self, message: str, ours: str, peer: str, ways: Sequence[str] = BOTH) -> float:
        return median(
            _sum(process, message, ours, ways) / _sum(process, message, peer, ways) for process in self.processes
        )

    def mean_ratio(self, messages: Iterable[str], ours: str, peer: str, ways: Sequence[str] = BOTH) -> float:
        return geometric_mean([self.ratio(message, ours, peer, ways) for message in messages])

    def growth(self, small: int, large: int, contender: str, ways: Sequence[str] = BOTH) -> float:
        """The ratio of the time for each job in a large pipeline to that in a small one.

        A large pipeline needs all caches, which other processes use, too: so only the fastest process counts.
        """
        per_job = {
            jobs: min(_sum(each, str(jobs), contender, ways) for each in self.processes) / jobs
            for jobs in (small, large)
        }
        return per_job[large] / per_job[small]


def _sum(process: dict[Key, float], message: str, contender: str, ways: Sequence[str]) -> float:
    return sum(process[message, contender, way] for way in ways)
