"""The changes between two versions of a schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import json_pointer
from .changes import Change
from .changes import ChangeKind as Kind
from .nodes import ANNOTATIONS, Document, Node, alternatives, kinds, shape, values

__all__ = ["compare"]


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """Compare two versions of a schema.

    The effects assume that readers ignore unknown keys, as those of `cicd_common` do by default. Descriptions are not
    compared.

    Args:
        old: The schema that `schema` made of the old version.
        new: The schema that `schema` made of the new version.

    Returns:
        The changes, in the order of the schemas.

    Raises:
        ValueError: An argument is no schema that `schema` can make.
    """
    try:
        return list(_Comparison(Document(old), Document(new)).changes())
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("expected JSON Schemas as cicd_common.schema.schema makes them") from error


class _Comparison:
    def __init__(self, old: Document, new: Document) -> None:
        self.old = old
        self.new = new
        # The pairs of definitions that were compared already, by their names.
        self.seen: set[tuple[str | None, str | None]] = set()

    def changes(self) -> Iterator[Change]:
        if self.old.root and self.new.root:
            yield from self._nodes(self.old.root, self.new.root, "")
        olds, news = self.old.definitions, self.new.definitions
        for name in sorted({*olds, *news}):
            pointer = json_pointer("$defs", name)
            if name not in news:
                yield Change(pointer, Kind.TYPE_REMOVED)
            elif name not in olds:
                yield Change(pointer, Kind.TYPE_ADDED)
            else:
                yield from self._nodes(olds[name], news[name], pointer)

    def _nodes(self, old: Node, new: Node, pointer: str) -> Iterator[Change]:
        olds, was_nullable = alternatives(old)
        news, is_nullable = alternatives(new)
        if was_nullable is not is_nullable:
            yield Change(pointer, Kind.NULL_ALLOWED if is_nullable else Kind.NULL_REFUSED)
        if len(olds) == len(news) == 1:
            yield from self._types(olds[0], news[0], pointer)
        elif olds or news:
            yield from self._alternatives(olds, news, pointer)

    def _alternatives(self, olds: Iterable[Node], news: Iterable[Node], pointer: str) -> Iterator[Change]:
        befores = [(self.old.identity(node), node) for node in olds]
        afters = [(self.new.identity(node), node) for node in news]
        pairs = [(before, after) for name, before in befores for other, after in afters if name == other]
        if not pairs:
            yield Change(pointer, Kind.TYPE_CHANGED)
            return
        for before, after in pairs:
            yield from self._types(before, after, pointer)
        if len(pairs) < len(befores):
            yield Change(pointer, Kind.ALTERNATIVE_REMOVED)
        if len(pairs) < len(afters):
            yield Change(pointer, Kind.ALTERNATIVE_ADDED)

    def _types(self, old: Node, new: Node, pointer: str) -> Iterator[Change]:
        names = old.get("$ref"), new.get("$ref")
        before, after = self.old.resolved(old), self.new.resolved(new)
        if names[0] is not None and names[0] == names[1]:
            # The definitions of this name are compared under ``$defs``.
            yield from self._rules(old, new, pointer)
        elif kinds(before) != kinds(after) or shape(before) != shape(after):
            yield Change(pointer, Kind.TYPE_CHANGED)
        elif None in names or names not in self.seen:
            self.seen.add(names)
            yield from self._values(before, after, pointer)
            yield from self._rules(before, after, pointer)
            yield from self._parts(before, after, pointer)
            yield from self._fields(before, after, pointer)

    def _values(self, old: Node, new: Node, pointer: str) -> Iterator[Change]:
        before, after = values(old), values(new)
        was_closed = before is not None and not before.is_open
        is_closed = after is not None and not after.is_open
        if was_closed is not is_closed:
            yield Change(pointer, Kind.RULE_TIGHTENED if is_closed else Kind.RULE_LOOSENED, "values of an enum")
            return
        olds, news = before.texts if before else [], after.texts if after else []
        added, removed = _CLOSED_KINDS if is_closed else _OPEN_KINDS
        yield from (Change(pointer, added, value) for value in news if value not in olds)
        yield from (Change(pointer, removed, value) for value in olds if value not in news)

    def _rules(self, old: Node, new: Node, pointer: str) -> Iterator[Change]:
        for keyword in sorted({*old, *new} - ANNOTATIONS - _STRUCTURE):
            before, after = old.get(keyword), new.get(keyword)
            if before == after:
                continue
            detail = f"{keyword} was {_shown(before)} and is {_shown(after)}" if keyword in _BOUNDS else keyword
            yield Change(pointer, _kind_of(keyword, before, after), detail)

    def _parts(self, old: Node, new: Node, pointer: str) -> Iterator[Change]:
        for keyword in ("propertyNames", "items", "additionalProperties"):
            before, after = old.get(keyword), new.get(keyword)
            if before and after:
                yield from self._nodes(before, after, pointer + json_pointer(keyword))
            elif before or after:
                yield Change(pointer, Kind.RULE_TIGHTENED if after else Kind.RULE_LOOSENED, keyword)
        for place, (before, after) in enumerate(
            zip(old.get("prefixItems", ()), new.get("prefixItems", ()), strict=True)
        ):
            yield from self._nodes(before, after, pointer + json_pointer("prefixItems", place))

    def _fields(self, old: Node, new: Node, pointer: str) -> Iterator[Change]:
        olds, news = old.get("properties", {}), new.get("properties", {})
        for name in [*olds, *(name for name in news if name not in olds)]:
            place = pointer + json_pointer("properties", name)
            was_required, is_required = name in old.get("required", ()), name in new.get("required", ())
            if name not in olds:
                yield Change(place, Kind.REQUIRED_FIELD_ADDED if is_required else Kind.DEFAULT_FIELD_ADDED)
                continue
            if name not in news:
                yield Change(place, Kind.REQUIRED_FIELD_REMOVED if was_required else Kind.DEFAULT_FIELD_REMOVED)
                continue
            if was_required is not is_required:
                yield Change(place, Kind.FIELD_BECAME_REQUIRED if is_required else Kind.FIELD_BECAME_OPTIONAL)
            elif (detail := _default(olds[name])) != _default(news[name]):
                yield Change(place, Kind.DEFAULT_CHANGED, f"was {detail} and is {_default(news[name])}")
            yield from self._nodes(olds[name], news[name], place)


_CLOSED_KINDS = Kind.VALUE_ADDED, Kind.VALUE_REMOVED
_OPEN_KINDS = Kind.OPEN_VALUE_ADDED, Kind.OPEN_VALUE_REMOVED
_LEAST = {"minimum", "minItems", "minLength", "minProperties"}
_BOUNDS = _LEAST | {"maximum", "maxItems", "maxLength", "maxProperties"}
_STRUCTURE = {
    "$ref", "type", "enum", "anyOf", "properties", "required", "items", "prefixItems", "propertyNames",
    "additionalProperties",
}  # fmt: skip


def _kind_of(keyword: str, before: Any, after: Any) -> Kind:
    """Return the kind of a changed rule."""
    if before is None or after is None:
        return Kind.RULE_TIGHTENED if before is None else Kind.RULE_LOOSENED
    if keyword not in _BOUNDS:
        return Kind.RULE_CHANGED
    return Kind.RULE_TIGHTENED if (after > before) is (keyword in _LEAST) else Kind.RULE_LOOSENED


def _shown(bound: Any) -> str:
    return "not there" if bound is None else str(bound)


def _default(node: Node) -> str:
    return json.dumps(node["default"], sort_keys=True) if "default" in node else "not said"
