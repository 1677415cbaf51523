"""Bad input to a whole system: the right status, a problem document, and nothing stored."""

from __future__ import annotations

from uuid import uuid4

import httpx
import pytest

from cicd_common import converter
from cicd_common.api.request import ArtifactUploadRequest, PipelineExecutionRequest
from cicd_common.model import Job
from tests.support.examples.system_checks import rows_of
from tests.support.examples.system_jobs import pipeline

EXECUTE, UPLOAD = "/api/pipeline/execute", "/api/job/artifact/upload"
JSON = {"Content-Type": "application/json"}


def started(**fields):
    request = {"request_id": uuid4(), "repo": "/", "pipeline_id": uuid4(), **fields}
    return converter.dumps(PipelineExecutionRequest(**request))


def traversal():
    artifact = {"path": "../../etc/passwd", "size": 1, "sha256": "0" * 64}
    plain = {"job_execution_id": str(uuid4()), "artifacts": [{**artifact, "path": "x"}]}
    request = converter.dumps(converter.structure(plain, ArtifactUploadRequest))
    return request.replace(b'"x"', b'"../../etc/passwd"')


REFUSED = {
    "no token": (EXECUTE, {"Authorization": ""}, started(), 401),
    "wrong token": (EXECUTE, {"Authorization": "Bearer " + "0" * 32}, started(), 401),
    "no JSON": (EXECUTE, {"Content-Type": "text/yaml"}, b"name: x", 415),
    "broken JSON": (EXECUTE, {}, b'{"request_id":', 400),
    "wrong types": (EXECUTE, {}, b'{"request_id":1,"repo":null,"is_local":"yes"}', 422),
    "unknown pipeline": (EXECUTE, {}, started(), 404),
    "oversized": (EXECUTE, {}, started(repo="x" * (9 << 20)), 413),
    "path traversal": (UPLOAD, {}, traversal(), 422),
    "unknown route": ("/api/nothing", {}, b"{}", 404),
}


@pytest.mark.parametrize(("path", "headers", "body", "status"), REFUSED.values(), ids=REFUSED)
def test_refused(system, path, headers, body, status):
    """By every Backend alike."""
    before = sorted(rows_of(system.store))
    for url in system.urls:
        sent = {"Authorization": f"Bearer {system.token}", **JSON, **headers}
        answer = httpx.post(url + path, headers=sent, content=body, timeout=60)
        assert answer.status_code == status
        assert answer.headers["content-type"].partition(";")[0] == "application/problem+json"
        problem = answer.json()
        assert {"type", "title", "status"} <= problem.keys()
        assert problem["status"] == status
        assert "passwd" not in answer.text
    assert sorted(rows_of(system.store)) == before


def test_definition_clash(system):
    """The id of a definition stands for one definition."""
    one = pipeline(system.repository, {"a": [Job(name="j", script=("true",))]})
    system.api.end_of(system.api.execute(one))
    other = converter.unstructure(one) | {"name": "another"}
    body = converter.dumps(
        PipelineExecutionRequest(request_id=uuid4(), repo="/", pipeline=converter.structure(other, type(one)))
    )
    answer = system.api.request("POST", EXECUTE, content=body, headers=JSON)
    assert answer.status_code == 409
    assert answer.headers["content-type"].partition(";")[0] == "application/problem+json"
    assert "another" not in str(list(rows_of(system.store)))
