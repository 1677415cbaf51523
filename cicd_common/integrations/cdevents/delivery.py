"""Send events as CloudEvents over HTTP, in structured or binary mode, with retries."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_http_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.exceptions import BaseCloudEventException
from cloudevents.core.v1.event import CloudEvent

from ...errors import ContractError, Problem
from .event import CDEvent, read

__all__ = ["DeliveryError", "EventSender", "HTTPMessage", "from_http", "to_cloudevent", "to_http"]

Mode = Literal["structured", "binary"]

_WRITERS: Mapping[Mode, Callable[[CloudEvent], HTTPMessage]] = {
    "structured": to_structured_event,
    "binary": to_binary_event,
}


def to_cloudevent(event: CDEvent) -> CloudEvent:
    """Make the CloudEvent whose data is the document of an event.

    Args:
        event: The event.
    """
    attributes = {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": event.timestamp,
        "subject": event.subject_id,
        "datacontenttype": "application/json",
    }
    return CloudEvent(attributes, event.document())


def to_http(event: CDEvent, mode: Mode = "structured") -> HTTPMessage:
    """Make the headers and the body of an HTTP request with an event as a CloudEvent.

    Args:
        event: The event.
        mode: ``structured`` puts everything into the body; ``binary`` makes the attributes headers, and the document
            of the event the body.

    Raises:
        ValueError: There is no such mode.
    """
    if mode not in _WRITERS:
        raise ValueError("expected the mode 'structured' or 'binary'")
    return _WRITERS[mode](to_cloudevent(event))


def from_http(headers: Mapping[str, str], body: bytes) -> CDEvent:
    """Read an event from an HTTP request with a CloudEvent in either mode.

    Args:
        headers: The headers of the request.
        body: The body of the request.

    Raises:
        ContractError: The request has no CloudEvent, or its data is no event of CDEvents.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    try:
        data = from_http_event(HTTPMessage(lower, body)).get_data()
    except (BaseCloudEventException, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ContractError(CDEvent, [Problem("", "value", "expected a CloudEvent over HTTP")]) from None
    if not isinstance(data, dict):
        raise ContractError(CDEvent, [Problem("", "type", "expected a CloudEvent whose data is a JSON object")])
    return read(data)


class DeliveryError(OSError):
    """The receiver did not accept an event.

    Attributes:
        status: The status of the receiver's last response; None if it did not answer.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class EventSender:
    """Sends events to one URL over a persistent connection. It is a context manager, for one thread at a time.

    An event is sent again after a network failure, and after a response with the status 408, 425, 429, or 500 and
    above. The receiver may therefore get an event twice, with the same id.

    Args:
        url: The URL, of ``http`` or ``https``.
        mode: As for `to_http`.
        headers: More headers of each request, such as ``Authorization``; none by default.
        attempts: How often an event is sent at most, from 1; 5 by default.
        timeout: How many seconds the receiver may take for each step; 10 by default.
        ssl_context: The context that checks certificates; that of Python by default.
        sleep: A function that waits for a number of seconds; `time.sleep` by default.

    Raises:
        ValueError: The URL or an argument is refused.
    """

    def __init__(
        self,
        url: str,
        *,
        mode: Mode = "structured",
        headers: Mapping[str, str] | None = None,
        attempts: int = 5,
        timeout: float = 10,
        ssl_context: ssl.SSLContext | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected a URL of http or https")
        if mode not in _WRITERS:
            raise ValueError("expected the mode 'structured' or 'binary'")
        if attempts < 1:
            raise ValueError("expected at least one attempt")
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._mode: Mode = mode
        self._headers = dict(headers or {})
        self._attempts = attempts
        self._sleep = sleep
        # The connection is opened on first use, and again after it was closed.
        self._connection = (
            HTTPConnection(parts.hostname, parts.port, timeout=timeout)
            if parts.scheme == "http"
            else HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=ssl_context)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. The next event opens it again."""
        self._connection.close()

    def send(self, event: CDEvent) -> None:
        """Send an event until the receiver accepts it.

        Args:
            event: The event.

        Raises:
            DeliveryError: The receiver refused the event, or every attempt failed.
        """
        message = to_http(event, self._mode)
        failure, wait = self._try(message)
        attempt = 1
        while failure is not None:
            if wait is None or attempt == self._attempts:
                raise failure
            self._sleep(max(wait, _pause(attempt)))
            failure, wait = self._try(message)
            attempt += 1

    def _try(self, message: HTTPMessage) -> tuple[DeliveryError | None, float | None]:
        """Send a message once. Return the error, and the least wait in seconds; None if another try is pointless."""
        try:
            self._connection.request("POST", self._target, message.body, {**self._headers, **message.headers})
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, HTTPException) as error:
            self._connection.close()
            return DeliveryError(f"the receiver of events did not answer: {type(error).__name__}: {error}"), 0
        if 200 <= answer.status < 300:
            return None, None
        failure = DeliveryError(f"the receiver of events answered {answer.status} {answer.reason}", answer.status)
        is_temporary = answer.status in (408, 425, 429) or answer.status >= 500
        return failure, _seconds(answer.headers.get("Retry-After")) if is_temporary else None


_LONGEST_PAUSE = 30.0


def _pause(attempt: int) -> float:
    """Return the wait after an attempt: half a second after the first one, doubled for each further one."""
    return min(_LONGEST_PAUSE, 0.5 * 2.0 ** (attempt - 1))


def _seconds(retry_after: str | None) -> float:
    """Return the wait in the header ``Retry-After``, if it is a number of seconds."""
    return min(_LONGEST_PAUSE, float(retry_after)) if retry_after and retry_after.isdecimal() else 0.0
