"""A long run ends with complete logs although programs are killed and the broker loses its messages."""

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
LOSSES = (4, 13)  # At these kills the broker loses all messages, too. They are in different stages.
LAST_ATTEMPT = 3  # If a Worker is lost in this attempt, the job fails.
LEASE, RESEND = 3, 5  # Seconds. All waiting jobs are sent again each time, which a slow machine must keep up with.


def jobs_of(side: Side, stage: int) -> list:
    """Half of all jobs, in chains of five, so that some jobs run and others wait at each moment."""
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
    """Whether a job would fail if its Worker were killed."""
    return any(job.attempt >= LAST_ATTEMPT and not job.status.is_terminal for job in job_executions(run).values())


@pytest.mark.timeout(900)  # It takes half a minute, and ten times as long on a busy machine.
def test_twenty_kills_in_two_hundred_jobs(setting, new_system, side):
    """Workers and Backends are killed at twenty moments, and at two of them all messages are lost.

    A moment is a number of jobs that have begun plus jobs that have completed. The moments are the same in each run of
    the test, and differ between the settings.
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
        assert api.end_of(run, deadline=400) is ExecutionStatus.SUCCESS
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
    """Kill a program of the system and restart it."""
    programs = [*system.backends, *system.workers]
    chosen = random.choice(programs)
    chosen.kill()
    if chosen in system.backends:
        system.restart_backend(system.backends.index(chosen))
    else:
        chosen.start()
