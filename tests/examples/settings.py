"""What systems run on in tests: files, or PostgreSQL with RabbitMQ or Redis.

Those are at ``CICD_TEST_POSTGRES_URL``, ``CICD_TEST_RABBITMQ_URL`` and ``CICD_TEST_REDIS_URL``, or else at their usual
ports of the loopback; each system has a schema and a queue of its own there. Where one does not answer, its tests are
skipped, and say so; but where ``CI`` is set, they fail.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import pytest

POSTGRES_URL = os.environ.get("CICD_TEST_POSTGRES_URL") or "postgresql+psycopg://postgres@127.0.0.1:5432/test"
RABBITMQ_URL = os.environ.get("CICD_TEST_RABBITMQ_URL") or "amqp://guest:guest@127.0.0.1:5672//"
REDIS_URL = os.environ.get("CICD_TEST_REDIS_URL") or "redis://127.0.0.1:6379/0"


@dataclass(frozen=True)
class Setting:
    """What a system runs on, and how many processes it has.

    Attributes:
        name: ``embedded``, ``rabbitmq`` or ``redis``.
        store: The URL of its store.
        broker: The URL of its broker.
        queue: The name of its queue, which nobody else uses.
    """

    name: str
    store: str
    broker: str
    queue: str
    backends: int
    workers: int


@contextlib.contextmanager
def embedded(directory: Path) -> Iterator[Setting]:
    """SQLite and the spool: nothing to install or start."""
    yield Setting("embedded", f"sqlite:///{directory}/cicd.db", f"spool://{directory}/spool", "cicd.jobs", 1, 2)


@contextlib.contextmanager
def rabbitmq(_directory: Path, url: str | None = None) -> Iterator[Setting]:
    """PostgreSQL and RabbitMQ."""
    url = url or answering_rabbitmq()
    queue = f"cicd-test-{uuid4().hex}"
    with postgres_schema() as store:
        yield Setting("rabbitmq", store, url, queue, 2, 4)
    delete_from_rabbitmq(url, queue)


@contextlib.contextmanager
def redis(_directory: Path, url: str | None = None) -> Iterator[Setting]:
    """PostgreSQL and Redis."""
    url = url or answering_redis()
    queue = f"cicd-test-{uuid4().hex}"
    with postgres_schema() as store:
        yield Setting("redis", store, url, queue, 2, 4)
    delete_from_redis(url, queue)


SETTINGS = {"embedded": embedded, "rabbitmq": rabbitmq, "redis": redis}


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it where ``CI`` is set."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(what)


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def postgres_schema() -> Iterator[str]:
    """The URL of a schema of its own, which is dropped afterwards."""
    from sqlalchemy import create_engine, make_url, text

    name = f"cicd_system_test_{uuid4().hex}"
    engine = create_engine(answering_postgres(), connect_args={"connect_timeout": 5})
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    url = make_url(POSTGRES_URL).update_query_dict({"options": f"-csearch_path={name}"})
    try:
        yield url.render_as_string(hide_password=False)
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
        engine.dispose()


@cache
def _answers_postgres() -> bool:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import OperationalError

    engine = create_engine(POSTGRES_URL, connect_args={"connect_timeout": 5})
    try:
        engine.connect().close()
    except OperationalError:
        return False
    finally:
        engine.dispose()
    return True


def answering_postgres() -> str:
    """The URL of PostgreSQL, if it answers."""
    if not _answers_postgres():
        missing("no PostgreSQL answers at the URL in CICD_TEST_POSTGRES_URL, or at the default one")
    return POSTGRES_URL


# --- RabbitMQ -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _amqp(url: str) -> Iterator[object]:
    from kombu import Connection

    with Connection(url, connect_timeout=5) as connection:
        connection.ensure_connection(max_retries=1)
        yield connection


@cache
def _answers_rabbitmq() -> bool:
    from kombu.exceptions import OperationalError

    try:
        with _amqp(RABBITMQ_URL):
            return True
    except (OSError, OperationalError):
        return False


def answering_rabbitmq() -> str:
    """The URL of RabbitMQ, if it answers."""
    if not _answers_rabbitmq():
        missing("no RabbitMQ answers at the URL in CICD_TEST_RABBITMQ_URL, or at the default one")
    return RABBITMQ_URL


def delete_from_rabbitmq(url: str, queue: str) -> None:
    """Delete the queue, and the exchange of the same name that Celery declares with it."""
    with _amqp(url) as connection:
        for delete in ("queue_delete", "exchange_delete"):
            with contextlib.suppress(connection.channel_errors):
                getattr(connection.channel(), delete)(queue)


# --- Redis ----------------------------------------------------------------------------------------------------------


@cache
def _answers_redis() -> bool:
    from redis import Redis, RedisError

    with Redis.from_url(REDIS_URL, socket_connect_timeout=5) as client:
        try:
            return bool(client.ping())
        except RedisError:
            return False


def answering_redis() -> str:
    """The URL of Redis, if it answers."""
    if not _answers_redis():
        missing("no Redis answers at the URL in CICD_TEST_REDIS_URL, or at the default one")
    return REDIS_URL


def delete_from_redis(url: str, queue: str) -> None:
    """Delete every key that names the queue."""
    from redis import Redis

    with Redis.from_url(url) as client:
        for key in client.scan_iter(f"*{queue}*"):
            client.delete(key)
