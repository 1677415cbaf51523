"""Events are sent as CloudEvents over HTTP, again until the receiver accepts them."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime

import pytest
from hypothesis import given

from cicd_common import ContractError
from cicd_common.model import Job, Pipeline, PipelineExecution, Stage
from cicd_common.testing.strategies import executions
from tests.support.http_receiver import DROP, receiver
from tests.support.sessions import DOCS, run_sessions

pytest.importorskip("cloudevents.core")

from cicd_common.integrations.cdevents import (
    DeliveryError,
    EventSender,
    events,
    from_http,
    to_cloudevent,
    to_http,
)

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
SOURCE = "https://ci.example.org"
MODES = ["structured", "binary"]
PIPELINE = Pipeline(
    name="chäckout", repo_url="r", stages=(Stage(name="test", jobs=(Job(name="build", script=("true",)),)),)
)
(EVENT,) = events(None, PipelineExecution.of(PIPELINE, run_number=1), source=SOURCE, at=NOW)


@pytest.mark.parametrize("mode", MODES)
class TestHttp:
    @given(run=executions())
    def test_reads_what_was_written(self, mode, run):
        """Every event is read back equal, with header names in any case."""
        for event in events(None, run, source=SOURCE, at=NOW):
            message = to_http(event, mode)
            assert from_http({name.title(): value for name, value in message.headers.items()}, message.body) == event

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"3", b'{"data": 3}', b"[" * 100_000])
    def test_refuses_what_is_no_event(self, mode, body):
        """A body that is no event raises a ContractError."""
        with pytest.raises(ContractError):
            from_http(to_http(EVENT, mode).headers, body)


def test_attributes():
    """The CloudEvent has the attributes of the event."""
    assert to_cloudevent(EVENT).get_attributes() == {
        "specversion": "1.0",
        "id": EVENT.id,
        "source": SOURCE,
        "type": "dev.cdevents.pipelinerun.queued.0.3.0",
        "time": NOW,
        "subject": EVENT.subject_id,
        "datacontenttype": "application/json",
    }


def test_structured():
    """The body is the CloudEvent, whose data is the document of the event."""
    message = to_http(EVENT)
    assert message.headers == {"content-type": "application/cloudevents+json"}
    assert json.loads(message.body)["data"] == EVENT.document()


def test_binary():
    """The attributes are headers, and the body is the document of the event."""
    message = to_http(EVENT, "binary")
    assert message.headers["ce-id"] == EVENT.id
    assert json.loads(message.body) == EVENT.document()


def sender_to(url, **options):
    """A sender that waits for a slow receiver."""
    return EventSender(url, timeout=60, **options)


class TestSender:
    @pytest.mark.parametrize("mode", MODES)
    def test_sends(self, mode):
        """The receiver gets each event once, with the headers of the caller, over one connection."""
        with receiver() as server, sender_to(f"{server.url}/in?x=1", mode=mode, headers={"X-Token": "t"}) as sender:
            sender.send(EVENT)
            sender.send(EVENT)
        first, second = server.requests
        assert from_http(first.headers, first.body) == from_http(second.headers, second.body) == EVENT
        assert first.path == "/in?x=1"
        assert first.headers["X-Token"] == "t"

    def test_sends_again(self):
        """Events are sent again after a temporary status and a broken connection, not before `Retry-After`."""
        waited = []
        answers = [503, DROP, (429, {"Retry-After": "7"}), (500, {"Retry-After": "Sun, 01 Feb 2026 12:00:00 GMT"}), 202]
        with receiver(*answers) as server, sender_to(server.url, sleep=waited.append) as sender:
            sender.send(EVENT)
        assert [from_http(request.headers, request.body) for request in server.requests] == [EVENT] * 5
        assert waited == [0.5, 1, 7, 4]

    def test_opens_a_connection_that_was_closed(self):
        """If the receiver has closed the connection, the event is sent again over a new one."""
        with receiver(200, DROP) as server, sender_to(server.url, attempts=2, sleep=lambda _: None) as sender:
            sender.send(EVENT)
            sender.send(EVENT)
        assert len(server.requests) == 3

    @pytest.mark.parametrize("status", [400, 401, 404, 413, 301])
    def test_gives_up_at_once(self, status):
        """A status that is not temporary is not tried again."""
        with (
            receiver(status) as server,
            sender_to(server.url) as sender,
            pytest.raises(DeliveryError, match=str(status)) as caught,
        ):
            sender.send(EVENT)
        assert caught.value.status == status
        assert len(server.requests) == 1

    def test_gives_up_in_the_end(self):
        """After the last attempt the error has the status of the last response."""
        with receiver(*[503] * 3) as server, sender_to(server.url, attempts=3, sleep=lambda _: None) as sender:
            with pytest.raises(DeliveryError, match="503"):
                sender.send(EVENT)
            sender.send(EVENT)
        assert len(server.requests) == 4

    def test_without_a_receiver(self):
        """Without a receiver the error has no status."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}"
            with EventSender(url, attempts=1) as sender, pytest.raises(DeliveryError, match="did not answer") as caught:
                sender.send(EVENT)
        assert caught.value.status is None

    def test_speaks_tls(self):
        """An https URL uses TLS, and a receiver without TLS counts as one that did not answer."""
        with receiver() as server:
            sender = sender_to(server.url.replace("http", "https"), attempts=1)
            with sender, pytest.raises(DeliveryError, match="SSL"):
                sender.send(EVENT)

    @pytest.mark.parametrize(
        ("url", "arguments"),
        [("ftp://host/", {}), ("http:///path", {}), ("http://host", {"mode": "x"}), ("http://host", {"attempts": 0})],
    )
    def test_refuses_arguments(self, url, arguments):
        """Wrong arguments are refused before anything is sent."""
        with pytest.raises(ValueError, match="expected"):
            EventSender(url, **arguments)

    def test_refuses_a_mode(self):
        """A mode other than "structured" and "binary" is refused."""
        with pytest.raises(ValueError, match="structured"):
            to_http(EVENT, "batched")


def test_documentation():
    """The examples of docs/how-to/events.md have the output on the page."""
    pytest.importorskip("sqlalchemy")
    with receiver() as server:
        run_sessions(
            DOCS / "how-to" / "events.md",
            url=server.url,
            received=lambda: [(request.headers, request.body) for request in server.requests],
        )
