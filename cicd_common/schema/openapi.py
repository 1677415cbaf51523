"""The types as components of an OpenAPI document, version 3.1, whose schemas are JSON Schema of draft 2020-12."""

from __future__ import annotations

from typing import Any

from .build import Definitions, contract_types

__all__ = ["openapi_components"]

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "A problem document of RFC 9457: why a document was refused.",
    "properties": {
        "type": {"type": "string", "description": "The kind of the problem, as a URI."},
        "title": {"type": "string", "description": "The kind of the problem, in words."},
        "status": {"type": "integer", "description": "The HTTP status of the response."},
        "detail": {"type": "string", "description": "All problems, a line each."},
        "is_complete": {"type": "boolean", "description": "Whether these are all problems."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string", "description": "The place: a JSON pointer as a URI fragment."},
                    "code": {"enum": ["syntax", "missing", "type", "value", "unknown"]},
                    "detail": {"type": "string", "description": "What was expected."},
                },
                "required": ["pointer", "code", "detail"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "is_complete", "errors"],
}


def openapi_components(*types: Any) -> dict[str, Any]:
    """Make the ``components`` of an OpenAPI document.

    Args:
        types: The types of the interface, as for `schema`. By default all types of the contract.

    Returns:
        New plain JSON data. ``schemas`` has a schema for each class and enum by its name, for references like
        ``{"$ref": "#/components/schemas/JobStatusUpdate"}``, and ``ProblemDocument``, the schema of the result of
        `cicd_common.ContractError.to_problem`.

    Raises:
        TypeError: As for `schema`.
    """
    definitions = Definitions("#/components/schemas/", {"ProblemDocument": _PROBLEM})
    for each in types or contract_types():
        definitions.of(each)
    return {"schemas": definitions.all()}
