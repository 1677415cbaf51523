"""What systems run on in tests: files, or PostgreSQL with RabbitMQ or Redis.

`tests.support.servers` says where those are. Each system has a schema and a queue of its own there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from tests.support.servers import POSTGRESQL, RABBITMQ, REDIS


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
    url = url or RABBITMQ.answering()
    queue = f"cicd-test-{uuid4().hex}"
    with postgres_schema() as store:
        yield Setting("rabbitmq", store, url, queue, 2, 4)
    delete_from_rabbitmq(url, queue)


@contextlib.contextmanager
def redis(_directory: Path, url: str | None = None) -> Iterator[Setting]:
    """PostgreSQL and Redis."""
    url = url or REDIS.answering()
    queue = f"cicd-test-{uuid4().hex}"
    with postgres_schema() as store:
        yield Setting("redis", store, url, queue, 2, 4)
    delete_from_redis(url, queue)


SETTINGS = {"embedded": embedded, "rabbitmq": rabbitmq, "redis": redis}


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def postgres_schema() -> Iterator[str]:
    """The URL of a schema of its own, which is dropped afterwards."""
    from sqlalchemy import create_engine, make_url, text

    name = f"cicd_system_test_{uuid4().hex}"
    engine = create_engine(POSTGRESQL.answering(), connect_args={"connect_timeout": 5})
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    url = make_url(POSTGRESQL.url).update_query_dict({"options": f"-csearch_path={name}"})
    try:
        yield url.render_as_string(hide_password=False)
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
        engine.dispose()


# --- RabbitMQ -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _amqp(url: str) -> Iterator[object]:
    from kombu import Connection

    with Connection(url, connect_timeout=5) as connection:
        connection.ensure_connection(max_retries=1)
        yield connection


def delete_from_rabbitmq(url: str, queue: str) -> None:
    """Delete the queue, and the exchange of the same name that Celery declares with it."""
    with _amqp(url) as connection:
        for delete in ("queue_delete", "exchange_delete"):
            with contextlib.suppress(connection.channel_errors):
                getattr(connection.channel(), delete)(queue)


# --- Redis ----------------------------------------------------------------------------------------------------------


def delete_from_redis(url: str, queue: str) -> None:
    """Delete every key that names the queue."""
    from redis import Redis

    with Redis.from_url(url) as client:
        for key in client.scan_iter(f"*{queue}*"):
            client.delete(key)
