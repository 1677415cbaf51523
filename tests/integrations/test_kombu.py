"""Contract types are sent as messages of kombu, whose body is their JSON."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
import textwrap
from contextlib import closing, suppress
from pathlib import Path
from uuid import UUID, uuid4

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cicd_common
from cicd_common import ContractError, ExecutionStatus, converter
from cicd_common.api.request import JobExecutionRequest
from cicd_common.api.response import JobExecutionResponse
from cicd_common.dto import JobDTO
from cicd_common.testing.strategies import from_type
from tests.support.contract import TYPES, name_of
from tests.support.servers import RABBITMQ, REDIS

kombu = pytest.importorskip("kombu")

from kombu.exceptions import ContentDisallowed, DecodeError, EncodeError  # noqa: E402
from kombu.serialization import dumps, loads  # noqa: E402
from kombu.serialization import register as register_with_kombu  # noqa: E402

from cicd_common.integrations.kombu import Serializer, register, register_task  # noqa: E402

SECRET = "correct horse battery"
NOTHING_ELSE = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def response() -> JobExecutionResponse:
    return JobExecutionResponse(job_execution_id=UUID(int=7), status=ExecutionStatus.RUNNING)


def request() -> JobExecutionRequest:
    return JobExecutionRequest(
        pipeline_execution_id=UUID(int=3),
        job_execution_id=UUID(int=4),
        stage_execution_id=UUID(int=5),
        job_id=UUID(int=6),
        job_name="build",
        stage_name="test",
        pipeline_name="checkout",
        run_number=1,
        repo="https://example.org/repo.git",
        branch="main",
        commands=(f"echo {SECRET}",),
    )


class TestNames:
    @pytest.mark.parametrize(
        ("cls", "name"),
        [(JobExecutionRequest, "job-execution-request"), (JobDTO, "job-dto")],
    )
    def test_derived_from_the_class(self, cls, name):
        """Messages and tasks have different names."""
        assert register(cls) == Serializer(f"cicd-common.{cls.__name__}", f"application/vnd.cicd-common.{name}+json")
        assert register_task(cls) == Serializer(
            f"cicd-common.{cls.__name__}.task", f"application/vnd.cicd-common.{name}.task+json"
        )

    @pytest.mark.parametrize("way", [register, register_task])
    def test_all_differ(self, way):
        """No two types share a content type."""
        assert len({way(cls).content_type for cls in TYPES}) == len(TYPES)

    @pytest.mark.parametrize("way", [register, register_task])
    def test_taken(self, way):
        """A second class with the name of a registered one is refused."""
        way(JobDTO)
        with pytest.raises(ValueError, match=r"is registered as cicd-common\.JobDTO"):
            way(attrs.make_class("JobDTO", []))

    @pytest.mark.parametrize("name", ["cicd-common.Taken", "other"])
    def test_taken_by_others(self, name):
        """A serializer that others registered is not replaced, by name or by content type."""
        register_with_kombu(name, str, str, "application/vnd.cicd-common.taken+json")
        with pytest.raises(ValueError, match=r"is registered as cicd-common\.Taken"):
            register(attrs.make_class("Taken", []))

    @pytest.mark.parametrize("thing", [dict, response(), "JobDTO"])
    def test_for_attrs_classes(self, thing):
        """Classes other than attrs classes are refused."""
        with pytest.raises(TypeError, match=r"^expected an attrs class$"):
            register(thing)


class TestVendor:
    def test_two_copies_in_one_process(self, tmp_path):
        """An installed package and a copy of it can register the same type under different vendors."""
        package = Path(cicd_common.__file__).parent
        shutil.copytree(package, tmp_path / "theirs", ignore=shutil.ignore_patterns("__pycache__"))
        code = """
        from uuid import UUID
        from kombu.serialization import dumps, loads
        import cicd_common.api.response, cicd_common.integrations.kombu as ours
        import theirs.api.response, theirs.integrations.kombu as copied

        def checked(cls, status, serializer):
            instance = cls(job_execution_id=UUID(int=7), status=status)
            content_type, encoding, body = dumps(((instance,), {}, {}), serializer.name)
            (read,), _, _ = loads(body, content_type, encoding, accept=[content_type])
            assert read == instance and read.__class__ is cls

        first, second = cicd_common.api.response.JobExecutionResponse, theirs.api.response.JobExecutionResponse
        by_name = ours.register_task(first)
        try:
            copied.register_task(second)
        except ValueError as error:
            print(error)
        of_its_own = copied.register_task(second, vendor="theirs")
        checked(first, cicd_common.ExecutionStatus.RUNNING, by_name)
        checked(second, theirs.ExecutionStatus.RUNNING, of_its_own)
        print(of_its_own.name, of_its_own.content_type)
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.stdout.splitlines() == [
            (
                "something else is registered as cicd-common.JobExecutionResponse.task already; "
                "another copy of this package needs a vendor of its own"
            ),
            "theirs.JobExecutionResponse.task application/vnd.theirs.job-execution-response.task+json",
        ], done.stderr

    @pytest.mark.parametrize("vendor", ["", "Theirs", "-", "a b", "a/b", "a-", "a.b", "a\n"])
    def test_refused(self, vendor):
        """A vendor is part of a content type, so only letters, digits and single hyphens are accepted."""
        with pytest.raises(ValueError, match=r"^expected a vendor"):
            register(JobDTO, vendor=vendor)


@pytest.mark.no_cover
@pytest.mark.parametrize("cls", TYPES, ids=name_of)
class TestRoundTrip:
    @given(st.data())
    def test_message_and_task(self, cls, data):
        """The body of a message or a task is the JSON of the instance, and is read back equal."""
        instance, message, task = data.draw(from_type(cls)), register(cls), register_task(cls)
        content_type, encoding, body = dumps(instance, message.name)
        assert (content_type, encoding, body) == (message.content_type, "utf-8", converter.dumps(instance))
        assert loads(body, content_type, encoding, accept=[content_type]) == instance

        content_type, encoding, body = dumps(((instance,), {}, NOTHING_ELSE), task.name)
        assert (content_type, encoding, body) == (task.content_type, "utf-8", converter.dumps(instance))
        assert loads(memoryview(body), content_type, encoding, accept=[content_type]) == ((instance,), {}, {})

    @given(st.binary(min_size=1) | st.text(min_size=1))
    def test_any_bytes(self, cls, body):
        """Any body is read as an instance, or raises a DecodeError of kombu."""
        serializer = register_task(cls)
        with suppress(DecodeError):
            (instance,), _, _ = loads(body, serializer.content_type, "utf-8", accept=[serializer.content_type])
            assert instance.__class__ is cls


class Subclass(JobExecutionRequest):
    """A subclass of a contract type."""


INSTANCE = request()


class TestRefused:
    @pytest.mark.parametrize(
        "body",
        [response(), Subclass(**attrs.asdict(INSTANCE, recurse=False)), SECRET, SECRET.encode(), {SECRET: 1}, None],
        ids=lambda body: type(body).__name__,
    )
    def test_other_things(self, body):
        """Only instances of the class are written, and the error does not repeat other values."""
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
        """Other arguments, callbacks and version 1 of Celery's protocol are refused."""
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
        """A consumer refuses other content types than the one that it accepts."""
        with pytest.raises(ContentDisallowed):
            loads(body, content_type, "utf-8", accept=[register_task(JobExecutionRequest).content_type])

    def test_no_echo(self):
        """The error has the problem and not the refused text."""
        body = converter.dumps(INSTANCE).replace(b'"commands":[', b'"commands":[1,')
        serializer = register(JobExecutionRequest)
        with pytest.raises(DecodeError, match="/commands/0: expected a string") as caught:
            loads(body, serializer.content_type, "utf-8")
        assert isinstance(caught.value.args[0], ContractError)
        assert SECRET not in str(caught.value)


@pytest.fixture(params=[RABBITMQ, REDIS], ids=["rabbitmq", "redis"])
def connection(request):
    """A connection to a broker, if it answers."""
    with closing(kombu.Connection(request.param.answering(), connect_timeout=30)) as connection:
        yield connection


class TestBrokers:
    def test_round_trip(self, connection):
        """A message through a real broker is read back equal."""
        serializer, received = register(JobExecutionRequest), []
        queue = kombu.Queue(f"cicd-test-{uuid4().hex}", auto_delete=True)
        with connection.Consumer(queue, accept=[serializer.content_type]) as consumer:
            consumer.register_callback(lambda body, message: received.append((body, message.body)) or message.ack())
            connection.Producer().publish(INSTANCE, serializer=serializer.name, routing_key=queue.name)
            with suppress(TimeoutError):
                while not received:
                    connection.drain_events(timeout=60)
        # The AMQP transport returns the body as text.
        assert received in [
            [(INSTANCE, body)] for body in (converter.dumps(INSTANCE), converter.dumps(INSTANCE).decode())
        ]
