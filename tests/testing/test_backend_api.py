"""The HTTP interface of the Backend in memory, beyond the tests of the kit."""

import asyncio

import pytest

from cicd_common.testing.backend_api import BackendApi
from cicd_common.testing.conformance import client_of


@pytest.mark.parametrize("path", ["/", "/api/pipeline/execute/more", "/api/job/status/x", "/api/nothing"])
def test_there_is_nothing_at_other_paths(path):
    response = client_of(BackendApi()).get(path)
    assert (response.status_code, response.json()["status"]) == (404, 404)


def test_the_lifespan_of_a_server_is_answered():
    """The application answers the ASGI messages for startup and shutdown."""
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message["type"])

    asyncio.run(BackendApi()({"type": "lifespan"}, receive, send))

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_a_client_of_an_application_stays_until_it_is_answered():
    """An application that waits for a disconnect gets none before it has answered."""

    async def app(_, receive, send):
        await receive()
        leaving = asyncio.create_task(receive())
        await asyncio.sleep(0)
        assert not leaving.done()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"still there"})
        leaving.cancel()

    assert client_of(app).get("/").content == b"still there"
