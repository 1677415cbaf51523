"""A Worker that writes each job to a log: ``python FILE BROKER QUEUE LOG``."""

from __future__ import annotations

import sys
from pathlib import Path

from cicd_system import job_queue
from cicd_system.job_queue import JobQueue

from cicd_common import converter


def main(broker: str, queue: str, path: str) -> None:
    job_queue._SECONDS = 60  # A busy machine may answer late.
    jobs = JobQueue(broker, queue=queue)
    while delivery := jobs.take(lambda: True):
        with Path(path).open("ab") as log:
            log.write(converter.dumps(delivery.request) + b"\n")
        delivery.acknowledge()


if __name__ == "__main__":
    main(*sys.argv[1:])
