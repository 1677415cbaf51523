"""The servers of the tests keep what they are told when they are killed."""

from __future__ import annotations

import pytest
from kombu import Connection

from tests.support.examples.private_servers import PrivateRabbitMQ, PrivateRedis, accepts
from tests.support.examples.settings import SETTINGS


@pytest.mark.parametrize("kind", [PrivateRedis, PrivateRabbitMQ])
def test_private_server(tmp_path, kind):
    """A message that it has acknowledged outlives the server it is with."""
    with kind(tmp_path / "server") as server:
        with Connection(server.url, transport_options={"confirm_publish": True}) as connection:
            connection.SimpleQueue("q").put({"n": 1})
        server.kill()
        assert not accepts(server.port)
        server.start()
        with Connection(server.url) as connection:
            assert connection.SimpleQueue("q").get(timeout=30).payload == {"n": 1}
    assert not accepts(server.port)


@pytest.mark.parametrize("name", SETTINGS)
def test_setting(tmp_path, name):
    """Each has a store and a queue of its own."""
    with SETTINGS[name](tmp_path / "a") as one, SETTINGS[name](tmp_path / "b") as other:
        assert one.name == other.name == name
        assert one.store != other.store
        assert (one.broker, one.queue) != (other.broker, other.queue)
