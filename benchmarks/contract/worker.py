"""One process of a measurement: times cases in turns, and prints the seconds of each as JSON.

Run as ``worker.py ROUNDS`` for the tables, or as ``worker.py ROUNDS CONTENDER`` for a small and a large pipeline: each
contender grows in a process of its own, since what others leave behind in memory shows in a large one.
"""

from __future__ import annotations

import gc
import json
import sys
from timeit import Timer

from cases import Case, scaling_cases, table_cases

__all__ = ["main"]

# Long enough that the clock does not matter, short enough to fall between what else the machine does.
_SAMPLE = 0.001


def _loops(timer: Timer) -> int:
    return max(1, round(_SAMPLE / min(timer.repeat(5, 1))))


def _time(cases: list[Case], rounds: int) -> list[tuple[tuple[str, str, str], list[float]]]:
    timers = [case.timer() for case in cases]
    loops = [_loops(timer) for timer in timers]
    times: list[list[float]] = [[] for _ in cases]
    for _ in range(rounds):
        for at, timer in enumerate(timers):
            times[at].append(timer.timeit(loops[at]) / loops[at])
        gc.collect()  # It is off while timeit times.
    return [(case.key, each) for case, each in zip(cases, times, strict=True)]


def main(rounds: int, contender: str | None = None) -> None:
    groups = table_cases() if contender is None else [scaling_cases(contender)]
    gc.freeze()
    json.dump([timed for cases in groups for timed in _time(cases, rounds)], sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
