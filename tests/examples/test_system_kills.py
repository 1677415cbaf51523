"""A long run in which programs are killed and the broker loses what it holds: it ends, and its logs are whole."""

from __future__ import annotations

from random import Random

import pytest

from cicd_common import ExecutionStatus
from cicd_common.model import PipelineExecution
from cicd_common.store import ExecutionStore
from tests.support.examples.settings import forget
from tests.support.examples.system_jobs import Side, attempts, check_job, lines_up_to, pipeline
from tests.support.examples.waiting import until

JOBS = 200
KILLS = 20
LOSSES = (4, 13)  # The kills with which the broker loses all its messages, in the middle of either stage.
LAST_ATTEMPT = 3  # A job that is lost in it has ended.
LEASE, RESEND = 3, 5  # Seconds. What waits is sent again each time, so a short time floods a slow machine.


def jobs_of(side: Side, stage: int) -> list:
    """Half of all jobs, in chains of five, so that there is always something to do and something that waits."""
    numbers = range(JOBS // 2)
    return [
        side.job(
            f"job{stage}-{number}",
            lines_up_to(3, pause=0.01),
            dependencies=(f"job{stage}-{number - 20}",) if number >= 20 else (),
        )
        for number in numbers
    ]


def job_executions(run: PipelineExecution) -> dict:
    return {job.job.name: job for stage in run.stages for job in stage.jobs}


def is_in_danger(run: PipelineExecution) -> bool:
    """Whether a job ends if its Worker is killed."""
    return any(job.attempt >= LAST_ATTEMPT and not job.status.is_terminal for job in job_executions(run).values())


@pytest.mark.timeout(900)  # It takes half a minute, and ten times that where others keep the machine busy.
def test_twenty_kills_in_two_hundred_jobs(setting, new_system, side):
    """Workers and Backends are killed at twenty moments, and with two of the kills all messages are lost.

    The moments are points of the run's progress, chosen once for each set-up: a number of jobs that have begun or
    have come to the end of their commands.
    """
    system = new_system(setting, workers=4, lease=LEASE, resend=RESEND)
    api, random = system.api, Random(setting.name)
    definition = pipeline(system.repository, {"one": jobs_of(side, 1), "two": jobs_of(side, 2)})
    moments = sorted(random.sample(range(1, 2 * JOBS - 20), KILLS))
    with ExecutionStore(system.store) as store:
        run = api.execute(definition)
        for number, moment in enumerate(moments):
            until(lambda: len({*side.lines("began")}) + len({*side.order()}) >= moment, "progress", pause=0.005)  # noqa: B023
            until(lambda: not is_in_danger(store.execution(run.execution_id)), "the last attempt at a job")
            if number in LOSSES:
                until(lambda: forget(setting), "messages to lose")
            kill_one(system, random)
        assert api.end_of(run) is ExecutionStatus.SUCCESS
        found = job_executions(store.execution(run.execution_id))
        logs = {name: store.logs(job.id).text for name, job in found.items()}
    assert len(logs) == JOBS
    for name, log in logs.items():
        check_job(side, name, log)
    assert any(len(attempts(log)) > 1 for log in logs.values())
    for job in found.values():
        for needed in job.job.dependencies:
            assert found[needed].completion_time <= job.start_time


def kill_one(system, random: Random) -> None:
    """Kill a program of the system, and start it again."""
    programs = [*system.backends, *system.workers]
    chosen = random.choice(programs)
    chosen.kill()
    if chosen in system.backends:
        system.restart_backend(system.backends.index(chosen))
    else:
        chosen.start()
