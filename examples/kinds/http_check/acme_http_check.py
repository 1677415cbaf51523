"""The kind ``acme.http-check``: a job that sends one HTTP request and checks the status of the answer."""

from __future__ import annotations

import http.client
import sys
from typing import Annotated
from urllib.parse import urlsplit

import attrs

from cicd_common import ContractError, loads
from cicd_common.api.request import JobExecutionRequest
from cicd_common.fields import Between, Rule, checked
from cicd_common.kinds import Kinds

__all__ = ["KIND", "HttpCheck", "Url", "check", "main"]

KIND = "acme.http-check"


def is_url(text: str) -> bool:
    """Whether a text is an HTTP URL with a host and without blanks."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and port != 0
        and text.isprintable()
        and " " not in text
    )


Url = Annotated[
    str, Rule("an HTTP URL such as https://example.org/health", is_url, {"pattern": "^[Hh][Tt][Tt][Pp][Ss]?://"})
]
"""The URL of an HTTP server."""
Status = Annotated[int, Rule("an HTTP status, from 100 to 599", Between(100, 599), {"minimum": 100, "maximum": 599})]
Seconds = Annotated[int, Rule("seconds, from 1 to 300", Between(1, 300), {"minimum": 1, "maximum": 300})]


@attrs.frozen(kw_only=True)
@checked
class HttpCheck:
    """The parameters of a job.

    Attributes:
        url: The URL for the request ``GET``.
        expected_status: The status with which the job succeeds, 100 to 599; 200 by default.
        timeout_seconds: How many seconds the answer may take, 1 to 300; 10 by default.

    Raises:
        ContractError: A field is refused.
    """

    url: Url
    expected_status: Status = 200
    timeout_seconds: Seconds = 10


def check(parameters: HttpCheck) -> str | None:
    """Send the request. Returns what is wrong with the answer, or None if it is the expected one."""
    parts = urlsplit(parameters.url)
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connect(parts.hostname or "", parts.port, timeout=parameters.timeout_seconds)
    try:
        connection.request("GET", f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {type(error).__name__}"
    finally:
        connection.close()
    return (
        None if status == parameters.expected_status else f"expected status {parameters.expected_status}, got {status}"
    )


def main() -> int:
    """Run the job of the `JobExecutionRequest` on the standard input.

    Returns:
        The exit code: 0 if the answer is the expected one, 1 if it is not, 2 if the job cannot be run.
    """
    try:
        parameters = Kinds.installed().parameters_of(loads(sys.stdin.buffer.read(), JobExecutionRequest))
    except ContractError as error:
        print(error, file=sys.stderr)
        return 2
    wrong = check(parameters)
    print(wrong or "as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
