"""The HTTP interface of the Backend in memory, beyond the tests of the kit."""

import asyncio

import httpx
import pytest

from cicd_common.testing.backend_api import BackendApi
from cicd_common.testing.conformance import Paths, client_of
from cicd_common.testing.conformance.client import Caller


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


class App:
    """An ASGI application that records its lifespan messages, and answers with the state that its startup has set."""

    def __init__(self, startup: str = "complete") -> None:
        self.startup = startup
        self.steps: list[str] = []
        self.loops: set[object] = set()

    async def __call__(self, scope, receive, send):
        self.loops.add(asyncio.get_running_loop())
        if scope["type"] == "lifespan":
            scope["state"]["word"] = b"ready"
            for _ in range(2):
                message = await receive()
                self.steps.append(message["type"])
                end = self.startup if message["type"].endswith("startup") else "complete"
                await send({"type": f"{message['type']}.{end}", "message": "no database"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["state"]["word"]})


def test_an_application_lives_as_long_as_its_client():
    """The application of a client is started before the first request and shut down at the end, in one event loop."""
    app = App()
    with client_of(app) as client:
        assert app.steps == ["lifespan.startup"]
        assert client.get("/").content == client.get("/").content == b"ready"
    assert app.steps == ["lifespan.startup", "lifespan.shutdown"]
    assert len(app.loops) == 1


def test_a_startup_that_fails_is_an_error():
    """A failed startup raises an error with the message of the application."""
    with pytest.raises(RuntimeError, match="startup of the application failed: no database"):
        client_of(App(startup="failed"))


def test_an_application_needs_no_lifespan():
    """An application that raises for lifespan messages still gets requests, as ASGI requires."""

    async def app(scope, _, send):
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 204})

    with client_of(app) as client:
        assert client.get("/").status_code == 204


def test_a_path_may_have_a_query():
    """The query of a request is added to that of its path."""
    client = httpx.Client(
        base_url="http://localhost",
        transport=httpx.MockTransport(lambda request: httpx.Response(200, json=request.url.query.decode())),
    )
    ask = Caller(client, Paths())
    assert ask.get("/logs?run={run}", str, run="x y") == "run=x%20y"
    assert ask.get("/logs?run={run}", str, query={"limit": 1}, run="x") == "run=x&limit=1"
