"""The contents of artifacts over HTTP: stored once, completely, and returned unchanged."""

from hashlib import sha256

import httpx
import pytest
from cicd_system.backend.app import MAX_CONTENT

from cicd_common.store import ExecutionStore
from tests.support.examples.backend_in_process import TOKEN, Backend

CONTENT = bytes(range(256)) * 9_000
DIGEST = sha256(CONTENT).hexdigest()
PATH = f"/api/artifact/{DIGEST}"


@pytest.fixture
def backend():
    with ExecutionStore("sqlite://") as store:
        backend = Backend(store)
        yield backend
        backend.close()


@pytest.mark.parametrize("content", [CONTENT, b""])
def test_content_comes_back(backend, content):
    """Content can be stored twice; `HEAD` returns its size."""
    path = f"/api/artifact/{sha256(content).hexdigest()}"
    assert backend.ask("HEAD", path).status_code == 404
    for _ in range(2):
        assert backend.ask("PUT", path, content=content).status_code == 204
    head, answer = backend.ask("HEAD", path), backend.ask("GET", path)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(content)), b"")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/octet-stream")
    assert answer.content == content


def test_other_content_is_refused(backend):
    """Content with another SHA-256 is refused and not stored."""
    answer = backend.ask("PUT", PATH, content=b"another")
    assert (answer.status_code, answer.json()["status"]) == (422, 422)
    assert backend.ask("HEAD", PATH).status_code == 404


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("HEAD", 404), ("PUT", 422)])
def test_what_is_no_sha256_is_refused(backend, method, status):
    content = {"content": b"x"} if method == "PUT" else {}
    assert backend.ask(method, "/api/artifact/..%2Fx", **content).status_code in (404, status)
    assert backend.ask(method, "/api/artifact/xyz", **content).status_code == 422


def test_the_length_is_announced_and_bounded(backend):
    """Content without a length and too large content are refused."""
    headers = {"Authorization": f"Bearer {TOKEN}"}

    async def endless():
        yield b"x"

    chunked = httpx.Request("PUT", f"http://localhost{PATH}", content=endless(), headers=headers)
    assert backend.send(chunked).status_code == 411
    large = {**headers, "Content-Length": str(MAX_CONTENT + 1)}
    assert backend.send(httpx.Request("PUT", f"http://localhost{PATH}", headers=large)).status_code == 413
