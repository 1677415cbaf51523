"""Measure the time and the memory that 100 MB of output take from the job to ``cicd logs``.

    python benchmarks/system/output.py [embedded] [rabbitmq] [redis] [--megabytes N] [--rounds N]

A job prints numbered lines of 100 bytes. The times are those of the run, and of ``cicd logs``, which writes the output
to a file. The memory is the peak of each process, from ``/proc``, so the program needs Linux. It prints a Markdown
table. The addresses of RabbitMQ, Redis and PostgreSQL are those of the tests; see
``tests/support/examples/settings.py``.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from cicd_common import ExecutionStatus
from cicd_common.model import Job, Pipeline, Stage
from tests.support.examples.programs import Program
from tests.support.examples.settings import SETTINGS
from tests.support.examples.system import System
from tests.support.examples.waiting import until

EXAMPLES = Path(__file__).parents[2] / "examples"
LINE = 100  # Bytes.


def most_memory(program: Program) -> float:
    """The peak of the memory of a process so far, in MB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{program.pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def printing(lines: int) -> str:
    """A command that prints numbered lines."""
    return f"seq -f '%0{LINE - 1}.0f' {lines}"


# Run a command, and print its seconds and its memory in kB. A forked process begins with the memory of its parent, so
# the parent must be small.
MEASURED = """
import resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, check=True)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""


def show(system: System, run: str, job: str, target: Path) -> tuple[float, float]:
    """The seconds that ``cicd logs`` takes, and its memory in MB."""
    program = system.cli_program("logs", run, job)
    command = [sys.executable, "-c", MEASURED, *program.command]
    with target.open("wb") as output:
        done = subprocess.run(
            command, env=program.environment, stdout=output, stderr=subprocess.PIPE, text=True, check=True
        )
    seconds, kilobytes = done.stderr.split()
    return float(seconds), int(kilobytes) / 1024


def is_whole(shown: Path, lines: int) -> bool:
    """Whether the file has all lines in order."""
    expected = 1
    with shown.open("rb") as file:
        for line in file:
            expected += line.strip() == b"%0*d" % (LINE - 1, expected)
    return expected == lines + 1


def measure(name: str, megabytes: int) -> dict[str, float]:
    lines = megabytes * 1_000_000 // LINE
    with tempfile.TemporaryDirectory() as temporary, SETTINGS[name](Path(temporary)) as setting:
        directory = Path(temporary)
        with System.on(setting, directory, backends=1, workers=1, are_forked=False) as system:
            jobs = (Job(name="talks", script=(printing(lines),)),)
            pipeline = Pipeline(name="output", repo_url=str(system.repository), stages=(Stage(name="all", jobs=jobs),))
            start = perf_counter()
            run = system.api.execute(pipeline)
            until(lambda: system.api.status(run).is_terminal, "the end of the run", deadline=600)
            taken = perf_counter() - start
            assert system.api.status(run) == ExecutionStatus.SUCCESS
            shown, memory = show(system, str(run.execution_id), "talks", directory / "shown.txt")
            assert is_whole(directory / "shown.txt", lines)
            return {
                "from the job to the store, seconds": taken,
                "`cicd logs`, seconds": shown,
                "**both, seconds**": taken + shown,
                "memory of the Worker, MB": most_memory(system.workers[0]),
                "memory of the Backend, MB": most_memory(system.backends[0]),
                "memory of `cicd logs`, MB": memory,
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[], choices=[[], *SETTINGS], help="brokers; all by default")
    parser.add_argument("--megabytes", type=int, default=100, help="megabytes that the job prints; 100 by default")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds, of which the least counts")
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(EXAMPLES), os.environ.get("PYTHONPATH", "")])
    names = arguments.names or SETTINGS
    found = {name: [measure(name, arguments.megabytes) for _ in range(arguments.rounds)] for name in names}
    print(f"{arguments.megabytes} MB of output: the least time and the most memory of {arguments.rounds} rounds.\n")
    print(f"| output | {' | '.join(found)} |\n| --- |" + " ---: |" * len(found))
    for row in next(iter(found.values()))[0]:
        choose = max if "memory" in row else min
        print(f"| {row} | {' | '.join(f'{choose(each[row] for each in rounds):.1f}' for rounds in found.values())} |")


if __name__ == "__main__":
    main()
