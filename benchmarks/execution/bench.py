"""What moving an execution costs as it grows. Prints a table of ratios, and fails if a goal is missed.

Run by ``scripts/bench execution``; with ``--write`` it also writes RESULTS.md.
"""

import gc
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.model import Job, JobExecution, Pipeline, PipelineExecution, Stage

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROUNDS = 7


def job(name: str, *dependencies: str) -> Job:
    return Job(name=name, script=("true",), dependencies=dependencies)


def pipeline(*stages: list[Job]) -> Pipeline:
    return Pipeline(
        name="pipeline",
        repo_url="repo",
        stages=tuple(Stage(name=f"stage {at}", jobs=tuple(jobs)) for at, jobs in enumerate(stages)),
    )


# --- shapes ------------------------------------------------------------------------------------------------------


def chains(count: int) -> Pipeline:
    """One stage of chains of ten jobs."""
    return pipeline([job(str(at), *([str(at - 1)] if at % 10 else [])) for at in range(count)])


def stages_of_ten(count: int) -> Pipeline:
    """Stages of ten jobs that depend on nothing else."""
    return pipeline(*([job(f"{stage}/{at}") for at in range(10)] for stage in range(count // 10)))


def chain(count: int) -> Pipeline:
    """Each job waits for the one before it."""
    return pipeline([job(str(at), *([str(at - 1)] if at else [])) for at in range(count)])


def lattice(count: int) -> Pipeline:
    """Each job waits for two of the row before it."""
    width = 100
    return pipeline(
        [
            job(f"{row}/{at}", *([f"{row - 1}/{at}", f"{row - 1}/{(at + 1) % width}"] if row else []))
            for row in range(count // width)
            for at in range(width)
        ]
    )


def fan(count: int) -> Pipeline:
    """All but two wait for one, and one for all others."""
    names = [str(at) for at in range(count - 2)]
    return pipeline([job("first"), *(job(name, "first") for name in names), job("last", *names)])


# --- what is measured --------------------------------------------------------------------------------------------


def update(run: JobExecution, sequence: int, status: ExecutionStatus) -> JobStatusUpdate:
    return JobStatusUpdate(job_execution_id=run.id, sequence=sequence, status=status, occurred_at=NOW)


def one_update(definition: Pipeline) -> float:
    """Seconds to apply an update, with the status and the ready jobs asked after it. The mean of 100 updates."""
    execution, jobs = definition.new_execution(run_number=1).hand_out(NOW)
    updates = [update(run, 1, ExecutionStatus.SUCCESS) for run in jobs[:10]] * 10
    start = perf_counter()
    for each in updates:
        after, _ = execution.apply(each)
        _ = after.status
        after.ready_jobs()
    return (perf_counter() - start) / len(updates)


def whole_run(definition: Pipeline) -> float:
    """Seconds an update in a whole run: two for each job, with the ready jobs asked, and handed out, after each."""
    execution, jobs = definition.new_execution(run_number=1).hand_out(NOW)
    queue, count = list(jobs), 0
    start = perf_counter()
    for run in queue:  # It grows as jobs become ready.
        for sequence, status in ((1, ExecutionStatus.RUNNING), (2, ExecutionStatus.SUCCESS)):
            execution, _ = execution.apply(update(run, sequence, status))
            count += 1
            if execution.ready_jobs():
                execution, more = execution.hand_out(NOW)
                queue += more
    seconds = perf_counter() - start
    assert_ended(execution)
    return seconds / count


def assert_ended(execution: PipelineExecution) -> None:
    if execution.status is not ExecutionStatus.SUCCESS:
        raise SystemExit(f"the run ended in {execution.status}")


def checks_and_plan(shape: Callable[[int], Pipeline], count: int) -> float:
    """Seconds a job to check a definition and to plan it. Making the jobs is not counted."""
    stages = shape(count).stages
    start = perf_counter()
    Pipeline(name="pipeline", repo_url="repo", stages=stages).plan()
    return (perf_counter() - start) / count


Measure = Callable[[], float]
CASES: list[tuple[str, float, Measure, Measure]] = [
    *(
        (
            f"one update, 10,000 jobs to 100 ({shape.__name__})",
            3.0,
            *(lambda n=n, s=shape: one_update(s(n)) for n in (10_000, 100)),
        )
        for shape in (chains, stages_of_ten)
    ),
    *(
        (
            f"an update of a whole run, 10,000 jobs to 1,000 ({shape.__name__})",
            1.5,
            *(lambda n=n, s=shape: whole_run(s(n)) for n in (10_000, 1_000)),
        )
        for shape in (chains, stages_of_ten, fan)
    ),
    *(
        (
            f"checks and plan, a job of 100,000 to one of 10,000 ({shape.__name__})",
            2.0,  # Linear but for the caches of the processor, which hold a tenth of it and not the whole.
            *(lambda n=n, s=shape: checks_and_plan(s, n) for n in (100_000, 10_000)),
        )
        for shape in (chain, lattice, fan)
    ),
]


def main() -> int:
    rows = ["| what | large | small | ratio | goal | met |", "| --- | --- | --- | --- | --- | --- |"]
    missed = 0
    for name, goal, large, small in CASES:
        pairs = []
        for _ in range(ROUNDS if "100,000" not in name else 3):
            gc.collect()
            gc.disable()  # As timeit does: how much else is alive is not what is measured.
            pairs.append((large(), small()))
            gc.enable()
        ratio = median(a / b for a, b in pairs)
        micros = [median(times) * 1e6 for times in zip(*pairs, strict=True)]
        missed += ratio > goal
        met = "yes" if ratio <= goal else "NO"
        rows.append(f"| {name} | {micros[0]:.1f} us | {micros[1]:.1f} us | {ratio:.2f} | {goal} | {met} |")
        print(rows[-1], flush=True)
    if "--write" in sys.argv:
        Path(__file__).with_name("RESULTS.md").write_text("\n".join(rows) + "\n")
    return missed


if __name__ == "__main__":
    raise SystemExit(main())
