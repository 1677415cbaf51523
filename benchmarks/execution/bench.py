"""Measure updates and checks of executions with few and with many jobs. Print ratios; fail if a goal is missed.

Run with ``scripts/bench execution``; ``--write`` also writes RESULTS.md.
"""

import gc
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.model import Job, JobExecution, Pipeline, PipelineExecution, Plan, Stage

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


def stages_of(size: int) -> Callable[[int], Pipeline]:
    """A shape with stages of `size` jobs without dependencies."""
    return lambda count: pipeline(*([job(f"{stage}/{at}") for at in range(size)] for stage in range(count // size)))


def chain(count: int) -> Pipeline:
    """Each job depends on the job before it."""
    return pipeline([job(str(at), *([str(at - 1)] if at else [])) for at in range(count)])


def lattice(count: int) -> Pipeline:
    """Each job depends on two jobs of the row before it."""
    width = 100
    return pipeline(
        [
            job(f"{row}/{at}", *([f"{row - 1}/{at}", f"{row - 1}/{(at + 1) % width}"] if row else []))
            for row in range(count // width)
            for at in range(width)
        ]
    )


def fan(count: int) -> Pipeline:
    """The last job depends on all jobs between, and these depend on the first job."""
    names = [str(at) for at in range(count - 2)]
    return pipeline([job("first"), *(job(name, "first") for name in names), job("last", *names)])


# --- what is measured --------------------------------------------------------------------------------------------


def update(run: JobExecution, sequence: int, status: ExecutionStatus) -> JobStatusUpdate:
    return JobStatusUpdate(job_execution_id=run.id, sequence=sequence, status=status, occurred_at=NOW, worker="worker")


def one_update(definition: Pipeline) -> float:
    """The seconds to apply an update, as the mean of 100 updates."""
    execution, jobs = PipelineExecution.of(definition, run_number=1).hand_out(NOW)
    updates = [update(run, 1, ExecutionStatus.SUCCESS) for run in jobs[:10]] * 10
    start = perf_counter()
    for each in updates:
        execution.apply(each)
    return (perf_counter() - start) / len(updates)


def checks_and_plan(shape: Callable[[int], Pipeline], count: int) -> float:
    """The seconds for each job to check a definition and to plan it, without creating the jobs."""
    stages = shape(count).stages
    start = perf_counter()
    Plan.of(Pipeline(name="pipeline", repo_url="repo", stages=stages))
    return (perf_counter() - start) / count


SMALL = stages_of(10)(100)
Measure = Callable[[], float]
CASES: list[tuple[str, float, Measure, Measure]] = [
    (
        "one update, 10,000 jobs in stages of 1,000 to 100 in stages of 10",
        5.0,
        lambda: one_update(stages_of(1_000)(10_000)),
        lambda: one_update(SMALL),
    ),
    (
        "one update, 10,000 jobs in one stage to 100 in stages of 10",
        20.0,
        lambda: one_update(stages_of(10_000)(10_000)),
        lambda: one_update(SMALL),
    ),
    *(
        (
            f"checks and plan, a job of 100,000 to one of 10,000 ({shape.__name__})",
            2.0,  # The time is linear, except that only the small pipeline fits the caches of the processor.
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
            gc.disable()  # As timeit does: its time would depend on all other objects.
            pairs.append((large(), small()))
            gc.enable()
        # The least times count, because other work on the machine only adds time.
        least = [min(times) for times in zip(*pairs, strict=True)]
        ratio = least[0] / least[1]
        micros = [time * 1e6 for time in least]
        missed += ratio > goal
        met = "yes" if ratio <= goal else "NO"
        rows.append(f"| {name} | {micros[0]:.1f} us | {micros[1]:.1f} us | {ratio:.2f} | {goal} | {met} |")
        print(rows[-1], flush=True)
    if "--write" in sys.argv:
        Path(__file__).with_name("RESULTS.md").write_text("\n".join(rows) + "\n")
    return missed


if __name__ == "__main__":
    raise SystemExit(main())
