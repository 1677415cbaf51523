"""A Celery app as the documentation describes it: a worker program and a client program.

``python FILE worker BROKER BACKEND QUEUE`` consumes tasks. ``python FILE client BROKER BACKEND QUEUE DIRECTORY`` sends
tasks to the worker and prints their results as JSON. Both are separate processes, because Celery leaves connections
open.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from celery import Celery
from celery.exceptions import TaskRevokedError

from cicd_common.api.request import JobExecutionRequest
from cicd_common.integrations.kombu import register_task

REQUEST = register_task(JobExecutionRequest)
PATIENCE = 60


def app_on(broker: str, backend: str, queue: str) -> Celery:
    """An app with a private queue and a private control exchange.

    Args:
        broker: The URL of the broker.
        backend: The URL of the result backend.
        queue: The name of the queue and of the exchange. No other app may use it.
    """
    app = Celery("test", broker=broker, backend=backend)
    app.conf.accept_content = ["json", REQUEST.name]
    app.conf.update(task_default_queue=queue, control_exchange=queue, broker_connection_retry_on_startup=True)
    # The worker takes a task only when it can start it, so that a waiting task can be revoked.
    app.conf.update(worker_prefetch_multiplier=1, task_acks_late=True)

    @app.task(name="run_job", serializer=REQUEST.name)
    def run_job(request: JobExecutionRequest) -> Any:
        if request.job_name == "wait":
            Path(request.commands[0]).read_bytes()  # It blocks until the client closes the FIFO.
        return [request.__class__.__name__, request.job_name]

    return app


def work(broker: str, backend: str, queue: str) -> int:
    """Consume tasks, one at a time."""
    worker = app_on(broker, backend, queue).Worker(hostname=name_on(queue), pool="threads", concurrency=1)
    worker.start()
    return worker.exitcode or 0


def use(broker: str, backend: str, queue: str, directory: str) -> int:
    """Ping the worker, get the result of a task, and revoke a waiting task."""
    app, destination = app_on(broker, backend, queue), [name_on(queue)]
    run_job = app.tasks["run_job"]
    ping: Any = []
    while not ping:
        ping = app.control.ping(destination=destination, timeout=1)
    result = run_job.delay(request("build")).get(timeout=PATIENCE)

    fifo = f"{directory}/fifo"
    os.mkfifo(fifo)
    waiting = run_job.delay(request("wait", fifo))
    with open(fifo, "wb"):  # This blocks until the task reads, so that the worker is busy.
        never = run_job.delay(request("never"))
        answer = app.control.revoke(never.id, destination=destination, reply=True, timeout=PATIENCE)
    waited = waiting.get(timeout=PATIENCE)
    try:
        revoked = never.get(timeout=PATIENCE)
    except TaskRevokedError:
        revoked = "revoked"
    json.dump(
        {"ping": ping, "result": result, "answered": bool(answer), "waited": waited, "never": revoked}, sys.stdout
    )
    with app.connection_for_write() as connection:
        bound = app.amqp.queues[queue](connection.default_channel)
        bound.declare()
        bound.delete()
        bound.exchange.delete()
    return 0


def name_on(queue: str) -> str:
    """The name of the worker that consumes a queue."""
    return f"{queue}@test"


def request(name: str, command: str = "true") -> JobExecutionRequest:
    """A request to run a job with this name."""
    return JobExecutionRequest(
        pipeline_execution_id=UUID(int=3),
        job_execution_id=uuid4(),
        stage_execution_id=UUID(int=1),
        job_id=UUID(int=2),
        job_name=name,
        stage_name="test",
        pipeline_name="checkout",
        run_number=1,
        repo="https://example.org/repo.git",
        branch="main",
        commands=(command,),
    )


if __name__ == "__main__":
    sys.exit({"worker": work, "client": use}[sys.argv[1]](*sys.argv[2:]))
