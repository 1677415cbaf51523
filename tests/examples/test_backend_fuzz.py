"""Requests of any kind are answered, never by 500, and each refusal says what is wrong."""

from __future__ import annotations

import string
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cicd_common.api.request import ArtifactUploadRequest, PipelineExecutionRequest
from cicd_common.testing.strategies import documents, from_type
from tests.support.examples.backend_in_process import backend_on

# The conformance kit sends updates.
POSTS = {"/api/pipeline/execute": PipelineExecutionRequest, "/api/job/artifact/upload": ArtifactUploadRequest}
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def backend():
    """One Backend for all examples; it stores the valid ones."""
    with backend_on() as backend:
        yield backend


def is_sound(answer):
    """An answer of the contract, or a problem document that says what its status says."""
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
    else:
        assert answer.headers["content-type"].partition(";")[0] in ("application/json", "text/html", "text/css")


@pytest.mark.parametrize("path", POSTS)
@FEW
@given(data=st.data())
def test_any_body(backend, path, data):
    """Bytes of any kind, and documents with errors of every kind."""
    body = data.draw(st.binary() | documents(POSTS[path]).map(lambda document: document.data))
    is_sound(backend.post(path, body))


@FEW
@given(from_type(PipelineExecutionRequest))
def test_any_request(backend, request_):
    """A valid request is stored, or refused because of what is stored; a repeat gets the same bytes."""
    first, again = (backend.post("/api/pipeline/execute", request_) for _ in range(2))
    assert first.status_code in {200, 201, 404, 409}
    assert first.content == again.content
    assert first.status_code == again.status_code or (first.status_code, again.status_code) == (201, 200)


@pytest.mark.parametrize("path", ["/api/job/status/", "/api/job/logs/", "/api/pipeline/status/", "/api/report/", "/"])
@FEW
@given(st.text(max_size=30), st.text(string.printable + "\x00\x80\ud7ff\U0001f680", max_size=30))
def test_any_path(backend, path, rest, query):
    """With any query."""
    is_sound(backend.ask("GET", f"{path}{quote(rest, safe='/%')}?{quote(query, safe='=&%+')}"))
