"""The official schemas and examples of CDEvents, if their files are present."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

__all__ = ["FOLDER", "is_there", "validator"]

FOLDER = Path(os.environ.get("CDEVENTS_SPEC") or Path(__file__).parents[3] / "shared/cdevents")
"""Files of the specification: the folder that ``CDEVENTS_SPEC`` names, or else one beside the checkout."""

is_there = pytest.mark.skipif(
    not (FOLDER / "conformance").is_dir(),
    reason="the schemas of CDEvents 0.5.1 are not in ../shared/cdevents, and CDEVENTS_SPEC does not name their folder",
)
"""Skips a test if the files of the specification are missing."""


@cache
def _schemas() -> tuple[dict[str, Any], Registry[Any]]:
    documents = [json.loads(path.read_text()) for path in sorted(FOLDER.rglob("*.json")) if _is_schema(path)]
    registry: Registry[Any] = Registry().with_resources(
        (document["$id"], Resource.from_contents(document)) for document in documents
    )
    events = [document for document in documents if "context" in document.get("properties", {})]
    kinds = {document["properties"]["context"]["properties"]["type"]["enum"][0]: document for document in events}
    return kinds, registry


def _is_schema(path: Path) -> bool:
    return path.parent.name != "conformance"


@cache
def validator(kind: str) -> Draft202012Validator:
    """The validator of an event type. It checks formats, too."""
    schemas, registry = _schemas()
    return Draft202012Validator(schemas[kind], registry=registry, format_checker=FormatChecker())
