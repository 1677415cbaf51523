"""An event of CDEvents as a value, which is read from a JSON document and written to one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import attrs

from ..._wire.json_text import parse
from ...converter import converter
from ...errors import ContractError, Problem
from ...fields import Refusal, Rule, Time, checked
from ...values import JsonObject

__all__ = ["SPEC_VERSION", "CDEvent", "read"]

SPEC_VERSION = "0.5.1"
"""The version of CDEvents whose events this package makes."""

_Text = Annotated[str, Rule("a text that is not empty", bool, {"minLength": 1})]


@attrs.frozen(kw_only=True)
@checked
class CDEvent:
    """An event of CDEvents, of any type.

    Attributes:
        spec_version: The version of CDEvents; 0.5.1 by default.
        id: The id, which no other event of the source has.
        source: The sender of the event, as a URI reference.
        type: The type of the event: ``dev.cdevents.taskrun.started.0.3.0``.
        timestamp: The time of the event.
        subject_id: The id of the subject.
        subject_source: The source of the subject, as a URI reference; None means the source of the event.
        content: The content of the subject, whose keys depend on the type; empty by default.
        chain_id: The id of the chain of events; None by default.
        links: The links to other events of the chain; empty by default.
        schema_uri: The schema of the custom data; None by default.
        custom_data: Data that the standard has no key for, as the text of one JSON value; None by default.
        custom_data_content_type: The content type of the custom data; None means JSON.

    Raises:
        ContractError: A field is refused.
    """

    spec_version: _Text = SPEC_VERSION
    id: _Text
    source: _Text
    type: _Text
    timestamp: Time
    subject_id: _Text
    subject_source: str | None = None
    content: JsonObject = JsonObject()
    chain_id: _Text | None = None
    links: tuple[JsonObject, ...] = ()
    schema_uri: _Text | None = None
    custom_data: str | None = None
    custom_data_content_type: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the JSON document of the event by the schemas of CDEvents, as plain JSON data."""
        flat = converter.unstructure(self)
        if self.custom_data is not None:
            flat["custom_data"] = json.loads(self.custom_data)
        document: dict[str, Any] = {"context": {}, "subject": {}}
        for field, (part, key) in _PLACES.items():
            if flat[field] is not None and flat[field] != []:
                (document[part] if part else document)[key] = flat[field]
        return document


_PLACES = {
    "spec_version": ("context", "specversion"),
    "id": ("context", "id"),
    "source": ("context", "source"),
    "type": ("context", "type"),
    "timestamp": ("context", "timestamp"),
    "schema_uri": ("context", "schemaUri"),
    "chain_id": ("context", "chainId"),
    "links": ("context", "links"),
    "subject_id": ("subject", "id"),
    "subject_source": ("subject", "source"),
    "content": ("subject", "content"),
    "custom_data": ("", "customData"),
    "custom_data_content_type": ("", "customDataContentType"),
}
"""The place of each field in the document: the object, and the key in it."""


def read(document: str | bytes | Mapping[str, Any]) -> CDEvent:
    """Read an event of any type from its JSON document. Keys that the standard does not have are ignored.

    Args:
        document: The text of the document, or its plain JSON data.

    Raises:
        ContractError: The document is no event of CDEvents. The pointers of its problems point into the document.
    """
    try:
        data = parse(document) if isinstance(document, str | bytes) else document
    except Refusal as refusal:
        raise _error("", refusal.code, refusal.message) from None
    flat = {field: value for field, place in _PLACES.items() if (value := _at(data, *place)) is not _ABSENT}
    if "custom_data" in flat:
        flat["custom_data"] = json_text(flat["custom_data"])
    try:
        # None for keys that the standard requires and the class has defaults for.
        return converter.structure({"spec_version": None, "content": None, **flat}, CDEvent)
    except ContractError as error:
        raise ContractError(CDEvent, map(_in_document, error.problems), error.is_complete) from None


_ABSENT = object()


def _at(data: Any, part: str, key: str) -> Any:
    place = data.get(part, {}) if part and isinstance(data, Mapping) else data
    if not isinstance(place, Mapping):
        raise _error("", "type", "expected an object with the objects context and subject")
    return place.get(key, _ABSENT)


def json_text(value: Any) -> str:
    """Return the text of a JSON value. Equal values have the same text.

    Raises:
        ContractError: The value is no JSON value.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        raise _error("/customData", "value", "expected one JSON value") from None


def _error(pointer: str, code: str, message: str) -> ContractError:
    return ContractError(CDEvent, [Problem(pointer, code, message)])


def _in_document(problem: Problem) -> Problem:
    """Return a problem whose pointer has the place in the document instead of the field."""
    _, field, *rest = problem.pointer.split("/")
    return attrs.evolve(problem, pointer="/".join(["", *filter(None, _PLACES[field]), *rest]))
