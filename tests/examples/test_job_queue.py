"""Jobs go from a Backend to a Worker on each broker, and nothing else gets through or stops a Worker."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import kombu
import pytest
from cicd_system.job_queue import SERIALIZER, TASK, JobQueue, QueueError
from redis import Redis

from cicd_common import converter
from cicd_common.api.request import JobExecutionRequest
from tests.support.examples import queue_worker
from tests.support.examples.proxy import TcpProxy
from tests.support.examples.settings import delete_from_rabbitmq, delete_from_redis
from tests.support.examples.waiting import until
from tests.support.servers import RABBITMQ, REDIS

SECRET = "correct horse battery"
SCRIPT = Path(queue_worker.__file__)


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
def spool(directory):
    yield f"spool://{directory}/spool", "cicd.jobs"


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


@pytest.fixture(params=[spool, rabbitmq, redis], ids=lambda way: way.__name__)
def broker(request, tmp_path):
    """The URL of a broker and the name of a queue that nobody else uses."""
    with request.param(tmp_path) as found:
        yield found


@pytest.fixture(params=[rabbitmq, redis], ids=lambda way: way.__name__)
def server(request, tmp_path):
    """One that is a process of its own, elsewhere."""
    with request.param(tmp_path) as found:
        yield found


@pytest.fixture
def rabbit(tmp_path):
    with rabbitmq(tmp_path) as found:
        yield found


@pytest.fixture
def jobs(broker):
    jobs = JobQueue(broker[0], queue=broker[1])
    yield jobs
    jobs.close()


class Worker:
    """A process that consumes."""

    def __init__(self, broker, directory: Path) -> None:
        self._broker, self._directory = broker, directory
        self._log, self._err = directory / "jobs.log", directory / "worker.log"
        self.go = directory / "jobs.log.go"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._err.open("ab") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", SCRIPT, *self._broker, self._log, "1.5"], stdout=err, stderr=err
            )

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        assert self._process
        self._process.terminate()

    def wait(self) -> int:
        assert self._process
        return self._process.wait(60)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def errors(self) -> str:
        return self._err.read_text()

    def jobs(self) -> list[dict[str, object]]:
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [line for line in map(json.loads, lines) if "id" in line]

    def done(self) -> list[str]:
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [line["done"] for line in map(json.loads, lines) if "done" in line]


@pytest.fixture
def worker(broker, tmp_path):
    worker = Worker(broker, tmp_path)
    worker.start()
    yield worker
    worker.kill()


@contextmanager
def raw(broker):
    """A connection that publishes what it is told to, with the headers of a task."""
    url, queue = broker
    options = {"confirm_publish": True} if url.startswith("amqp") else {}
    with kombu.Connection(url, transport_options=options) as connection:
        producer = connection.Producer()
        kombu.Queue(queue, kombu.Exchange(queue), queue, queue_arguments={}).maybe_bind(connection.default_channel)

        def publish(body, content_type=SERIALIZER.content_type, **headers):
            headers = {"task": TASK, "id": str(uuid4()), "argsrepr": SECRET, **headers}
            producer.publish(
                body,
                routing_key=queue,
                content_type=content_type,
                content_encoding="binary" if isinstance(body, bytes) else "utf-8",
                headers={name: value for name, value in headers.items() if value is not None},
            )

        yield connection, publish


class TestJobs:
    def test_delivered(self, jobs, worker):
        """A Worker gets what was put, with the id of the job execution as that of the task."""
        request = job()
        jobs.put(request)
        until(worker.done, "the job to be done")
        assert worker.jobs() == [
            {
                "id": str(request.job_execution_id),
                "request": converter.dumps(request).decode(),
                "redelivered": False,
            }
        ]

    def test_on_the_wire(self, broker, jobs):
        """The body is the JSON of the contract, and no header repeats any of it."""
        request = job()
        jobs.put(request)
        with kombu.Connection(broker[0]) as connection:
            queue = kombu.Queue(broker[1])(connection.default_channel)
            message = until(lambda: queue.get(accept=[SERIALIZER.content_type]), "the message")
            body = message.body if isinstance(message.body, str) else bytes(message.body).decode()
            assert body == converter.dumps(request).decode()
            assert message.content_type == SERIALIZER.content_type
            assert message.headers["id"] == str(request.job_execution_id)
            assert SECRET not in repr((message.headers, message.properties))
            assert message.properties.get("delivery_mode") == 2
            message.ack()

    def test_from_many_threads(self, jobs, worker):
        """None is lost, and none delivered twice."""
        requests = [job() for _ in range(100)]

        def put(part):
            for request in part:
                jobs.put(request)

        threads = [threading.Thread(target=put, args=[requests[start::12]]) for start in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: len(worker.done()) >= 100, "the jobs to be done")
        assert Counter(worker.done()) == Counter(str(request.job_execution_id) for request in requests)

    def test_not_shown(self, jobs, worker):
        """Celery logs jobs that end and jobs that fail, and nothing of what is in them."""
        failed = job("fail")
        jobs.put(failed)
        jobs.put(job())
        until(worker.done, "the job to be done")
        assert "as it was told" in worker.errors
        assert str(failed.job_execution_id) in worker.errors
        assert SECRET not in worker.errors


class TestWorkersEnd:
    def test_killed(self, jobs, worker):
        """What a killed Worker had is delivered to the next one, marked."""
        request = job("wait")
        jobs.put(request)
        until(worker.jobs, "the job to be taken")
        worker.kill()
        worker.go.touch()
        worker.start()
        until(worker.done, "the job to be done")
        assert [job["redelivered"] for job in worker.jobs()] == [False, True]
        assert worker.done() == [str(request.job_execution_id)]

    def test_killed_again_and_again(self, jobs, worker):
        """It waits as long as it takes."""
        request = job("wait")
        jobs.put(request)
        for count in (1, 2, 3):
            until(lambda count=count: len(worker.jobs()) == count, "the job to be taken")
            worker.kill()
            worker.start()
        worker.go.touch()
        until(worker.done, "the job to be done")
        assert [job["redelivered"] for job in worker.jobs()] == [False, True, True, True]

    def test_stopped(self, broker, jobs, worker):
        """A Worker that is asked to end finishes its job, which is not delivered again, and gives back the others."""
        first, second = job("wait"), job()
        jobs.put(first)
        jobs.put(second)
        until(worker.jobs, "the job to be taken")
        worker.terminate()
        until(lambda: "Warm shutdown" in worker.errors, "the Worker to know")
        worker.go.touch()
        assert worker.wait() == 0
        worker.start()
        until(lambda: len(worker.done()) == 2, "the other job to be done")
        assert worker.done() == [str(first.job_execution_id), str(second.job_execution_id)]
        # It may be the first one that did both.
        until(lambda: worker.errors.count("test@localhost ready.") == 2, "the Worker to be ready")
        worker.terminate()
        assert worker.wait() == 0
        with kombu.Connection(broker[0]) as connection:
            assert kombu.Queue(broker[1])(connection.default_channel).get() is None


BODY = converter.dumps(job())
POISON = {
    "no body": (b"", {}),
    "no JSON": (SECRET.encode(), {}),
    "no text": (b"\xff\x00" + SECRET.encode(), {}),
    "half": (BODY[:-20], {}),
    "another type": (BODY.replace(b'"commands":[', b'"commands":[1,'), {}),
    "another task": (BODY, {"task": SECRET}),
    "no task": (BODY, {"task": None}),
    "task of another type": (BODY, {"task": [SECRET]}),
    "JSON of Celery": (json.dumps([[SECRET], {}, {}]).encode(), {"content_type": "application/json"}),
    "pickle": (pickle.dumps(SECRET), {"content_type": "application/x-python-serialize"}),
    "trusted by kombu": (SECRET.encode(), {"content_type": "application/data"}),
    "three bytes": (b"abc", {"content_type": "application/text"}),
    "unknown content": (SECRET.encode(), {"content_type": SECRET}),
    "not compressed": (SECRET.encode(), {"compression": "zlib"}),
    "unknown compression": (SECRET.encode(), {"compression": SECRET}),
}


class TestPoison:
    def test_dropped(self, broker, jobs, worker):
        """What is no job neither stops a Worker nor comes back, and nothing of it is logged."""
        before, after = job(), job()
        jobs.put(before)
        with raw(broker) as (_, publish):
            for body, headers in POISON.values():
                publish(body, **headers)
        jobs.put(after)
        until(lambda: len(worker.done()) == 2, "the jobs to be done")
        assert worker.done() == [str(before.job_execution_id), str(after.job_execution_id)]
        assert worker.errors.count("dropped a message that is no job") == len(POISON)
        assert SECRET not in worker.errors
        assert "Traceback" not in worker.errors
        worker.terminate()
        assert worker.wait() == 0
        with kombu.Connection(broker[0]) as connection:
            assert kombu.Queue(broker[1])(connection.default_channel).get() is None

    def test_no_message(self, tmp_path):
        """What someone has pushed into the list in Redis does not end a Worker either."""
        with redis(tmp_path) as broker:
            worker, request = Worker(broker, tmp_path), job()
            garbage = [
                SECRET,
                "[1]",
                "{}",
                json.dumps({"properties": {"body_encoding": "base64"}, "body": SECRET + "1"}),
            ]
            with Redis.from_url(broker[0]) as client:
                client.lpush(broker[1], *garbage, b"\xff")
            jobs = JobQueue(broker[0], queue=broker[1])
            jobs.put(request)
            jobs.close()
            worker.start()
            try:
                until(worker.done, "the job to be done")
                assert worker.done() == [str(request.job_execution_id)]
                assert worker.errors.count("dropped what is no message") == len(garbage) + 1
                assert SECRET not in worker.errors
            finally:
                worker.kill()

    @pytest.mark.parametrize(
        "headers",
        [
            {"eta": "2999-01-01T00:00:00Z"},
            {"eta": SECRET},
            {"expires": "1999-01-01T00:00:00Z"},
            {"expires": SECRET},
            {"id": None},
            {"id": [SECRET]},
            {"timelimit": [SECRET]},
            {"retries": SECRET},
            {"callbacks": [SECRET], "chord": SECRET},
        ],
        ids="-".join,
    )
    def test_other_headers(self, tmp_path, headers):
        """The job is all that counts: nothing else delays it, or stops the Worker."""
        with spool(tmp_path) as broker:
            worker, request = Worker(broker, tmp_path), job()
            with raw(broker) as (_, publish):
                publish(converter.dumps(request), **headers)
            worker.start()
            try:
                until(worker.done, "the job to be done")
            finally:
                worker.kill()
            assert worker.done() == [str(request.job_execution_id)]
            assert SECRET not in worker.errors


def through(proxy: TcpProxy, url: str) -> str:
    """The URL of the broker behind the proxy."""
    head, _, tail = url.rpartition(":")
    port, slash, path = tail.partition("/")
    proxy.target = (head.rpartition("@")[2].rpartition("/")[2] or "127.0.0.1", int(port))
    return f"{head.replace(proxy.target[0], '127.0.0.1')}:{proxy.port}{slash}{path}"


def put(jobs: JobQueue) -> str:
    """Put a job, and say what became of it; in a thread, so that the test ends even if it hangs."""
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
    thread.join(30)
    return outcomes[0] if outcomes else "hangs"


REFUSAL = "the broker did not take the job: "


class TestBrokersFail:
    def test_network(self, server):
        """A broker that is cut off or does not answer is an error, soon; later all is well again."""
        with TcpProxy() as proxy:
            jobs = JobQueue(through(proxy, server[0]), queue=server[1])
            assert put(jobs) == "put"
            proxy.cut()
            assert put(jobs).startswith(REFUSAL)
            proxy.mend()
            assert put(jobs) == "put"
            proxy.stall()
            assert [put(jobs), put(jobs)] == [f"{REFUSAL}TimeoutError"] * 2
            proxy.mend()
            assert put(jobs) == "put"
            proxy.cut()
            proxy.mend()
            assert put(jobs) == "put"
            jobs.close()

    @pytest.mark.parametrize("scheme", ["amqp", "redis"])
    def test_not_there(self, scheme):
        """Nobody listens; the error does not repeat the URL."""
        with TcpProxy() as proxy:
            port = proxy.port
        jobs = JobQueue(f"{scheme}://user:{SECRET.replace(' ', '-')}@127.0.0.1:{port}/0")
        with pytest.raises(QueueError) as caught:
            jobs.put(job())
        assert str(caught.value).startswith(REFUSAL)
        assert caught.value.__suppress_context__
        jobs.close()

    def test_queue_deleted(self, rabbit):
        """A job for which RabbitMQ has no queue any more is not lost in silence, and the queue is made again."""
        jobs = JobQueue(rabbit[0], queue=rabbit[1])
        assert put(jobs) == "put"
        with kombu.Connection(rabbit[0]) as connection:
            connection.default_channel.queue_delete(rabbit[1])
            assert put(jobs).startswith(REFUSAL)
            assert put(jobs) == "put"
            assert connection.default_channel.queue_declare(rabbit[1], passive=True).message_count == 1
        jobs.close()

    def test_full(self, tmp_path, monkeypatch):
        """A spool on a full disk does not take jobs."""
        jobs = JobQueue(f"spool://{tmp_path}/spool")
        assert put(jobs) == "put"

        def full(_descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        assert put(jobs) == f"{REFUSAL}OSError"
        monkeypatch.undo()
        assert put(jobs) == "put"
        jobs.close()


@pytest.mark.parametrize(
    "url", ["memory://", "filesystem://", "spool", "", f"amqp://guest:{SECRET}/x@host", "amqp://a:b:c"]
)
def test_other_brokers(url):
    """A broker that would lose jobs is refused; the error does not repeat the URL."""
    with pytest.raises(ValueError, match="amqp, amqps, redis, rediss, spool") as caught:
        JobQueue(url)
    assert SECRET not in str(caught.value)


def test_redis_timeout():
    """A job is handed to another Worker a minute after its time is up, or as is asked for."""
    options = [
        JobQueue("redis://localhost", job_timeout=100, **more).app.conf.broker_transport_options
        for more in ({}, {"redeliver_after": 2})
    ]
    assert [option["visibility_timeout"] for option in options] == [160, 2]
