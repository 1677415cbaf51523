"""A Worker of the tests of the queue: ``python FILE BROKER QUEUE LOG [SECONDS]``.

It writes to its log what it was given, and then that it is done; a job whose name is ``wait`` takes a while.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from celery.signals import setup_logging
from cicd_system.job_queue import TASK, WORKER_OPTIONS, JobQueue

from cicd_common import converter
from cicd_common.logging import configure


def main(broker: str, queue: str, path: str, redeliver_after: str | None = None) -> int:
    configure(service="worker", level="DEBUG")
    jobs = JobQueue(broker, queue=queue, redeliver_after=redeliver_after and float(redeliver_after))

    @jobs.app.task(name=TASK, bind=True)
    def run(task, *args):
        (request,) = args
        job = {"id": task.request.id, "request": converter.dumps(request).decode()}
        job["redelivered"] = bool(task.request.delivery_info["redelivered"])
        say(job)
        if request.job_name == "wait":
            until(Path(f"{path}.go").exists)
        if request.job_name == "fail":
            raise RuntimeError("as it was told")
        say({"done": task.request.id})

    def say(what):
        with open(path, "a", encoding="utf-8") as log:
            log.write(json.dumps(what) + "\n")

    setup_logging.connect(lambda **_: None, weak=False)
    worker = jobs.app.Worker(hostname="test@localhost", **WORKER_OPTIONS)
    worker.start()
    return worker.exitcode


def until(condition):
    while not condition():
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
