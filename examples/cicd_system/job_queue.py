"""The queue of jobs between the Backend and its Workers, on RabbitMQ, Redis or a SQLite file, by kombu.

The store knows which Worker has a job and whether it has ended. So a message is acknowledged when its job is claimed,
and a message that is lost or delivered twice does no harm.
"""

# mypy: allow-untyped-calls
# kombu has type annotations only in part.

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from attrs import field, frozen
from kombu.connection import Connection
from kombu.entity import Queue
from sqlalchemy import delete

from cicd_common.api.request import JobExecutionRequest
from cicd_common.integrations.kombu import register
from cicd_common.logging import get_logger
from cicd_common.model import SCRIPT

__all__ = ["SERIALIZER", "Delivery", "JobQueue", "QueueError"]

SERIALIZER = register(JobExecutionRequest)
"""The serializer of jobs. Messages of other content types are dropped."""

log = get_logger("cicd_system.queue")

_SECONDS = 2  # The longest wait for the broker in one step.
_CONNECTIONS = 10  # The most connections with which one Backend puts jobs.
_RETRY = {"max_retries": 1, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5}
_LOOK = 0.1  # Seconds between two checks for a job and for the end of the Worker.
_PAUSE = 0.5  # Seconds before a broker that failed is tried again.
_FORGET = 50  # Messages taken from a file between two deletions of the delivered ones.
_IDLE = 60  # Seconds after which an idle connection is replaced, because its other end may be gone.


class QueueError(Exception):
    """The broker does not accept a job, or does not answer."""


@frozen
class Delivery:
    """A job that a Worker has taken from the queue. The broker delivers it again if it is not acknowledged."""

    request: JobExecutionRequest
    _message: Any = field(repr=False)

    def acknowledge(self) -> None:
        """Remove the job from the queue. A second call does nothing."""
        if not self._message.acknowledged:
            # If this fails, the broker delivers the job again, and the second delivery is superseded.
            with suppress(Exception):
                self._message.ack()

    def give_back(self) -> None:
        """Put the job back into the queue."""
        with suppress(Exception):
            self._message.requeue()


class JobQueue:
    """The queue of jobs: Backends put jobs, and Workers take them.

    Args:
        broker_url: ``sqla+sqlite:////absolute/file``, ``amqp://`` (RabbitMQ), ``redis://``; the latter two
            with TLS, too.
        queue: The name of the queue for the kind ``script``. The queue of another kind is named ``{queue}.{kind}``.
        kinds: The kinds of the jobs to take.

    Raises:
        ValueError: The URL has another scheme.
    """

    def __init__(self, broker_url: str, *, queue: str = "cicd.jobs", kinds: Iterable[str] = (SCRIPT,)) -> None:
        options = _transport_options(broker_url, queue)
        self._is_file = broker_url.startswith("sqla")
        self._name = queue
        self._queues = [self._queue_of(kind) for kind in kinds]
        self._consuming = Connection(broker_url, connect_timeout=_SECONDS, transport_options=options)
        self._putting = self._consuming.clone().Pool(_CONNECTIONS)
        self._taken = 0

    def _queue_of(self, kind: str) -> Queue:
        name = self._name if kind == SCRIPT else f"{self._name}.{kind}"
        return Queue(name, routing_key=name, durable=True)

    # --- Backends -----------------------------------------------------------------------------------------------

    def put(self, request: JobExecutionRequest) -> None:
        """Send a job to the Workers, in any thread. When this returns, the broker has it.

        Raises:
            QueueError: The broker did not confirm the job within some seconds. It may have the job nevertheless.
        """
        try:
            with self._putting.acquire(block=True, timeout=_SECONDS) as connection:
                try:
                    self._put(request, connection)
                except BaseException:
                    # A late confirmation would be taken for that of the next job.
                    connection.collect()
                    raise
        except Exception as error:
            # Its text and its cause may contain the URL.
            why = type(error.__cause__ or error).__name__
            raise QueueError(f"the broker did not take the job: {why}") from None

    def _put(self, request: JobExecutionRequest, connection: Any) -> None:
        self._connect(connection)
        queue = self._queue_of(request.kind)
        if queue not in self._queues:
            queue(connection.default_channel).declare()
        connection.Producer(auto_declare=False).publish(
            request,
            routing_key=queue.name,
            serializer=SERIALIZER.name,
            delivery_mode="persistent",
            retry=True,
            retry_policy=_RETRY,
            mandatory=True,  # Otherwise RabbitMQ confirms and drops a message without a queue.
            timeout=_SECONDS,
            confirm_timeout=_SECONDS,
        )

    # --- Workers ------------------------------------------------------------------------------------------------

    def take(self, go_on: Callable[[], bool]) -> Delivery | None:
        """Wait for a job and take it, without a time limit and also if the broker fails meanwhile.

        The broker holds no other job for this Worker until the next call. Only one thread may call this.

        Args:
            go_on: Called repeatedly; returns whether to continue to wait. If not, None is returned.
        """
        has_failed = False
        while go_on():
            try:
                if delivery := self._receive(go_on):
                    return delivery
            except Exception as error:  # The errors of brokers have no common type.
                if not has_failed:
                    log.warning("the broker does not give jobs; trying again", reason=type(error).__name__)
                has_failed = True
                time.sleep(_PAUSE)
            self._disconnect()
        return None

    def _receive(self, go_on: Callable[[], bool]) -> Delivery | None:
        connection, received = self._consuming, []
        self._connect(connection)
        if self._is_file and self._taken % _FORGET == 0:
            # kombu keeps delivered messages in the file.
            channel: Any = connection.default_channel
            channel.session.execute(delete(channel.message_cls).where(channel.message_cls.visible.is_(False)))
            channel.session.commit()

        def receive(request: object, message: Any) -> None:
            # kombu always accepts some content types, and passes empty bodies on.
            if isinstance(request, JobExecutionRequest):
                received.append(Delivery(request, message))
            else:
                _drop(message)

        end = time.monotonic() + _IDLE
        # With a prefetch count of 1, no second message arrives before the consumer is canceled.
        with connection.Consumer(
            self._queues,
            accept=[SERIALIZER.content_type],
            callbacks=[receive],
            on_decode_error=_drop,
            prefetch_count=1,
            auto_declare=False,
        ):
            while not received and go_on() and time.monotonic() < end:
                with suppress(TimeoutError):
                    connection.drain_events(timeout=_LOOK)
        for each in received[1:]:  # RabbitMQ delivers one of each queue.
            each.give_back()
        self._taken += len(received)
        return received[0] if received else None

    # --- both ---------------------------------------------------------------------------------------------------

    def _connect(self, connection: Any) -> None:
        """Connect and declare the queues, unless that is done. If a queue is deleted later, reconnect to declare it."""
        if connection.connected:
            return
        connection.ensure_connection(**_RETRY)
        channel = connection.default_channel
        if self._is_file:
            # kombu creates the tables once per process, and the file may have been removed since then.
            channel.message_cls.metadata.create_all(channel.session.get_bind())
        for queue in self._queues:
            queue(channel).declare()

    def _disconnect(self) -> None:
        """Close the connection of the consumer. A job that was not acknowledged goes back to the queue."""
        connection, self._consuming = self._consuming, self._consuming.clone()
        with suppress(Exception):
            connection.release()

    def delete(self) -> None:
        """Delete the queues with their messages."""
        self._connect(self._consuming)
        for queue in self._queues:
            bound = queue(self._consuming.default_channel)
            bound.purge()
            bound.delete()

    def close(self) -> None:
        """Close the connections to the broker. A job that was taken and not acknowledged goes back to the queue."""
        self._disconnect()
        self._putting.force_close_all()


def _drop(message: Any, error: Exception | None = None) -> None:
    """Remove a message that is not a job from the queue. If it was a damaged job, the Backend sends the job again."""
    log.error("dropped a message that is no job", reason="its content" if error is None else type(error).__name__)
    message.reject()


class _SQLite(sqlite3.Connection):
    """A connection that does not wait for the disk. Jobs that a power failure loses are sent again."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA synchronous = OFF")

    def commit(self) -> None:
        """Commit, or release the lock: kombu does not end a transaction that cannot be committed."""
        try:
            super().commit()
        except sqlite3.Error:
            self.rollback()
            raise


def _transport_options(broker_url: str, queue: str) -> dict[str, Any]:
    try:
        url = urlsplit(broker_url)
        url.port  # noqa: B018 - It is parsed on access.
    except ValueError:
        url = urlsplit("")
    match url.scheme:
        case "sqla+sqlite":
            # An open connection would continue to use a file that was removed.
            return {"pool_recycle": 1, "connect_args": {"factory": _SQLite, "timeout": _SECONDS}}
        case "amqp" | "amqps":
            return {"confirm_publish": True, "read_timeout": _SECONDS, "write_timeout": _SECONDS}
        case "redis" | "rediss":
            limits = {"socket_connect_timeout": _SECONDS, "socket_timeout": _SECONDS}
            return {"global_keyprefix": f"{queue}:", "health_check_interval": 5, **limits}
    raise ValueError("expected the URL of a broker, with one of the schemes sqla+sqlite, amqp, amqps, redis, rediss")
