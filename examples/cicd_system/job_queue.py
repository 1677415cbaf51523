"""The queue of jobs between the Backend and its Workers: one Celery app, set up in one place for both sides."""

# mypy: allow-untyped-calls
# Only a part of kombu has types.

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from kombu.entity import Exchange, Queue
from kombu.exceptions import EncodeError

from cicd_common.api.request import JobExecutionRequest
from cicd_common.integrations.kombu import register_task

from . import redis_transport, spool

__all__ = ["HIDDEN", "SERIALIZER", "TASK", "WORKER_OPTIONS", "JobQueue", "QueueError"]

TASK = "cicd.run_job"
"""The name of the task; its one argument is a `JobExecutionRequest`, and its id that of the job execution."""

SERIALIZER = register_task(JobExecutionRequest)
"""How jobs are written. Nothing else is accepted."""

HIDDEN = "..."
"""Stands for the arguments wherever Celery would show them. Where this is empty it shows them after all."""

WORKER_OPTIONS = {"without_gossip": True, "without_heartbeat": True, "without_mingle": True}
"""What ``app.Worker`` of a Worker is given: there are no events, and Workers need not know of each other."""

_SECONDS = 2  # That one step of putting a job may wait for the broker; there are three of them at the most.
_CONNECTIONS = 10  # That one Backend puts jobs by, at once.
_RABBITMQ_HOURS = (
    24 * 7
)  # Past which RabbitMQ takes a job that is not acknowledged away; one value, for all to agree on.

redis_transport.register()
spool.register()


class QueueError(Exception):
    """The broker does not take a job, or is not there."""


class JobQueue:
    """The queue of jobs. The Backend puts jobs, and a Worker registers `TASK` with ``app`` and consumes.

    Args:
        broker_url: ``spool:///absolute/directory``, ``amqp://`` (RabbitMQ), ``redis://``; the latter two with TLS, too.
        queue: The name of the queue.
        job_timeout: How long a job may take, in seconds.
        redeliver_after: After how many seconds Redis hands a job that is not acknowledged to another Worker; by default
            one minute after the time for the job is up. RabbitMQ and the spool do so when the Worker is gone.

    Attributes:
        app: The Celery app.

    Raises:
        ValueError: The URL is not one of a broker that is known here.
    """

    def __init__(
        self,
        broker_url: str,
        *,
        queue: str = "cicd.jobs",
        job_timeout: float = 3600,
        redeliver_after: float | None = None,
    ) -> None:
        after = job_timeout + 60 if redeliver_after is None else redeliver_after
        options = _transport_options(broker_url, queue, after)
        self.app = Celery("cicd_system", set_as_current=False)
        self.app.conf.update(_settings(broker_url, queue), broker_transport_options=options)
        # Celery's own pool is one for all apps of the process, and may wait for ever.
        self._connections = self.app.connection_for_write().Pool(_CONNECTIONS)

    def put(self, request: JobExecutionRequest) -> None:
        """Give a job to the Workers. When this returns, the broker has it. Any thread may call this.

        Args:
            request: The job.

        Raises:
            QueueError: The broker did not say within some seconds that it has the job. It may have it all the same.
        """
        try:
            with self._connections.acquire(block=True, timeout=_SECONDS) as connection:
                self._send(request, connection)
        except EncodeError:
            raise
        except Exception as error:
            # Neither its text nor its cause: they may repeat the URL.
            why = type(error.__cause__ or error).__name__
            raise QueueError(f"the broker did not take the job: {why}") from None

    def _send(self, request: JobExecutionRequest, connection: Any) -> None:
        try:
            self.app.send_task(
                TASK,
                (request,),
                task_id=str(request.job_execution_id),
                argsrepr=HIDDEN,
                kwargsrepr=HIDDEN,
                mandatory=True,  # RabbitMQ would confirm what it has no queue for, and drop it.
                timeout=_SECONDS,
                confirm_timeout=_SECONDS,
                producer=self.app.amqp.Producer(connection, auto_declare=False),
            )
        except BaseException:
            # A confirmation that comes late would be taken for that of the next job.
            connection.collect()
            raise

    def close(self) -> None:
        """Close the connections to the broker."""
        self._connections.force_close_all()
        self.app.close()


def _settings(broker_url: str, queue: str) -> dict[str, Any]:
    timeout = {"x-consumer-timeout": _RABBITMQ_HOURS * 3_600_000}
    return {
        # What travels.
        "task_serializer": SERIALIZER.name,
        "accept_content": [SERIALIZER.name],
        "task_protocol": 2,
        "enable_utc": True,
        # Where.
        "broker_url": broker_url,
        "task_default_queue": queue,
        "task_queues": [Queue(queue, Exchange(queue), routing_key=queue, durable=True, queue_arguments=timeout)],
        "task_create_missing_queues": False,
        "task_default_delivery_mode": "persistent",
        # To put a job fails rather than waits for long.
        "broker_connection_timeout": _SECONDS,
        "task_publish_retry_policy": {
            "max_retries": 1,
            "interval_start": 0.1,
            "interval_step": 0.2,
            "interval_max": 0.5,
        },
        # A Worker waits for its broker for ever.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "broker_heartbeat": 10,
        # One job at a time, acknowledged once it is done.
        "worker_consumer": f"{__package__}.job_consumer:JobConsumer",
        "worker_pool": "threads",
        "worker_concurrency": 1,
        "worker_prefetch_multiplier": 1,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # No results, no events, no remote control: the Backend is told of everything by HTTP.
        "result_backend": None,
        "task_ignore_result": True,
        "task_send_sent_event": False,
        "worker_send_task_events": False,
        "worker_enable_remote_control": False,
        # Logging is set up by the program.
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }


def _rabbitmq(_queue: str, _after: float) -> dict[str, Any]:
    return {"confirm_publish": True, "read_timeout": _SECONDS, "write_timeout": _SECONDS}


def _redis(queue: str, after: float) -> dict[str, Any]:
    return {
        "visibility_timeout": after,
        # How often to look for what is to be handed to another.
        "unacked_restore_interval": min(10, after / 4),
        "unacked_restore_throttle": 1,
        # Other queues on the same server may have another timeout.
        "unacked_key": f"{queue}.unacked",
        "unacked_index_key": f"{queue}.unacked_index",
        "unacked_mutex_key": f"{queue}.unacked_mutex",
        # If the one who looks dies while it does, others need not wait for minutes.
        "unacked_mutex_expire": 10,
        "socket_connect_timeout": _SECONDS,
        "socket_timeout": _SECONDS,
        "health_check_interval": 5,
    }


def _spool(_queue: str, _after: float) -> dict[str, Any]:
    return {"polling_interval": 0.05, "longest_wait": 0.5}


_TRANSPORT_OPTIONS = {"amqp": _rabbitmq, "amqps": _rabbitmq, "redis": _redis, "rediss": _redis, "spool": _spool}


def _transport_options(broker_url: str, queue: str, after: float) -> dict[str, Any]:
    try:
        url = urlsplit(broker_url)
        url.port  # noqa: B018 - It is parsed only now.
        make = _TRANSPORT_OPTIONS[url.scheme]
    except (KeyError, ValueError):
        schemes = ", ".join(_TRANSPORT_OPTIONS)
        raise ValueError(f"expected the URL of a broker, with one of the schemes {schemes}") from None
    return make(queue, after)
