"""Compare the times of reading and writing messages with those of other libraries, as tables of ratios.

Run with ``scripts/bench contract``. ``--write`` also writes the first two tables to RESULTS.md, and ``--pyperf FILE``
writes all times to a file for ``python -m pyperf``. With ``--strict`` it fails if a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pyperf
from figures import Figures, Timed
from goals import goals
from imports import measure_imports
from peers import BARE
from report import details, summary

_HERE = Path(__file__).parent
# Peers and the bare parser show how much of the growth comes from large documents in general.
_GROWING = ("msgspec", "json", "pydantic v2", "msgspec `Struct`", "mashumaro, json", BARE.name)


def _measure(processes: int, rounds: int, *contender: str) -> list[list[Timed]]:
    """Run several processes, one after the other, and return the times of each."""
    command = [sys.executable, str(_HERE / "worker.py"), str(rounds), *contender]
    outputs = [subprocess.check_output(command, text=True) for _ in range(processes)]
    return [[((*key,), times) for key, times in json.loads(output)] for output in outputs]


def _save(processes: list[list[Timed]], path: str) -> None:
    """Write all times as a suite of pyperf, with a run for each process."""
    by_key = {key: [dict(process)[key] for process in processes] for key, _ in processes[0]}
    benchmarks = [
        pyperf.Benchmark(
            [pyperf.Run(times, metadata={"name": ", ".join(key)}, collect_metadata=False) for times in runs]
        )
        for key, runs in by_key.items()
    ]
    pyperf.BenchmarkSuite(benchmarks).dump(path, replace=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench contract", description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=5, help="how many processes measure, one after the other")
    parser.add_argument("--rounds", type=int, default=30, help="how often each of them times everything")
    parser.add_argument("--write", action="store_true", help="write the goals and ratios to RESULTS.md")
    parser.add_argument("--pyperf", metavar="FILE", help="write all times to a file for pyperf")
    parser.add_argument("--strict", action="store_true", help="fail if a goal is missed")
    return parser.parse_args()


def main() -> int:
    options = _options()
    processes = _measure(options.processes, options.rounds)
    tables = Figures.of(processes)
    scaling = {name: Figures.of(_measure(options.processes, options.rounds, name)) for name in _GROWING}
    messages = list(dict.fromkeys(message for (message, _, _), _ in processes[0]))
    reached = goals(tables, scaling, measure_imports(options.rounds), messages)
    text = summary(tables, reached, messages)
    print(text, details(tables, scaling, messages), sep="\n")
    if options.write:
        (_HERE / "RESULTS.md").write_text(text)
    if options.pyperf:
        _save(processes, options.pyperf)
    return int(options.strict and not all(goal.is_met for goal in reached))


if __name__ == "__main__":
    sys.exit(main())
