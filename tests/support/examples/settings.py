"""The stores and brokers of systems in tests: SQLite files, or PostgreSQL with RabbitMQ or Redis.

`tests.support.servers` has the addresses of the servers. Each system has its own schema and its own queue.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from cicd_common import converter
from cicd_common.api.request import JobExecutionRequest
from tests.support.servers import POSTGRESQL, RABBITMQ, REDIS


@dataclass(frozen=True)
class Setting:
    """The store, the broker and the number of processes of a system.

    Attributes:
        name: ``embedded``, ``rabbitmq`` or ``redis``.
        store: The URL of its store.
        broker: The URL of its broker.
        queue: The name of its queue, which no other system uses.
        backends: The number of Backends.
        workers: The number of Workers.
    """

    name: str
    store: str
    broker: str
    queue: str
    backends: int
    workers: int


@contextlib.contextmanager
def embedded(directory: Path) -> Iterator[Setting]:
    """SQLite files for the store and for the broker."""
    broker = f"sqla+sqlite:///{directory}/broker.db"
    yield Setting("embedded", f"sqlite:///{directory}/cicd.db", broker, "cicd.jobs", 1, 2)


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
    """The URL of a new schema, which is dropped afterwards."""
    from sqlalchemy import create_engine, make_url, text

    name = f"cicd_system_test_{uuid4().hex}"
    engine = create_engine(POSTGRESQL.answering(), connect_args={"connect_timeout": 30})
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

    with Connection(url, connect_timeout=30) as connection:
        connection.ensure_connection(max_retries=1)
        yield connection


def delete_from_rabbitmq(url: str, queue: str) -> int:
    """Delete the queue, and return the number of its messages."""
    with _amqp(url) as connection:
        return int(connection.channel().queue_delete(queue))


# --- Redis ----------------------------------------------------------------------------------------------------------


def delete_from_redis(url: str, queue: str) -> int:
    """Delete the keys of the queue, and return the number of its messages."""
    from redis import Redis

    with Redis.from_url(url) as client:
        messages, _ = client.pipeline().llen(f"{queue}:{queue}").delete(f"{queue}:{queue}").execute()
        for key in client.scan_iter(f"*{queue}*"):
            client.delete(key)
    return int(messages)


def waiting(setting: Setting, queue: str) -> int | None:
    """The number of messages in a queue of a server; None if nothing is left of the queue."""
    if setting.name == "redis":
        from redis import Redis

        with Redis.from_url(setting.broker) as client:
            return int(client.llen(f"{queue}:{queue}")) if any(client.scan_iter(f"*{queue}*")) else None

    from amqp import NotFound

    with _amqp(setting.broker) as connection, contextlib.suppress(NotFound):
        return int(connection.channel().queue_declare(queue, passive=True).message_count)
    return None


# --- the file -------------------------------------------------------------------------------------------------------


def jobs_in(broker: str) -> list[JobExecutionRequest]:
    """The jobs in the file of an embedded broker that no Worker has taken."""
    path = broker.removeprefix("sqla+sqlite:///")
    if not Path(path).exists():
        return []
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT payload FROM kombu_message WHERE visible").fetchall()
    except sqlite3.OperationalError:
        return []  # The tables are being created.
    return [converter.loads(b64decode(json.loads(payload)["body"]), JobExecutionRequest) for (payload,) in rows]


def delete_file(broker: str) -> int:
    """Delete the file of an embedded broker if jobs wait in it, and return their number."""
    path = broker.removeprefix("sqla+sqlite:///")
    count = len(jobs_in(broker))
    if count:
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
            connection.execute("BEGIN EXCLUSIVE")  # Or a transaction could leave its journal to the next file.
            Path(path).unlink()
    return count


def forget(setting: Setting) -> int:
    """Delete all messages of a broker, and return their number."""
    if setting.name == "embedded":
        return delete_file(setting.broker)
    return {"rabbitmq": delete_from_rabbitmq, "redis": delete_from_redis}[setting.name](setting.broker, setting.queue)
