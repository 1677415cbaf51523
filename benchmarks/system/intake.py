"""Measure how many `JobStatusUpdate`s a second one Backend accepts over HTTP, each with a line of output.

    python benchmarks/system/intake.py [sqlite] [postgresql] [--messages N] [--clients N] [--rounds N]

The Backend and each client are separate processes, and each client keeps its connection. For comparison, the same
rounds measure the store alone, which applies the same updates in a loop and from as many threads as clients, and a
Starlette route with a fixed answer, in the event loop and in the thread pool. The program prints Markdown tables. The
address of PostgreSQL is that of the tests; see ``tests/support/examples/settings.py``.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from cicd_common import ExecutionStatus, converter
from cicd_common.api.request import JobStatusUpdate
from cicd_common.model import Job, Pipeline, Stage
from cicd_common.store import ExecutionStore
from tests.support.examples.programs import Program, stop
from tests.support.examples.settings import Setting, postgres_schema
from tests.support.examples.system import System
from tests.support.examples.waiting import until

EXAMPLES = Path(__file__).parents[2] / "examples"
HERE = Path(__file__).parent
LINE = "Collecting attrs>=24.1.0 from the index, 63 kB, in 0.02 s\n"
FORK = multiprocessing.get_context("fork")


@contextmanager
def sqlite(directory: Path) -> Iterator[str]:
    yield f"sqlite:///{directory}/cicd.db"


@contextmanager
def postgresql(_directory: Path) -> Iterator[str]:
    with postgres_schema() as url:
        yield url


STORES: dict[str, Callable[[Path], Any]] = {"sqlite": sqlite, "postgresql": postgresql}


# --- messages -----------------------------------------------------------------------------------------------------


def started_jobs(url: str, count: int) -> list[UUID]:
    """Start runs of one job each, and return the ids of the jobs."""
    with ExecutionStore(url) as store:
        return [store.start(one_job()).jobs[0].job_execution_id for _ in range(count)]


def one_job() -> Pipeline:
    stage = Stage(name="all", jobs=(Job(name="job", script=("true",)),))
    return Pipeline(name=f"intake {uuid4().hex}", repo_url="/", stages=(stage,))


def updates(job: UUID, count: int) -> list[JobStatusUpdate]:
    now = datetime.now(UTC)
    return [
        JobStatusUpdate(
            job_execution_id=job,
            sequence=number,
            status=ExecutionStatus.RUNNING,
            occurred_at=now,
            logs=LINE,
            worker="w",
        )
        for number in range(1, count + 1)
    ]


def all_updates(url: str, clients: int, messages: int) -> list[list[JobStatusUpdate]]:
    return [updates(job, messages // clients) for job in started_jobs(url, clients)]


# --- clients ------------------------------------------------------------------------------------------------------


def client(url: str, path: str, token: str, bodies: list[bytes], gate: Any) -> None:
    """Wait for the gate, and send all bodies, one after the other, over one connection."""
    parts = urlsplit(url)
    wire = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    wire.connect()
    gate.wait()
    for body in bodies:
        wire.request("POST", path, body, headers)
        answer = wire.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"{answer.status} instead of 200")


def sent_by_processes(url: str, path: str, token: str, messages: list[list[bytes]]) -> float:
    """The number of messages a second that are answered, for all clients together."""
    gate = FORK.Barrier(len(messages) + 1)
    clients = [FORK.Process(target=client, args=(url, path, token, bodies, gate)) for bodies in messages]
    for process in clients:
        process.start()
    gate.wait(60)
    start = perf_counter()
    for process in clients:
        process.join()
    taken = perf_counter() - start
    assert [process.exitcode for process in clients] == [0] * len(clients)
    return sum(map(len, messages)) / taken


# --- measurements -------------------------------------------------------------------------------------------------


def cpu_of(pid: int) -> float:
    """The processor time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def backend(url: str, directory: Path, clients: int, messages: int) -> dict[str, float]:
    """The messages a second of a Backend, and its processor time for each message in microseconds."""
    setting = Setting("intake", url, f"sqla+sqlite:///{directory}/broker.db", "cicd.jobs", 1, 0)
    with System.on(setting, directory, are_forked=False) as system:
        sent = all_updates(url, clients, messages)
        bodies = [[converter.dumps(update) for update in each] for each in sent]
        before = cpu_of(system.backends[0].pid)
        rate = sent_by_processes(system.urls[0], "/api/job/status", system.token, bodies)
        used = cpu_of(system.backends[0].pid) - before
        with ExecutionStore(url) as store:
            assert len(store.logs(sent[0][0].job_execution_id).chunks) == min(len(sent[0]), 1000)
    return {"backend": rate, "backend_cpu": 1e6 * used / sum(map(len, sent))}


def in_a_loop(url: str, messages: int) -> float:
    (each,) = all_updates(url, 1, messages)
    with ExecutionStore(url) as store:
        return rate_of(store.apply, each)


def rate_of(do: Callable[[Any], object], arguments: list[Any]) -> float:
    start = perf_counter()
    for argument in arguments:
        do(argument)
    return len(arguments) / (perf_counter() - start)


def in_threads(url: str, clients: int, messages: int) -> float:
    sent = all_updates(url, clients, messages)
    with ExecutionStore(url) as store, ThreadPoolExecutor(clients) as pool:
        list(pool.map(store.job_status, [each[0].job_execution_id for each in sent]))
        start = perf_counter()
        for work in [pool.submit(rate_of, store.apply, each) for each in sent]:
            work.result()
        return sum(map(len, sent)) / (perf_counter() - start)


def empty_routes(directory: Path, clients: int, messages: int) -> dict[str, float]:
    url_file = directory / "empty.url"
    program = Program("empty", "empty_backend", [str(url_file)], os.environ, directory, is_forked=False)
    program.start()
    try:
        until(url_file.exists, "the empty route")
        url = url_file.read_text()
        bodies = [[converter.dumps(update) for update in updates(uuid4(), messages // clients)] for _ in range(clients)]
        found = {}
        for route in ("inline", "threaded"):
            before = cpu_of(program.pid)
            found[route] = sent_by_processes(url, f"/{route}", "none", bodies)
            found[f"{route}_cpu"] = 1e6 * (cpu_of(program.pid) - before) / sum(map(len, bodies))
    finally:
        stop([program])
    return found


def converter_alone(messages: int) -> float:
    bodies = [converter.dumps(update) for update in updates(uuid4(), messages)]
    return 1e6 / rate_of(lambda body: converter.loads(body, JobStatusUpdate), bodies)


def measure(name: str, clients: int, messages: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as temporary:
        directories = [Path(temporary) / part for part in ("backend", "loop", "threads", "empty")]
        for directory in directories:
            directory.mkdir()
        served, loop, threads, empty = directories
        with STORES[name](served) as url:
            found = backend(url, served, clients, messages)
        with STORES[name](loop) as url:
            found["loop"] = in_a_loop(url, messages)
        with STORES[name](threads) as url:
            found["threads"] = in_threads(url, clients, messages)
        return found | empty_routes(empty, clients, messages) | {"loads": converter_alone(messages)}


# --- tables -------------------------------------------------------------------------------------------------------

RATES = {
    "backend": "**one Backend**",
    "threads": "the store alone, from as many threads",
    "loop": "the store alone, in a loop",
    "threaded": "an empty route, in the thread pool",
    "inline": "an empty route",
}


def per_message(found: dict[str, float]) -> dict[str, float]:
    """The microseconds of a message: the total, its parts, and processor times."""
    whole = 1e6 / found["backend"]
    store = 1e6 / found["threads"]
    http_alone = 1e6 / found["inline"]
    pool = 1e6 / found["threaded"] - http_alone
    return {
        "all in all": whole,
        "the store": store,
        "uvicorn and Starlette": http_alone,
        "the thread pool": pool,
        "reading the message": found["loads"],
        "the rest: token, log, headers and waiting": whole - store - http_alone - pool - found["loads"],
        "processor of the Backend, all in all": found["backend_cpu"],
        "processor of an empty route, in the thread pool": found["threaded_cpu"],
    }


def middle(rounds: list[dict[str, float]], name: str) -> float:
    return median(each[name] for each in rounds)


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(found: dict[str, list[dict[str, float]]]) -> str:
    rates = [[title, *(f"{middle(rounds, name):,.0f}" for rounds in found.values())] for name, title in RATES.items()]
    ratios = [
        [f"one Backend to {title}", *(f"{ratio(rounds, name):.2f}" for rounds in found.values())]
        for name, title in list(RATES.items())[1:]
    ]
    parts = {name: [per_message(each) for each in rounds] for name, rounds in found.items()}
    shares = [
        [title, *(f"{middle(rounds, title):.0f}" for rounds in parts.values())]
        for title in next(iter(parts.values()))[0]
    ]
    tables = [
        table(["messages a second", *found], rates),
        table(["ratios, each of one round", *found], ratios),
        table(["microseconds a message", *found], shares),
    ]
    return "\n\n".join(tables)


def ratio(rounds: list[dict[str, float]], name: str) -> float:
    return median(each["backend"] / each[name] for each in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[], choices=[[], *STORES], help="databases; all by default")
    parser.add_argument("--messages", type=int, default=8000, help="number of messages in a round; 8000 by default")
    parser.add_argument("--clients", type=int, default=8, help="number of clients; 8 by default")
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds, of which the median counts")
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(EXAMPLES), str(HERE), os.environ.get("PYTHONPATH", "")])
    found: dict[str, list[dict[str, float]]] = {name: [] for name in arguments.names or STORES}
    for _ in range(arguments.rounds):
        for name, rounds in found.items():
            rounds.append(measure(name, arguments.clients, arguments.messages))
    print(f"{arguments.messages} messages of one line from {arguments.clients} clients; {arguments.rounds} rounds.\n")
    print(report(found))


if __name__ == "__main__":
    main()
