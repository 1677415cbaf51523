"""The embedded broker: a kombu transport on a directory. See `spool_queue` for what is in it."""

# mypy: allow-untyped-calls
# Only a part of kombu has types.

from __future__ import annotations

import json
import logging
import math
import threading
import time
from pathlib import Path
from queue import Empty
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from kombu.transport import TRANSPORT_ALIASES, virtual

from .spool_queue import SpoolQueue

__all__ = ["Transport", "register"]

_log = logging.getLogger(__name__)


def register() -> None:
    """Let kombu and Celery understand ``spool:///absolute/directory`` as the URL of a broker."""
    TRANSPORT_ALIASES["spool"] = f"{__name__}:Transport"


class _QoS(virtual.QoS):
    """Keeps account of what was delivered; here that is on disk, too."""

    def ack(self, delivery_tag: str) -> None:
        self.channel.forget(delivery_tag)
        super().ack(delivery_tag)
        self._tell()

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if not requeue:
            self.channel.forget(delivery_tag)
        super().reject(delivery_tag, requeue=requeue)
        self._tell()

    def _tell(self) -> None:
        """The next message may be due, and need not wait for the next look."""
        if transport := self.channel.connection:
            transport.changed.set()


class Channel(virtual.Channel):
    """Delivers messages of queues. The tag of a delivery is the name of the queue and that of the file."""

    QoS = _QoS

    def __init__(self, connection: Transport, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)
        self._queues: dict[str, SpoolQueue] = {}

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> Any:
        """Refuse consumers that acknowledge nothing: they would get all messages again."""
        if no_ack:
            raise NotImplementedError("the spool has no consumers that do not acknowledge")
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def _queue(self, name: str) -> SpoolQueue:
        if name not in self._queues:
            # A name with no dot to begin with is no way out of the directory.
            self._queues[name] = SpoolQueue(self.connection.directory / f"q-{quote(name, safe='')}")
        return self._queues[name]

    def _new_queue(self, queue: str, **_kwargs: Any) -> None:
        self._queue(queue)

    def _put(self, queue: str, message: dict[str, Any], **_kwargs: Any) -> None:
        self._queue(queue).put(json.dumps(message).encode())

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:  # noqa: ARG002
        spool = self._queue(queue)
        while taken := spool.take():
            name, data = taken
            try:
                return self._delivery(queue, name, data)
            except Exception as error:
                # Whatever is wrong with it must not end or stop the consumer.
                _log.error("set a broken message aside: %s", type(error).__name__)
                spool.set_aside(name)
        raise Empty

    def _delivery(self, queue: str, name: str, data: bytes) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(data)
        message["properties"]["delivery_tag"] = f"{name}/{queue}"
        if SpoolQueue.was_taken_before(name):
            message["headers"]["redelivered"] = message["properties"]["delivery_info"]["redelivered"] = True
        self.Message(message, channel=self)  # Fails now if it would fail later.
        return message

    def forget(self, delivery_tag: str) -> None:
        """Delete a message that was delivered."""
        name, _, queue = delivery_tag.partition("/")
        self._queue(queue).forget(name)

    def _restore(self, message: virtual.Message) -> None:
        name, _, queue = message.delivery_tag.partition("/")
        self._queue(queue).give_back(name)

    def _size(self, queue: str) -> int:
        return self._queue(queue).size()

    def _purge(self, queue: str) -> int:
        return self._queue(queue).purge()

    def close(self) -> None:
        """Give back what was not acknowledged."""
        super().close()
        for spool in self._queues.values():
            spool.close()


class Transport(virtual.Transport):
    """The spool as kombu wants it.

    Options: ``polling_interval``, and ``longest_wait``, the most that `drain_events` waits, in seconds.
    """

    Channel = Channel
    polling_interval = 0.05
    can_parse_url = True
    driver_type = driver_name = "spool"
    connection_errors: Any = (*virtual.Transport.connection_errors, OSError)
    client: Any
    cycle: Any

    @property
    def directory(self) -> Path:
        """The directory of the spool, by the URL."""
        url = urlsplit(self.client.hostname)
        if url.netloc or not url.path.strip("/"):
            raise ValueError("expected the URL of a broker as spool:///absolute/directory")
        return Path(unquote(url.path))

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        #: Set when something may have become deliverable that was not.
        self.changed = threading.Event()

    def drain_events(self, connection: Any, timeout: float | None = None, **_kwargs: Any) -> None:  # noqa: ARG002
        """Wait for a message, but no longer than ``longest_wait``."""
        waits = (timeout, self.client.transport_options.get("longest_wait"))
        limit = time.monotonic() + min((wait for wait in waits if wait is not None), default=math.inf)
        while True:
            self.changed.clear()
            try:
                self.cycle.get(self._deliver)
            except Empty:
                if time.monotonic() >= limit:
                    raise TimeoutError from None
            else:
                return
            self.changed.wait(self.polling_interval)

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:  # noqa: ARG002
        """Say the URL, which has no password."""
        return uri

    def driver_version(self) -> str:
        """There is none of its own."""
        return "N/A"
