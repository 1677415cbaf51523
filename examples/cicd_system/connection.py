"""The connection of a program to the Backend: what the CLI and the Worker have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
from tenacity import Retrying

from cicd_common import ContractError, converter
from cicd_common.api.request import Artifact
from cicd_common.api.response import ArtifactsResponse
from cicd_common.artifacts import ContentMismatchError, save

__all__ = [
    "BackendError",
    "Connection",
    "DeniedError",
    "LostAnswerError",
    "NoAnswerError",
    "RefusedError",
    "watched",
]

T = TypeVar("T")

_TIMEOUT = 10  # Seconds.
_MAX_BREAKS = 5  # Broken contents of an artifact, after which it counts as damaged.
_CLOCK_TOLERANCE = timedelta(seconds=10)  # A smaller difference may be the duration of the request.
_DENIED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
# Beside 5xx, the statuses after which a repeated request may succeed.
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
# This is in a Backend's problem documents, but not in those of other servers and not in that about a wrong path.
_PROBLEM = b"urn:cicd-common:problem:"


class BackendError(Exception):
    """The Backend does not answer, or refuses a request. The text says why."""


class NoAnswerError(BackendError):
    """There is no answer, or a passing error, or another server, such as a proxy, answers in place of the Backend."""


class LostAnswerError(NoAnswerError):
    """There is no answer, and the Backend may have handled the request."""


class DeniedError(BackendError):
    """The Backend refuses this program because its token is wrong."""


class RefusedError(BackendError):
    """The Backend refuses the request. A repeat would not help."""


class Connection:
    """Sends requests to the Backend, and repeats them until there is an answer. It is thread-safe.

    All methods that send requests raise a `BackendError` if they fail.

    Args:
        url: The URL of the Backend.
        token: The bearer token; None if the Backend needs none.
        retrying: Says for which errors and how long requests are repeated.

    Attributes:
        ahead: How far the Backend's clock is ahead of this machine's; None before the first answer.

    Raises:
        ValueError: The URL is not an HTTP URL, or a header cannot contain the token.
    """

    def __init__(self, url: str, token: str | None, retrying: Retrying) -> None:
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise ValueError("expected printable characters of ASCII without blanks in the token")
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = httpx.URL()
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError("expected the Backend's URL to begin with http:// or https:// and a host")
        self.ahead: timedelta | None = None
        self._shown_url = parsed.copy_with(userinfo=b"")  # Messages must not contain its password.
        self._retrying = retrying
        self._http = httpx.Client(
            base_url=url,
            headers={} if token is None else {"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT,
            event_hooks={"response": [self._read_clock]},
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(
        self, method: str, path: str, type: type[T], message: object = None, *, is_repeated: bool = True, **options: Any
    ) -> T:
        """Send a request until there is an answer, and read it.

        Args:
            type: The type of the answer, a message of the contract.
            message: The message in the request; by default it has no body.
            is_repeated: Whether to send it again if there is no answer.
            **options: Those of `httpx.Client.stream`.
        """
        content = None if message is None else converter.dumps(message)

        def ask_once() -> T:
            answer = self.send(method, path, content, **options)
            try:
                return converter.loads(answer, type)
            except ContractError:
                raise NoAnswerError(f"what answers is no Backend: expected a {type.__name__}") from None

        return self._retrying(ask_once) if is_repeated else ask_once()

    def send(self, method: str, path: str, content: bytes | None = None, **options: Any) -> bytes:
        """Send a request with a JSON body or without a body once, and return the body of the answer."""
        headers = {} if content is None else {"Content-Type": "application/json"}
        with self.stream(method, path, content=content, headers=headers, **options) as response:
            # The response must not keep its body: it is part of a reference cycle, so bodies would pile up until the
            # garbage collector finds them.
            return b"".join(response.iter_bytes())

    @contextmanager
    def stream(self, method: str, path: str, **options: Any) -> Iterator[httpx.Response]:
        """Send a request once. In the block, the body of the answer, which is a success, can be read."""
        try:
            with self._http.stream(method, path, **options) as response:
                if not response.is_success:
                    response.read()
                    raise _error_of(response)
                yield response
        except httpx.RequestError as error:
            was_sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            kind = LostAnswerError if was_sent and method == "POST" else NoAnswerError
            raise kind(f"no Backend answers at {self._shown_url}: {type(error).__name__}") from None

    # --- artifacts --------------------------------------------------------------------------------------------------

    def artifacts(self, job_execution_id: UUID) -> ArtifactsResponse:
        """The artifacts of a job."""
        return self.ask("GET", f"/api/job/artifacts/{job_execution_id}", ArtifactsResponse)

    def fetch(self, artifact: Artifact, target: Path, go_on: Callable[[], None] = lambda: None) -> None:
        """Write the content of an artifact to a file, which appears when it is complete and verified.

        Args:
            target: The file. Its directory must exist.
            go_on: Called before each chunk; it raises to stop.

        Raises:
            OSError: The file cannot be written.
            RefusedError: The content is not stored, or is damaged.
        """
        breaks = count(1)

        def fetch_once() -> None:
            with self.stream("GET", f"/api/artifact/{artifact.sha256}") as response:
                try:
                    save(watched(go_on, response.iter_bytes()), target, sha256=artifact.sha256, size=artifact.size)
                except (ContentMismatchError, httpx.RequestError):
                    if next(breaks) == _MAX_BREAKS:  # The Backend breaks off if the content that it stores is damaged.
                        raise RefusedError("the content of an artifact is damaged") from None
                    raise NoAnswerError("the content of an artifact is incomplete") from None

        self._retrying(fetch_once)

    # --- the Backend's clock ----------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The Backend's time; before the first answer, the time of this machine."""
        return self.backend_time(datetime.now(UTC))

    def backend_time(self, time: datetime) -> datetime:
        """Convert a time of this machine, whose clock may differ by hours, to the Backend's time."""
        return time + (self.ahead or timedelta())

    def _read_clock(self, response: httpx.Response) -> None:
        try:
            ahead = parsedate_to_datetime(response.headers["date"]) - datetime.now(UTC)
        except (KeyError, ValueError, TypeError):  # The header is missing, is not a time, or has no offset.
            return
        self.ahead = ahead if abs(ahead) > _CLOCK_TOLERANCE else timedelta()


def watched(go_on: Callable[[], None], chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The chunks of a content. Before each chunk, `go_on` is called, which raises to stop."""
    for chunk in chunks:
        go_on()
        yield chunk


def _error_of(response: httpx.Response) -> BackendError:
    status = response.status_code
    text = f"the Backend answers {status}: {_detail(response)}"
    if response.is_server_error or status in _PASSING:
        return NoAnswerError(text)
    if (response.is_redirect or status == HTTPStatus.NOT_FOUND) and _PROBLEM not in response.content:
        return NoAnswerError(f"what answers is no Backend: {status} {response.reason_phrase}")
    return DeniedError(text) if status in _DENIED else RefusedError(text)


def _detail(response: httpx.Response) -> str:
    """The text of a problem document (RFC 9457), or of the status line."""
    try:
        document = response.json()
        return str(document.get("detail") or document["title"])
    except (ValueError, KeyError, AttributeError):
        return response.reason_phrase
