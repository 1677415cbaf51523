"""Time the cases in turns, and print the seconds of each as JSON.

``worker.py ROUNDS`` times the cases of the tables. ``worker.py ROUNDS CONTENDER`` times a small and a large pipeline of
one contender, because the memory that others have used affects the times of a large pipeline.
"""

from __future__ import annotations

import gc
import json
import sys
from timeit import Timer

from cases import Case, scaling_cases, table_cases

__all__ = ["main"]

# Seconds: long enough for the resolution of the clock, short enough to run without interruption by other processes.
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
        gc.collect()  # timeit turns it off while it measures.
    return [(case.key, each) for case, each in zip(cases, times, strict=True)]


def main(rounds: int, contender: str | None = None) -> None:
    groups = table_cases() if contender is None else [scaling_cases(contender)]
    gc.freeze()
    json.dump([timed for cases in groups for timed in _time(cases, rounds)], sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
