"""Jobs go from a Backend to a Worker on each broker, and other messages are dropped."""

from __future__ import annotations

import json
import pickle
import socket
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import kombu
import pytest
from attrs import evolve
from cicd_system import job_queue
from cicd_system.job_queue import SERIALIZER, JobQueue, QueueError
from redis import Redis
from sqlalchemy import create_engine, text

from cicd_common import converter
from cicd_common.api.request import JobExecutionRequest
from cicd_common.logging import capture_logs
from tests.support.examples import queue_worker
from tests.support.examples.proxy import TcpProxy
from tests.support.examples.settings import delete_from_rabbitmq, delete_from_redis
from tests.support.examples.waiting import DEADLINE, until
from tests.support.servers import RABBITMQ, REDIS

SECRET = "correct horse battery"
SCRIPT = Path(queue_worker.__file__)
SECONDS = job_queue._SECONDS


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A busy machine may answer late."""
    monkeypatch.setattr(job_queue, "_SECONDS", DEADLINE)


@pytest.fixture
def impatient(monkeypatch, patient):  # noqa: ARG001 - it comes first
    """For a broker that does not answer."""
    monkeypatch.setattr(job_queue, "_SECONDS", SECONDS)


def job(name: str = "build") -> JobExecutionRequest:
    return JobExecutionRequest(
        job_execution_id=uuid4(),
        stage_execution_id=uuid4(),
        pipeline_execution_id=uuid4(),
        job_id=uuid4(),
        job_name=name,
        stage_name="stage",
        pipeline_name="pipeline",
        run_number=1,
        repo="https://example.org/repo.git",
        branch="main",
        commands=(f"echo {SECRET}",),
    )


@contextmanager
def file(directory):
    yield f"sqla+sqlite:///{directory}/broker.db", "cicd.jobs"


@contextmanager
def rabbitmq(_directory):
    url, queue = RABBITMQ.answering(), f"cicd-test-{uuid4().hex}"
    yield url, queue
    delete_from_rabbitmq(url, queue)


@contextmanager
def redis(_directory):
    url, queue = REDIS.answering(), f"cicd-test-{uuid4().hex}"
    yield url, queue
    delete_from_redis(url, queue)


@pytest.fixture(params=[file, rabbitmq, redis], ids=lambda way: way.__name__)
def broker(request, tmp_path):
    """The URL of a broker and the name of an unused queue."""
    with request.param(tmp_path) as found:
        yield found


@pytest.fixture(params=[rabbitmq, redis], ids=lambda way: way.__name__)
def server(request, tmp_path):
    """A broker that is a server."""
    with request.param(tmp_path) as found:
        yield found


@pytest.fixture
def rabbit(tmp_path):
    with rabbitmq(tmp_path) as found:
        yield found


@pytest.fixture
def jobs(broker):
    with closing(JobQueue(broker[0], queue=broker[1])) as jobs:
        yield jobs


def test_kinds(broker):
    """A Worker takes only jobs of its kinds."""
    url, queue = broker
    other = evolve(job("other"), kind="acme.show", commands=())
    both = ("script", "acme.show")
    with closing(JobQueue(url, queue=queue)) as jobs:
        jobs.put(other)
        jobs.put(script := job())
        (delivery := take(jobs)).acknowledge()
        assert delivery.request == script
        assert is_empty(broker)
    with closing(JobQueue(url, queue=queue, kinds=both)) as jobs:
        jobs.put(script)
        (first := take(jobs)).acknowledge()
        (second := take(jobs)).acknowledge()
        assert {first.request, second.request} == {script, other}
        jobs.delete()


def take(jobs: JobQueue):
    """Take a job that is in the queue."""
    delivery = jobs.take(lambda: True)
    assert delivery is not None
    return delivery


def is_empty(broker) -> bool:
    """Whether no job waits: a job that is put now is the next one."""
    with closing(JobQueue(broker[0], queue=broker[1])) as jobs:
        jobs.put(last := job())
        (delivery := take(jobs)).acknowledge()
        return delivery.request == last


@contextmanager
def worker(broker, log: Path):
    """A process that takes jobs and writes them to a file."""
    process = subprocess.Popen([sys.executable, SCRIPT, *broker, log])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def taken(*logs: Path) -> list[JobExecutionRequest]:
    lines = [line for log in logs if log.exists() for line in log.read_bytes().splitlines(keepends=True)]
    return [converter.loads(line, JobExecutionRequest) for line in lines if line.endswith(b"\n")]


@contextmanager
def logged():
    """What the queue logs."""
    with capture_logs() as lines:
        found = []
        yield found
    found += [line for line in lines if line["logger"] == "cicd_system.queue"]


@contextmanager
def raw(broker):
    """A function that publishes a message of any content."""
    url, queue = broker
    options = {"global_keyprefix": f"{queue}:"} if url.startswith("redis") else {}
    with kombu.Connection(url, transport_options=options) as connection:
        producer = connection.Producer()

        def publish(body, content_type=SERIALIZER.content_type, **headers):
            producer.publish(
                body,
                routing_key=queue,
                content_type=content_type,
                content_encoding="binary" if isinstance(body, bytes) else "utf-8",
                headers=headers,
            )

        yield publish


class TestJobs:
    def test_delivered(self, broker, jobs):
        """A Worker gets the job, and an acknowledged job is not delivered again."""
        request = job()
        jobs.put(request)
        delivery = take(jobs)
        assert delivery.request == request
        delivery.acknowledge()
        delivery.acknowledge()
        jobs.close()
        assert is_empty(broker)

    def test_on_the_wire(self, broker, jobs):
        """The body is the JSON of the contract, and the headers repeat none of it."""
        request = job()
        jobs.put(request)
        options = {"global_keyprefix": f"{broker[1]}:"} if broker[0].startswith("redis") else {}
        with kombu.Connection(broker[0], transport_options=options) as connection:
            queue = kombu.Queue(broker[1])(connection.default_channel)
            message = until(lambda: queue.get(accept=[SERIALIZER.content_type]), "the message")
            body = message.body if isinstance(message.body, str) else bytes(message.body).decode()
            assert body == converter.dumps(request).decode()
            assert message.content_type == SERIALIZER.content_type
            assert SECRET not in repr((message.headers, message.properties))
            assert message.properties.get("delivery_mode") == 2
            message.ack()

    def test_many_at_once(self, broker, jobs, tmp_path):
        """Many threads put jobs and several processes take them; each job is delivered once."""
        requests = [job() for _ in range(100)]
        logs = [tmp_path / f"{number}.log" for number in range(2)]
        with worker(broker, logs[0]), worker(broker, logs[1]):
            threads = [
                threading.Thread(target=lambda part: [*map(jobs.put, part)], args=[requests[n::12]]) for n in range(12)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            until(lambda: len(taken(*logs)) >= 100, "the jobs to be taken")
            assert Counter(taken(*logs)) == Counter(requests)

    def test_none_is_held_for_a_busy_worker(self, broker, jobs):
        """The broker reserves no second job for a Worker that has one."""
        requests = [job() for _ in range(4)]
        jobs.put(requests[0])
        busy = take(jobs)
        jobs.put(requests[1])
        with closing(JobQueue(broker[0], queue=broker[1])) as other:
            assert take(other).request == requests[1]
            busy.acknowledge()
        with closing(JobQueue(broker[0], queue=broker[1])) as other:
            back = take(other)  # It was given back when the queue was closed.
            back.acknowledge()
            assert back.request == requests[1]
            for request in requests[2:]:
                jobs.put(request)
                delivery = take(other)
                delivery.acknowledge()
                assert delivery.request == request

    def test_not_waited_for(self, jobs):
        """A Worker that ends takes no job."""
        jobs.put(job())
        assert jobs.take(lambda: False) is None

    def test_idle(self, jobs, monkeypatch):
        """A Worker that has waited for long reconnects and gets the next job."""
        monkeypatch.setattr(job_queue, "_IDLE", 0.2)
        looks = iter([True] * 8)
        assert jobs.take(lambda: next(looks, False)) is None
        jobs.put(request := job())
        assert take(jobs).request == request


BODY = converter.dumps(job())
POISON = {
    "no body": (b"", {}),
    "no JSON": (SECRET.encode(), {}),
    "no text": (b"\xff\x00" + SECRET.encode(), {}),
    "half": (BODY[:-20], {}),
    "another type": (BODY.replace(b'"commands":[', b'"commands":[1,'), {}),
    "JSON": (json.dumps([[SECRET], {}, {}]).encode(), {"content_type": "application/json"}),
    "pickle": (pickle.dumps(SECRET), {"content_type": "application/x-python-serialize"}),
    "trusted by kombu": (SECRET.encode(), {"content_type": "application/data"}),
    "three bytes": (b"abc", {"content_type": "application/text"}),
    "unknown content": (SECRET.encode(), {"content_type": SECRET}),
    "not compressed": (SECRET.encode(), {"compression": "zlib"}),
    "unknown compression": (SECRET.encode(), {"compression": SECRET}),
}


class TestPoison:
    def test_dropped(self, broker, jobs):
        """Other messages are dropped, and their contents are not logged."""
        jobs.put(before := job())
        with raw(broker) as publish:
            for body, headers in POISON.values():
                publish(body, **headers)
        jobs.put(after := job())
        with logged() as lines:
            for request in (before, after):
                delivery = take(jobs)
                delivery.acknowledge()
                assert delivery.request == request
        assert [line["message"] for line in lines] == ["dropped a message that is no job"] * len(POISON)
        assert SECRET not in str(lines)
        jobs.close()
        assert is_empty(broker)

    def test_no_message(self, tmp_path):
        """Other elements of the list in Redis do not end a Worker."""
        garbage = [
            SECRET,
            "[1]",
            "{}",
            json.dumps({"properties": {"body_encoding": "base64"}, "body": SECRET + "1"}),
        ]
        with redis(tmp_path) as (url, queue), closing(JobQueue(url, queue=queue)) as jobs, logged() as lines:
            with Redis.from_url(url) as client:
                client.lpush(f"{queue}:{queue}", *garbage, b"\xff")
            jobs.put(request := job())
            assert take(jobs).request == request
        assert [line["message"] for line in lines] == ["the broker does not give jobs; trying again"]
        assert SECRET not in str(lines)


class TestFile:
    def test_what_was_delivered_is_deleted(self, tmp_path):
        """After fifty jobs the delivered messages are deleted from the file."""
        with file(tmp_path) as (url, _), closing(JobQueue(url)) as jobs:
            for _ in range(51):
                jobs.put(job())
                take(jobs).acknowledge()
            engine = create_engine(url.removeprefix("sqla+"))
            with engine.connect() as connection:
                assert connection.execute(text("SELECT count(*) FROM kombu_message")).scalar() == 1
            engine.dispose()
            assert is_empty((url, "cicd.jobs"))

    def test_removed(self, tmp_path):
        """After the file was removed, Backend and Worker use a new one."""
        received = []
        with file(tmp_path) as (url, _), closing(JobQueue(url)) as backend, closing(JobQueue(url)) as jobs:
            thread = threading.Thread(target=lambda: received.append(take(jobs)), daemon=True)
            assert put(backend) == "put"
            take(jobs).acknowledge()
            thread.start()
            (tmp_path / "broker.db").unlink()
            # What goes into the file that is gone is sent again, as by the Backend.
            until(lambda: put(backend) and received, "a job by the new file", pause=0.3)
            thread.join()

    @pytest.mark.usefixtures("impatient")
    def test_locked(self, tmp_path):
        """A job cannot be put while another process locks the file."""
        with file(tmp_path) as (url, _), closing(JobQueue(url)) as jobs:
            assert put(jobs) == "put"
            with closing(sqlite3.connect(tmp_path / "broker.db")) as other:
                other.execute("BEGIN EXCLUSIVE")
                assert put(jobs) == f"{REFUSAL}OperationalError"
            assert put(jobs) == "put"

    @pytest.mark.usefixtures("impatient")
    def test_read_for_long(self, tmp_path):
        """A Worker that cannot take a job while another process reads the file does not lock the file for ever."""
        with file(tmp_path) as (url, _), closing(JobQueue(url)) as jobs, closing(JobQueue(url)) as other:
            assert put(jobs) == "put"
            with closing(sqlite3.connect(tmp_path / "broker.db", isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT * FROM kombu_message").fetchall()
                go_on = iter([True, True, False])  # Until it has failed once.
                assert jobs.take(lambda: next(go_on)) is None
            assert put(other) == "put"
            take(jobs).acknowledge()
            take(other).acknowledge()


def through(proxy: TcpProxy, url: str) -> str:
    """The URL of the broker behind the proxy."""
    head, _, tail = url.rpartition(":")
    port, slash, path = tail.partition("/")
    proxy.target = (head.rpartition("@")[2].rpartition("/")[2] or "127.0.0.1", int(port))
    return f"{head.replace(proxy.target[0], '127.0.0.1')}:{proxy.port}{slash}{path}"


def put(jobs: JobQueue) -> str:
    """Put a job; returns the outcome. It runs in a thread, so that the test ends even if it hangs."""
    outcomes = []

    def run():
        try:
            jobs.put(job())
        except QueueError as error:
            outcomes.append(str(error))
        else:
            outcomes.append("put")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    return outcomes[0] if outcomes else "hangs"


REFUSAL = "the broker did not take the job: "


class TestBrokersFail:
    def test_network(self, server):
        """Putting a job fails while the network is cut, and works again afterwards."""
        with TcpProxy() as proxy, closing(JobQueue(through(proxy, server[0]), queue=server[1])) as jobs:
            assert put(jobs) == "put"
            proxy.cut()
            assert put(jobs).startswith(REFUSAL)
            proxy.mend()
            assert put(jobs) == "put"
            proxy.cut()
            proxy.mend()
            assert put(jobs) == "put"

    @pytest.mark.usefixtures("impatient")
    def test_silence(self, server):
        """Putting a job fails soon while the network is silent, and works again afterwards."""
        with TcpProxy() as proxy, closing(JobQueue(through(proxy, server[0]), queue=server[1])) as jobs:
            until(lambda: put(jobs) == "put", "a job to be put")
            proxy.stall()
            assert [put(jobs), put(jobs)] == [f"{REFUSAL}TimeoutError"] * 2
            proxy.mend()
            until(lambda: put(jobs) == "put", "a job to be put again")

    @pytest.mark.parametrize("scheme", ["amqp", "redis"])
    def test_not_there(self, scheme):
        """The error for a broker that does not listen does not repeat the URL."""
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))  # No other server can get the port.
            url = f"{scheme}://user:{SECRET.replace(' ', '-')}@127.0.0.1:{bound.getsockname()[1]}/0"
            with closing(JobQueue(url)) as jobs, pytest.raises(QueueError) as caught:
                jobs.put(job())
        assert str(caught.value).startswith(REFUSAL)
        assert caught.value.__suppress_context__

    def test_queue_deleted(self, rabbit):
        """Putting a job into a deleted queue fails, and the queue is declared again."""
        jobs = JobQueue(rabbit[0], queue=rabbit[1])
        assert put(jobs) == "put"
        with kombu.Connection(rabbit[0]) as connection:
            connection.default_channel.queue_delete(rabbit[1])
            assert put(jobs).startswith(REFUSAL)
            assert put(jobs) == "put"
            assert connection.default_channel.queue_declare(rabbit[1], passive=True).message_count == 1
        jobs.close()

    def test_taking(self, server):
        """A Worker waits for a broker that fails, logs it once, and takes the next job."""
        received = []

        def lines():
            return [line["message"] for line in all_lines if line["logger"] == "cicd_system.queue"]

        with (
            capture_logs() as all_lines,
            TcpProxy() as proxy,
            closing(JobQueue(through(proxy, server[0]), queue=server[1])) as jobs,
            closing(JobQueue(server[0], queue=server[1])) as other,
        ):
            proxy.cut()
            thread = threading.Thread(target=lambda: received.append(take(jobs)), daemon=True)
            thread.start()
            until(lines, "a line in the log")
            proxy.mend()
            other.put(request := job())
            thread.join(DEADLINE)
        assert [delivery.request for delivery in received] == [request]
        assert lines() == ["the broker does not give jobs; trying again"]


@pytest.mark.parametrize(
    "url",
    ["memory://", "filesystem://", "sqla+mysql://", "broker.db", "", f"amqp://guest:{SECRET}/x@host", "amqp://a:b:c"],
)
def test_other_brokers(url):
    """A broker that would lose jobs is refused; the error does not repeat the URL."""
    with pytest.raises(ValueError, match="sqla\\+sqlite, amqp, amqps, redis, rediss") as caught:
        JobQueue(url)
    assert SECRET not in str(caught.value)
