"""A Celery worker on the queue of the system, with all its settings, whose task does nothing but leave a dot."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from cicd_system.job_queue import TASK, WORKER_OPTIONS, JobQueue

from cicd_common.api.request import JobExecutionRequest
from cicd_common.logging import configure


def main() -> None:
    configure(service="bare", level="WARNING")
    queue = JobQueue(os.environ["CICD_BROKER"], queue=os.environ["CICD_QUEUE"])
    dots = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    @queue.app.task(name=TASK)
    def leave_a_dot(_: JobExecutionRequest) -> None:
        os.write(dots, b".")

    queue.app.Worker(**WORKER_OPTIONS).start()


main()
