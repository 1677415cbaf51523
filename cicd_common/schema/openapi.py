"""The types as components of an OpenAPI document, version 3.1, whose schemas are JSON Schema of draft 2020-12."""

from __future__ import annotations

from typing import Any

from .build import Definitions, contract_types

__all__ = ["openapi_components"]

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "A problem document of RFC 9457: why a document was refused.",
    "properties": {
        "type": {"type": "string", "description": "What kind of problem it is, as a URI."},
        "title": {"type": "string", "description": "The same for people."},
        "status": {"type": "integer", "description": "The status of the answer."},
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
        types: The types that the interface has, as of `schema`. By default all types of the contract.

    Returns:
        Plain JSON data, new all through: ``schemas`` has a schema for each class and enum, by its name, to be referred
        to as ``{"$ref": "#/components/schemas/JobStatusUpdate"}``; and ``ProblemDocument``, which is what
        `cicd_common.ContractError.to_problem` makes.

    Raises:
        TypeError: As of `schema`.
    """
    definitions = Definitions("#/components/schemas/", {"ProblemDocument": _PROBLEM})
    for each in types or contract_types():
        definitions.of(each)
    return {"schemas": definitions.all()}
