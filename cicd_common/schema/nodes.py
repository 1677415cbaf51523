"""Parts of schemas for comparison: references, alternatives, and kinds of JSON values."""

from __future__ import annotations

import json
from typing import Any

import attrs

__all__ = ["ANNOTATIONS", "Document", "Node", "Values", "kinds", "shape", "values"]

Node = dict[str, Any]
"""A part of a schema."""
ANNOTATIONS = {"$comment", "$schema", "default", "description", "format", "title"}
"""Keywords that make no document invalid."""


@attrs.frozen
class Document:
    """A schema with its definitions.

    Args:
        node: The schema, as `cicd_common.schema.schema` makes it.
    """

    node: Node

    @property
    def definitions(self) -> dict[str, Node]:
        """The definitions by their names."""
        return dict(self.node["$defs"].items())

    @property
    def root(self) -> Node:
        """The keywords for the whole document; empty if the schema has only definitions."""
        return _without(self.node, ANNOTATIONS | {"$defs"})

    def resolved(self, node: Node) -> Node:
        """Return a node with the definition that it refers to, if there is one."""
        if "$ref" not in node:
            return node
        return {**self.definitions[node["$ref"].removeprefix("#/$defs/")], **_without(node, {"$ref"})}

    def identity(self, node: Node) -> Any:
        """Return the identity of an alternative: its class, or else its kinds of JSON values."""
        node_kinds = kinds(self.resolved(node))
        return node.get("$ref") if node_kinds == {"object"} and "$ref" in node else node_kinds


def alternatives(node: Node) -> tuple[list[Node], bool]:
    """Return the alternatives of a schema, and whether ``null`` is allowed beside them."""
    if "anyOf" not in node or _is_open(node):
        node_kinds = kinds(node)
        if node_kinds == {"null"}:
            return [], True
        if "enum" in node and "null" in node_kinds:
            return [{**node, "enum": [value for value in node["enum"] if value is not None]}], True
        return [node], not node_kinds and "$ref" not in node
    shared = _without(node, ANNOTATIONS | {"anyOf"})
    parts = [alternatives({**shared, **each}) for each in node["anyOf"]]
    return [each for found, _ in parts for each in found], any(is_nullable for _, is_nullable in parts)


@attrs.frozen
class Values:
    """The values that an enum lists.

    Attributes:
        texts: The values as JSON text.
        is_open: Whether the enum accepts other values, too.
    """

    texts: list[str]
    is_open: bool


def values(node: Node) -> Values | None:
    """Return the values that a node lists; None if it lists none."""
    if _is_open(node):
        return Values(_texts(node["anyOf"][0]), is_open=True)
    return Values(_texts(node), is_open=False) if "enum" in node else None


def kinds(node: Node) -> set[str]:
    """Return the kinds of JSON values that a resolved node accepts; empty if it accepts all."""
    if _is_open(node):
        return kinds(node["anyOf"][0])
    if "type" in node:
        return {node["type"]}
    return {_KINDS[type(value)] for value in node.get("enum", ())}


def shape(node: Node) -> tuple[Any, ...]:
    """Return a value that differs for objects and arrays of different structure."""
    return "properties" in node, "items" in node, len(node.get("prefixItems", ()))


_KINDS = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def _is_open(node: Node) -> bool:
    """Tell whether a node is an enum that accepts unknown values."""
    first, *others = node.get("anyOf", ({},))
    return "enum" in first and bool(others) and all({"type": kind} in others for kind in kinds(first))


def _texts(node: Node) -> list[str]:
    return [json.dumps(value) for value in node["enum"]]


def _without(node: Node, keywords: set[str]) -> Node:
    return {keyword: value for keyword, value in node.items() if keyword not in keywords}
