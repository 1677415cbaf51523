"""The servers that some tests need: PostgreSQL, RabbitMQ and Redis.

The URL of each server is in an environment variable. The default is the usual port of the loopback. If a server does
not answer, tests that need it are skipped; with ``CI`` set, they fail.

``python -m tests.support.servers`` prints a line for each server that does not answer.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from typing import NoReturn

import pytest

__all__ = ["POSTGRESQL", "RABBITMQ", "REDIS", "SERVERS", "Server", "missing"]

_SECONDS = 30  # A server that does not answer within this time is missing.


class Server:
    """A server that tests may use.

    Args:
        name: The name of the server, such as ``Redis``.
        variable: The environment variable that names its URL.
        default: Its URL if the variable is not set.
        connect: A function that raises one of ``errors`` if no server answers at a URL.
        errors: A function that returns the errors of the client library.

    Attributes:
        url: The URL of the server.
    """

    def __init__(
        self,
        name: str,
        variable: str,
        default: str,
        connect: Callable[[str], None],
        errors: Callable[[], tuple[type[Exception], ...]],
    ) -> None:
        self.url = os.environ.get(variable) or default
        self.reason = f"no {name} answers at the URL in {variable}, or at the default one"
        self._connect = connect
        self._errors = errors

    @cache  # noqa: B019 - there are three instances, and they exist until the process ends
    def answers(self) -> bool:
        """Whether the server answers."""
        try:
            self._connect(self.url)
        except self._errors():
            return False
        return True

    def answering(self) -> str:
        """The URL of the server. If the server does not answer, the test is skipped."""
        if not self.answers():
            missing(self.reason)
        return self.url


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it if ``CI`` is set.

    Args:
        reason: What is missing.
    """
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


def _connect_to_postgresql(url: str) -> None:
    from sqlalchemy import create_engine

    engine = create_engine(url, connect_args={"connect_timeout": _SECONDS})
    try:
        engine.connect().close()
    finally:
        engine.dispose()


def _errors_of_postgresql() -> tuple[type[Exception], ...]:
    from sqlalchemy.exc import OperationalError

    return (OperationalError,)


def _connect_to_broker(url: str) -> None:
    from kombu import Connection

    with Connection(url, connect_timeout=_SECONDS) as connection:
        connection.ensure_connection(max_retries=1)


def _errors_of_broker() -> tuple[type[Exception], ...]:
    from kombu.exceptions import OperationalError

    return (OSError, OperationalError)


POSTGRESQL = Server(
    "PostgreSQL",
    "CICD_TEST_POSTGRES_URL",
    "postgresql+psycopg://postgres@127.0.0.1:5432/test",
    _connect_to_postgresql,
    _errors_of_postgresql,
)
RABBITMQ = Server(
    "RabbitMQ",
    "CICD_TEST_RABBITMQ_URL",
    "amqp://guest:guest@127.0.0.1:5672//",
    _connect_to_broker,
    _errors_of_broker,
)
REDIS = Server(
    "Redis",
    "CICD_TEST_REDIS_URL",
    "redis://127.0.0.1:6379/0",
    _connect_to_broker,
    _errors_of_broker,
)
SERVERS = (POSTGRESQL, RABBITMQ, REDIS)


if __name__ == "__main__":
    sys.stdout.writelines(f"{server.reason}\n" for server in SERVERS if not server.answers())
