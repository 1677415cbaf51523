"""A consumer of the job queue that only writes a dot to a file for each job."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from cicd_system.job_queue import JobQueue


def main() -> None:
    queue = JobQueue(os.environ["CICD_BROKER"], queue=os.environ["CICD_QUEUE"])
    dots = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while delivery := queue.take(lambda: True):
        delivery.acknowledge()
        os.write(dots, b".")


main()
