"""Whatever is sent to the Backend, it is never its own fault: no answer is 500, and each says what is wrong."""

from __future__ import annotations

import json
import string
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cicd_common import converter
from cicd_common.api.request import ArtifactUploadRequest, JobStatusUpdate, PipelineExecutionRequest
from cicd_common.store import ExecutionStore
from cicd_common.testing.strategies import from_type
from tests.support.examples.backend_in_process import JSON, Backend, order, simple, update

POSTS = {
    "/api/pipeline/execute": PipelineExecutionRequest,
    "/api/job/status": JobStatusUpdate,
    "/api/job/artifact/upload": ArtifactUploadRequest,
}
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    """One for all examples: what is sound among them is stored, and that is no harm."""
    with ExecutionStore(f"sqlite:///{tmp_path_factory.mktemp('fuzz')}/cicd.db") as store:
        backend = Backend(store)
        backend.job = backend.start(simple())
        yield backend
        backend.close()


def is_sound(answer):
    """An answer of the contract, or a problem document that says what its status says."""
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
    else:
        assert answer.headers["content-type"] in (
            "application/json",
            "text/html; charset=utf-8",
            "text/css; charset=utf-8",
        )


@st.composite
def spoilt(draw, type_):
    """A document of a type in which some bytes were changed, left out or put in."""
    data = bytearray(converter.dumps(draw(from_type(type_))))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


def plain():
    """What JSON can say, and more."""
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    return st.recursive(leaves, lambda some: st.lists(some) | st.dictionaries(st.text(max_size=20), some), max_leaves=9)


def documents(type_):
    """Objects with the keys of a type and anything in them."""
    keys = st.sampled_from([field.name for field in type_.__attrs_attrs__])
    return st.dictionaries(keys, plain()).map(lambda value: json.dumps(value).encode())


@pytest.mark.parametrize("path", POSTS)
@FEW
@given(data=st.data())
def test_any_body(backend, path, data):
    """Bytes of any kind, and what is nearly sound."""
    type_ = POSTS[path]
    is_sound(backend.post(path, data.draw(st.binary() | documents(type_) | spoilt(type_))))


@FEW
@given(from_type(PipelineExecutionRequest))
def test_any_request(backend, request_):
    """Everything that keeps the contract is stored, or refused for what is stored already."""
    answer = backend.post("/api/pipeline/execute", request_)
    is_sound(answer)
    assert answer.status_code in {200, 201, 404, 409}


@FEW
@given(from_type(JobStatusUpdate), st.integers(1, 2**63 - 1))
def test_any_update(backend, some, sequence):
    """Every update of a job that there is, is taken."""
    changed = converter.unstructure(some) | {"job_execution_id": str(backend.job), "sequence": sequence}
    answer = backend.post("/api/job/status", converter.structure(changed, JobStatusUpdate))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", ["/api/job/status/", "/api/job/logs/", "/api/pipeline/status/", "/api/report/", "/"])
@FEW
@given(st.text(max_size=30), st.text(string.printable + "\x00\x80\ud7ff\U0001f680", max_size=30))
def test_any_path(backend, path, rest, query):
    """With any query."""
    is_sound(backend.ask("GET", f"{path}{quote(rest, safe='/%')}?{quote(query, safe='=&%+')}"))


@FEW
@given(st.binary(max_size=40).filter(lambda value: b"\n" not in value and b"\r" not in value))
def test_any_type(backend, value):
    """Of any content type."""
    headers = [(b"content-type", value)]
    answer = backend.ask("POST", "/api/job/status", content=b"{}", headers=headers)
    is_sound(answer)
    assert answer.status_code in {415, 422}


@FEW
@given(from_type(PipelineExecutionRequest))
def test_answer_is_the_runs(backend, request_):
    """A repeat is answered with the same bytes."""
    first, again = (backend.post("/api/pipeline/execute", request_) for _ in range(2))
    assert first.content == again.content
    assert first.status_code == again.status_code or (first.status_code, again.status_code) == (201, 200)


def test_the_harness_sees(backend):
    """A sound request is let through, so what is refused is refused for what is wrong with it."""
    assert backend.post("/api/pipeline/execute", order(simple("seen"))).status_code == 201
    assert backend.ask("POST", "/api/job/status", content=b"{", headers=JSON).status_code == 400
    assert backend.post("/api/job/status", update(backend.job, 1, "RUNNING")).status_code == 200
