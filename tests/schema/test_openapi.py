"""The types as components of an OpenAPI document, and the guide for FastAPI."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from cicd_common import ContractError, loads
from cicd_common.api.request import JobStatusUpdate
from cicd_common.schema import openapi_components, schema
from tests.support.contract import ENGINES
from tests.support.golden_files import full

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "fastapi.md"


class TestComponents:
    def test_are_the_definitions_of_the_schema(self) -> None:
        """Components equal the definitions of the schema, except for the paths of their references."""
        moved = json.loads(json.dumps(schema()["$defs"]).replace("#/$defs/", "#/components/schemas/"))
        components = openapi_components()["schemas"]
        assert {name: each for name, each in components.items() if name != "ProblemDocument"} == moved

    def test_have_names_that_openapi_takes(self) -> None:
        """Names have only letters, digits, points, hyphens and underscores."""
        assert [name for name in openapi_components()["schemas"] if not re.fullmatch(r"[A-Za-z0-9._-]+", name)] == []

    def test_of_some_types_have_what_these_refer_to(self) -> None:
        """The components of some types have only the types that they refer to."""
        components = openapi_components(JobStatusUpdate)["schemas"]
        assert set(components) == {"EndReason", "ExecutionStatus", "JobStatusUpdate", "ProblemDocument"}

    def test_are_new_all_through(self) -> None:
        """Each call returns new components that share nothing with others."""
        openapi_components()["schemas"]["ProblemDocument"]["properties"].clear()
        assert openapi_components()["schemas"]["ProblemDocument"]["properties"]

    @pytest.mark.parametrize("text", ["{", "{}", '{"sequence": 0}'])
    def test_describe_problem_documents(self, text: str) -> None:
        """The results of `ContractError.to_problem` are valid problem documents."""
        described = openapi_components()["schemas"]["ProblemDocument"]
        with pytest.raises(ContractError) as caught:
            loads(text, JobStatusUpdate)
        document = caught.value.to_problem()

        assert list(Draft202012Validator(described).iter_errors(document)) == []
        assert set(document) == set(described["properties"])


@pytest.fixture(scope="module")
def app() -> Any:
    """The application that the guide builds."""
    text = GUIDE.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "guide"}
    for example in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        line = text.count("\n", 0, example.start(1))
        exec(compile("\n" * line + example[1], str(GUIDE), "exec", dont_inherit=True), names)
    return names["app"]


class TestFastAPI:
    def ask(self, app: Any, method: str, path: str, content: bytes | None = None) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://backend") as client:
                return await client.request(method, path, content=content)

        return asyncio.run(ask())

    def test_a_body_is_read_by_the_converter(self, app: Any) -> None:
        """The converter reads the body and writes the response."""
        update = full(JobStatusUpdate)
        answer = self.ask(app, "POST", "/job-status-updates", ENGINES[0].dumps(update))

        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["job_execution_id"] == str(update.job_execution_id)

    @pytest.mark.parametrize(("content", "status", "code"), [(b"{", 400, "syntax"), (b"{}", 422, "missing")])
    def test_a_wrong_body_is_answered_by_a_problem_document(
        self, app: Any, content: bytes, status: int, code: str
    ) -> None:
        """A wrong body is answered with a problem document and the status of the error."""
        answer = self.ask(app, "POST", "/job-status-updates", content)

        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["errors"][0]["code"] == code

    def test_the_body_is_shown(self, app: Any) -> None:
        """The document behind ``/docs`` has the body, and all its references resolve."""
        assert "swagger" in self.ask(app, "GET", "/docs").text
        document = self.ask(app, "GET", "/openapi.json").json()
        route = document["paths"]["/job-status-updates"]["post"]
        reference = {"$ref": "#/components/schemas/JobStatusUpdate"}
        references = re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(document))

        assert document["openapi"].startswith("3.1")
        assert route["requestBody"]["content"]["application/json"]["schema"] == reference
        assert route["responses"]["200"]["content"]["application/json"]["schema"] == {
            "$ref": "#/components/schemas/JobExecutionResponse"
        }
        assert "application/problem+json" in route["responses"]["422"]["content"]
        assert set(references) <= set(document["components"]["schemas"])
        assert (
            document["components"]["schemas"]["JobStatusUpdate"] == openapi_components()["schemas"]["JobStatusUpdate"]
        )
