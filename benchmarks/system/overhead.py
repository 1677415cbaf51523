"""Measure the overhead of a job: the time of 200 empty jobs in a whole system, less the time of their processes.

    python benchmarks/system/overhead.py [embedded] [rabbitmq] [redis] [--rounds N]

The jobs are those of ``examples/pipelines/two-hundred.yaml``, with a git repository of one small file. They run once
with one Worker and once with two. The processor time is that of the Backend, of the Worker, and of the processes that
the Worker has started; other work on the machine affects it less than the elapsed time.

For comparison, each round also measures the same number of messages that one consumer takes from the same queue and
acknowledges, and the parts of a job alone. The program prints Markdown tables. The addresses of RabbitMQ, Redis and
PostgreSQL are those of the tests; see ``tests/support/examples/settings.py``.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import yaml
from cicd_system.job_queue import JobQueue
from cicd_system.worker.process import JobProcess
from cicd_system.worker.workspace import make_working_copy

from cicd_common import ExecutionStatus, converter
from cicd_common.api.request import JobExecutionRequest
from cicd_common.model import Job, Pipeline, Stage
from tests.support.examples.programs import Program, stop
from tests.support.examples.settings import SETTINGS, Setting
from tests.support.examples.system import System
from tests.support.examples.waiting import until

EXAMPLES = Path(__file__).parents[2] / "examples"
HERE = Path(__file__).parent
FILE = EXAMPLES / "pipelines" / "two-hundred.yaml"
JOBS = 200
PAUSE = 0.01  # Seconds between two looks at a file.
LOOK = 0.1  # Seconds between two requests for the status of the run; each request takes time itself.


@dataclass(frozen=True)
class Figures:
    """The results of one round on one broker. Times are in seconds for each job.

    Attributes:
        job: The time with one Worker.
        pair: The time with two Workers, from the end of one job to the end of the next.
        backend: The processor time of the Backend.
        worker: The processor time of the Worker.
        children: The processor time of the processes that the Worker starts.
        task: The time of a bare message, put and taken.
        process: The time of a bare ``sh`` that does nothing.
        watched: The time of the same process with the watcher that ends it if the Worker dies.
        copy: The time to make a working copy and to remove it.
        requests: The time of the Backend for each kind of request.
        counts: The number of requests of each kind.
    """

    job: float
    pair: float
    backend: float
    worker: float
    children: float
    task: float
    process: float
    watched: float
    copy: float
    requests: dict[str, float]
    counts: dict[str, float]

    @property
    def overhead(self) -> float:
        return self.job - self.process

    @property
    def asking(self) -> float:
        return sum(self.requests[name] * self.counts[name] for name in self.requests)

    @property
    def rest(self) -> float:
        return self.job - self.task - self.watched - self.copy - self.asking


def run(system: System, pipeline: Pipeline) -> float:
    """The seconds that a run takes."""
    start = perf_counter()
    begun = system.api.execute(pipeline)
    until(lambda: system.api.status(begun).is_terminal, "the end of the run", deadline=600, pause=LOOK)
    taken = perf_counter() - start
    assert system.api.status(begun) == ExecutionStatus.SUCCESS
    return taken


def warm_up(system: System, repository: Path) -> None:
    """Run one job, so that all connections are open."""
    jobs = (Job(name="first", script=("true",)),)
    run(system, Pipeline(name="warm-up", repo_url=str(repository), stages=(Stage(name="all", jobs=jobs),)))


def processor_of(program: Program) -> tuple[float, float]:
    """The processor time of a process so far, and that of its children that have ended, in seconds."""
    fields = Path(f"/proc/{program.pid}/stat").read_text().rpartition(") ")[2].split()
    own, children = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    ticks = os.sysconf("SC_CLK_TCK")
    return own / ticks, children / ticks


def time_of_jobs(setting: Setting, directory: Path, pipeline: Pipeline) -> tuple[float, float, float, float, float]:
    """The first five attributes of `Figures`."""
    with System.on(setting, directory, backends=1, workers=1, job_timeout=600, are_forked=False) as system:
        warm_up(system, Path(pipeline.repo_url))
        programs = (system.backends[0], system.workers[0])
        before = [processor_of(program) for program in programs]
        job = run(system, pipeline) / JOBS
        backend, worker = (
            [(now - then) / JOBS for now, then in zip(processor_of(program), used, strict=True)]
            for program, used in zip(programs, before, strict=True)
        )
        system.add_workers()
        until(lambda: "ready" in system.workers[1].log.read_text(), "the second Worker")
        pair = run(system, pipeline) / JOBS
    return job, pair, backend[0], worker[0], worker[1]


def requests_of_jobs(
    setting: Setting, directory: Path, pipeline: Pipeline
) -> tuple[dict[str, float], dict[str, float]]:
    """The `requests` and `counts` of `Figures`."""
    with System.on(
        setting, directory, backends=1, workers=1, job_timeout=600, via_proxy=True, are_forked=False
    ) as system:
        warm_up(system, Path(pipeline.repo_url))
        (proxy,) = system.proxies
        proxy.exchanges.clear()
        run(system, pipeline)
        times: dict[str, list[float]] = defaultdict(list)
        for exchange in list(proxy.exchanges):
            path = re.sub(r"[0-9a-f-]{36}|\?.*", "", exchange.request.path)
            times[f"{exchange.request.method} {path}"].append(exchange.seconds)
    return {name: mean(each) for name, each in times.items()}, {name: len(each) / JOBS for name, each in times.items()}


def time_of_tasks(setting: Setting, directory: Path) -> float:
    """The seconds for a message, from sending the first until the consumer has written a dot for the last."""
    dots = directory / "dots"
    dots.touch()
    environment = {**os.environ, "CICD_BROKER": setting.broker, "CICD_QUEUE": setting.queue}
    worker = Program("bare", "bare_worker", [str(dots)], environment, directory, is_forked=False)
    queue = JobQueue(setting.broker, queue=setting.queue)
    worker.start()
    try:
        send(queue, 1)
        until(lambda: dots.stat().st_size == 1, "the first task")
        start = perf_counter()
        send(queue, JOBS)
        until(lambda: dots.stat().st_size == 1 + JOBS, "all tasks", pause=PAUSE)
        return (perf_counter() - start) / JOBS
    finally:
        queue.close()
        stop([worker])


def send(queue: JobQueue, count: int) -> None:
    for _ in range(count):
        queue.put(a_job(repo="/"))


def a_job(**fields: Any) -> JobExecutionRequest:
    ids = {name: uuid4() for name in ("job_execution_id", "stage_execution_id", "pipeline_execution_id", "job_id")}
    names = {"job_name": "no-op", "stage_name": "s", "pipeline_name": "p", "branch": "main"}
    return JobExecutionRequest(**ids, **names, run_number=1, commands=("true",), **fields)


def each(do: Callable[[], None]) -> float:
    start = perf_counter()
    for _ in range(JOBS):
        do()
    return (perf_counter() - start) / JOBS


def bare_process() -> None:
    subprocess.run(["/bin/sh", "-c", "true"], start_new_session=True, stdin=subprocess.DEVNULL, check=True)


def watched_process() -> None:
    command = ["/bin/sh", "-c", "true"]
    with JobProcess(command, directory=Path("/"), environment=os.environ, grace=1) as process:
        process.wait()


def copy_of(repository: Path, directory: Path) -> Callable[[], None]:
    """A function that makes and removes a working copy of a commit, as a Worker does for a job."""
    head = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    request, target = a_job(repo=str(repository), commit_hash=head.stdout.strip()), directory / "copy"

    def copy() -> None:
        make_working_copy(request, target, directory / "clones", submodules=False, go_on=lambda: None)
        shutil.rmtree(target)

    return copy


def make_repository(directory: Path) -> Path:
    repository = directory / "repository"
    repository.mkdir()
    (repository / "README").write_text("A repository with one file.\n")
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    first = ["init", "--quiet", "--initial-branch=main"]
    for command in (first, ["add", "."], [*identity, "commit", "--quiet", "--message=first"]):
        subprocess.run(["git", "-C", str(repository), *command], check=True)
    return repository


def measure(name: str) -> Figures:
    with tempfile.TemporaryDirectory() as temporary:
        top = Path(temporary)
        repository = make_repository(top)
        pipeline = converter.structure(yaml.safe_load(FILE.read_text()) | {"repo_url": str(repository)}, Pipeline)
        directories = [top / part for part in ("jobs", "tasks", "requests")]
        for directory in directories:
            directory.mkdir()
        jobs, tasks, asked = directories
        with SETTINGS[name](jobs) as setting:
            times = time_of_jobs(setting, jobs, pipeline)
        with SETTINGS[name](tasks) as setting:
            task = time_of_tasks(setting, tasks)
        with SETTINGS[name](asked) as setting:
            requests, counts = requests_of_jobs(setting, asked, pipeline)
        process, watched = each(bare_process), each(watched_process)
        copy = each(copy_of(repository, top))
    return Figures(*times, task, process, watched, copy, requests, counts)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"


def middle(rounds: list[Figures], what: Callable[[Figures], float]) -> str:
    """The median, and the least value in parentheses."""
    values = [what(figures) for figures in rounds]
    return f"{milliseconds(median(values))} ({milliseconds(min(values))})"


ROWS: dict[str, Callable[[Figures], float]] = {
    "a job in total": lambda figures: figures.job,
    "with two Workers": lambda figures: figures.pair,
    "its own process, a bare `sh`": lambda figures: figures.process,
    "**overhead**": lambda figures: figures.overhead,
    "a bare message": lambda figures: figures.task,
}
PROCESSOR: dict[str, Callable[[Figures], float]] = {
    "the Backend": lambda figures: figures.backend,
    "the Worker": lambda figures: figures.worker,
    "the children of the Worker: git and the job": lambda figures: figures.children,
}
PARTS: dict[str, Callable[[Figures], float]] = {
    "broker, as a bare message": lambda figures: figures.task,
    "working copy, made and removed": lambda figures: figures.copy,
    "process with its watcher, without the bare `sh`": lambda figures: figures.watched - figures.process,
    "requests to the Backend": lambda figures: figures.asking,
    "the rest: threads of the Worker, and waiting": lambda figures: figures.rest,
}


def table(title: str, rows: dict[str, Callable[[Figures], float]], found: dict[str, list[Figures]]) -> str:
    head = [f"| {title} | {' | '.join(found)} |", "| --- |" + " ---: |" * len(found)]
    lines = [
        f"| {row} | {' | '.join(middle(rounds, what) for rounds in found.values())} |" for row, what in rows.items()
    ]
    return "\n".join(head + lines)


def table_of_requests(found: dict[str, list[Figures]]) -> str:
    head = [f"| requests for each job, and their times | {' | '.join(found)} |", "| --- |" + " ---: |" * len(found)]
    lines = []
    for name in sorted({name for rounds in found.values() for figures in rounds for name in figures.requests}):
        cells = []
        for rounds in found.values():
            count = median(figures.counts.get(name, 0) for figures in rounds)
            cells.append(f"{count:.2f} of {middle(rounds, lambda figures: figures.requests.get(name, 0))}")  # noqa: B023
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(head + lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[], choices=[[], *SETTINGS], help="brokers; all by default")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds, of which the median counts")
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(EXAMPLES), str(HERE), os.environ.get("PYTHONPATH", "")])
    found: dict[str, list[Figures]] = {name: [] for name in arguments.names or SETTINGS}
    for _ in range(arguments.rounds):
        for name, rounds in found.items():
            rounds.append(measure(name))
    print(f"{JOBS} jobs, one Backend; milliseconds a job, medians of {arguments.rounds} rounds (and the least).\n")
    print(table("cost of a job", ROWS, found), "\n")
    print(table("processor", PROCESSOR, found), "\n")
    print(table("where the overhead goes", PARTS, found), "\n")
    print(table_of_requests(found))


if __name__ == "__main__":
    main()
