"""Contract types travel as messages of kombu, in their own JSON and nothing else."""

from __future__ import annotations

import os
import pickle
from contextlib import closing, suppress
from uuid import UUID, uuid4

import attrs
import pytest
from contract import TYPES, name_of
from hypothesis import given
from hypothesis import strategies as st
from strategies import of

from cicd_common import ContractError, ExecutionStatus, converter
from cicd_common.api.request import JobExecutionRequest
from cicd_common.api.response import JobExecutionResponse
from cicd_common.dto import JobDTO

kombu = pytest.importorskip("kombu")

from kombu.exceptions import ContentDisallowed, DecodeError, EncodeError, OperationalError  # noqa: E402
from kombu.serialization import dumps, loads  # noqa: E402
from kombu.serialization import register as register_with_kombu  # noqa: E402

from cicd_common.integrations.kombu import Serializer, register, register_task  # noqa: E402

BROKERS = {
    "RABBITMQ": os.environ.get("CICD_TEST_RABBITMQ_URL") or "amqp://guest:guest@127.0.0.1:5672//",
    "REDIS": os.environ.get("CICD_TEST_REDIS_URL") or "redis://127.0.0.1:6379/0",
}
SECRET = "correct horse battery"
NOTHING_ELSE = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def response() -> JobExecutionResponse:
    return JobExecutionResponse(job_execution_id=UUID(int=7), status=ExecutionStatus.RUNNING)


def request() -> JobExecutionRequest:
    return JobExecutionRequest(
        job_execution_id=uuid4(),
        stage_execution_id=uuid4(),
        job_id=uuid4(),
        job_name="build",
        repo="https://example.org/repo.git",
        commands=(f"echo {SECRET}",),
    )


class TestNames:
    @pytest.mark.parametrize(
        ("cls", "name"),
        [(JobExecutionRequest, "job-execution-request"), (JobDTO, "job-dto")],
    )
    def test_derived_from_the_class(self, cls, name):
        """Both ways have names of their own."""
        assert register(cls) == Serializer(f"cicd.{cls.__name__}", f"application/vnd.cicd-common.{name}+json")
        assert register_task(cls) == Serializer(
            f"cicd.{cls.__name__}.task", f"application/vnd.cicd-common.{name}.task+json"
        )

    @pytest.mark.parametrize("way", [register, register_task])
    def test_all_differ(self, way):
        """No two types share a content type."""
        assert len({way(cls).content_type for cls in TYPES}) == len(TYPES)

    @pytest.mark.parametrize("way", [register, register_task])
    def test_taken(self, way):
        """A name says one thing only."""
        way(JobDTO)
        with pytest.raises(ValueError, match=r"is registered as cicd\.JobDTO"):
            way(attrs.make_class("JobDTO", []))

    @pytest.mark.parametrize("name", ["cicd.Taken", "other"])
    def test_taken_by_others(self, name):
        """Nor is what others registered with kombu replaced, by name or by content type."""
        register_with_kombu(name, str, str, "application/vnd.cicd-common.taken+json")
        with pytest.raises(ValueError, match=r"is registered as cicd\.Taken"):
            register(attrs.make_class("Taken", []))

    @pytest.mark.parametrize("thing", [dict, response(), "JobDTO"])
    def test_for_attrs_classes(self, thing):
        """What the converter does not know is refused."""
        with pytest.raises(TypeError, match=r"^expected an attrs class$"):
            register(thing)


@pytest.mark.parametrize("cls", TYPES, ids=name_of)
class TestRoundTrip:
    @given(st.data())
    def test_message(self, cls, data):
        """The body is the JSON of the instance, and gives an equal one."""
        instance, serializer = data.draw(of(cls)), register(cls)
        content_type, encoding, body = dumps(instance, serializer.name)
        assert (content_type, encoding, body) == (serializer.content_type, "utf-8", converter.dumps(instance))
        assert loads(body, content_type, encoding, accept=[content_type]) == instance

    @given(st.data())
    def test_task(self, cls, data):
        """So it is for a task."""
        instance, serializer = data.draw(of(cls)), register_task(cls)
        content_type, encoding, body = dumps(((instance,), {}, NOTHING_ELSE), serializer.name)
        assert (content_type, encoding, body) == (serializer.content_type, "utf-8", converter.dumps(instance))
        assert loads(memoryview(body), content_type, encoding, accept=[content_type]) == ((instance,), {}, {})

    @given(st.binary(min_size=1) | st.text(min_size=1))
    def test_any_bytes(self, cls, body):
        """Whatever the body, it ends in an instance or in kombu's error."""
        serializer = register_task(cls)
        with suppress(DecodeError):
            (instance,), _, _ = loads(body, serializer.content_type, "utf-8", accept=[serializer.content_type])
            assert instance.__class__ is cls


class Subclass(JobExecutionRequest):
    """Says more than the contract."""


INSTANCE = request()


class TestRefused:
    @pytest.mark.parametrize(
        "body",
        [response(), Subclass(**attrs.asdict(INSTANCE, recurse=False)), SECRET, SECRET.encode(), {SECRET: 1}, None],
        ids=lambda body: type(body).__name__,
    )
    def test_other_things(self, body):
        """Only what the serializer is for is written; the error does not repeat what it was given."""
        with pytest.raises(EncodeError, match=r"^expected one JobExecutionRequest$"):
            dumps(body, register(JobExecutionRequest).name)

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (INSTANCE, "positional argument"),
            (SECRET, "positional argument"),
            (((), {}, NOTHING_ELSE), "positional argument"),
            (((INSTANCE, INSTANCE), {}, NOTHING_ELSE), "positional argument"),
            (((INSTANCE,), {SECRET: 1}, NOTHING_ELSE), "positional argument"),
            (((SECRET,), {}, NOTHING_ELSE), "expected one JobExecutionRequest"),
            (((INSTANCE,), {}, {**NOTHING_ELSE, "callbacks": [SECRET]}), "without callbacks"),
            (((INSTANCE,), {}, {**NOTHING_ELSE, "chain": [SECRET]}), "without callbacks"),
            (((INSTANCE,), {}, [SECRET]), "without callbacks"),
            ({"args": (INSTANCE,), "kwargs": {}, "callbacks": None}, "positional argument"),
        ],
    )
    def test_other_tasks(self, body, message):
        """A task has one argument, and nothing that Celery would add; version 1 of its protocol is refused, too."""
        with pytest.raises(EncodeError, match=message) as caught:
            dumps(body, register_task(JobExecutionRequest).name)
        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize(
        ("content_type", "body"),
        [
            ("application/x-python-serialize", pickle.dumps(1)),
            ("application/json", b"1"),
            ("application/x-yaml", b"a: 1"),
            (register(JobExecutionRequest).content_type, converter.dumps(INSTANCE)),
        ],
    )
    def test_other_content(self, content_type, body):
        """Who accepts one content type gets no other."""
        with pytest.raises(ContentDisallowed):
            loads(body, content_type, "utf-8", accept=[register_task(JobExecutionRequest).content_type])

    def test_no_echo(self):
        """What is wrong is told, and not what was there."""
        body = converter.dumps(INSTANCE).replace(b'"commands":[', b'"commands":[1,')
        serializer = register(JobExecutionRequest)
        with pytest.raises(DecodeError, match="/commands/0: expected a string") as caught:
            loads(body, serializer.content_type, "utf-8")
        assert isinstance(caught.value.args[0], ContractError)
        assert SECRET not in str(caught.value)


@pytest.fixture(params=BROKERS)
def connection(request):
    """A connection to a broker, if it answers."""
    connection = kombu.Connection(BROKERS[request.param], connect_timeout=5)
    with closing(connection):
        try:
            connection.ensure_connection(max_retries=1)
        except (OSError, OperationalError):
            missing = pytest.fail if os.environ.get("CI") else pytest.skip
            missing(f"no broker answers at the URL in CICD_TEST_{request.param}_URL, or at the default one")
        yield connection


class TestBrokers:
    def test_round_trip(self, connection):
        """A real broker gives back what it was given."""
        serializer, received = register(JobExecutionRequest), []
        queue = kombu.Queue(f"cicd-test-{uuid4().hex}", auto_delete=True)
        with connection.Consumer(queue, accept=[serializer.content_type]) as consumer:
            consumer.register_callback(lambda body, message: received.append((body, message.body)) or message.ack())
            connection.Producer().publish(INSTANCE, serializer=serializer.name, routing_key=queue.name)
            with suppress(TimeoutError):
                while not received:
                    connection.drain_events(timeout=10)
        # That of AMQP has made text of it.
        assert received in [
            [(INSTANCE, body)] for body in (converter.dumps(INSTANCE), converter.dumps(INSTANCE).decode())
        ]
