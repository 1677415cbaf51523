"""What kind of type an annotation names, and as which kinds of JSON its values are written."""

from __future__ import annotations

import dataclasses
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping, MutableMapping, MutableSequence, MutableSet, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum, Flag
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from ..fields.hints import split
from ..fields.leaves import leaf_of

__all__ = [
    "ITEMS",
    "MAPPINGS",
    "finite_values",
    "in_full",
    "is_class",
    "is_fixed_tuple",
    "is_items",
    "is_mapping",
    "is_typed_dict",
    "is_union",
    "kinds_of",
    "plain_of",
]

ITEMS: dict[Any, Any] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    deque: deque,
    Sequence: tuple,
    MutableSequence: list,
    AbstractSet: frozenset,
    MutableSet: set,
}
"""The type that a list is read as, by the origin of an annotation; cattrs reads it as the same."""
MAPPINGS: dict[Any, Any] = {
    dict: dict,
    Mapping: dict,
    MutableMapping: dict,
    OrderedDict: OrderedDict,
    defaultdict: defaultdict,
    Counter: Counter,
}
"""The type that an object is read as, by the origin of an annotation."""
# A defaultdict without arguments does not say what its default is.
_IN_FULL: dict[Any, Any] = {
    **{origin: origin[Any] for origin in ITEMS},
    **{origin: origin[str, Any] for origin in MAPPINGS if origin not in (Counter, defaultdict)},
    tuple: tuple[Any, ...],
    Counter: Counter[str],
}


def in_full(hint: Any) -> Any:
    """Return the annotation of a collection with its arguments: ``list[Any]`` for ``list``."""
    return hint if hasattr(hint, "__args__") else _IN_FULL.get(get_origin(hint) or hint, hint)


def is_items(hint: Any) -> bool:
    """Tell whether an annotation names a collection of any number of items of one type."""
    return get_origin(in_full(hint)) in ITEMS and not is_fixed_tuple(hint)


def is_fixed_tuple(hint: Any) -> bool:
    """Tell whether an annotation is ``tuple[X, Y]``."""
    hint = in_full(hint)
    return get_origin(hint) is tuple and get_args(hint)[-1:] != (...,)


def is_mapping(hint: Any) -> bool:
    """Tell whether an annotation names a mapping."""
    hint = in_full(hint)
    return get_origin(hint) in MAPPINGS and get_args(hint) != ()


def is_union(hint: Any) -> bool:
    """Tell whether an annotation is a union."""
    return get_origin(hint) in (Union, UnionType)


def is_class(hint: Any) -> bool:
    """Tell whether a type is an attrs class or a dataclass, or a generic one with its arguments."""
    base = get_origin(hint) or hint
    return isinstance(base, type) and (attrs.has(base) or dataclasses.is_dataclass(base))


def is_typed_dict(hint: Any) -> bool:
    """Tell whether an annotation is a ``TypedDict``."""
    base = get_origin(hint) or hint
    return isinstance(base, type) and issubclass(base, dict) and hasattr(base, "__total__")


def plain_of(value: Any) -> Any:
    """Return the plain JSON data of a member of an enum, or of another value in ``Literal``."""
    return value.value if isinstance(value, Enum) else value


def finite_values(hint: Any) -> list[Any] | None:
    """Return the plain JSON data of all values of an annotation, or None if the annotation does not list them."""
    base, _, optional = split(hint)
    values: list[Any] | None = None
    if get_origin(base) is Literal:
        values = [plain_of(value) for value in get_args(base)]
    elif isinstance(base, type) and issubclass(base, Enum) and not issubclass(base, Flag):
        values = [member.value for member in base]
    return values if values is None or not optional else [*values, None]


_KINDS = {"string": str, "integer": int, "number": float, "boolean": bool, "object": dict, "array": list}


def kinds_of(hint: Any) -> set[Any] | None:
    """Return the Python types of the plain JSON data that values are written as.

    Args:
        hint: An annotation.

    Returns:
        The types, of ``str``, ``int``, ``float``, ``bool``, ``NoneType``, ``list`` and ``dict``; None if they are not
        known.
    """
    if hint is None or hint is NoneType:
        return {NoneType}
    if is_union(hint):
        members = [kinds_of(member) for member in get_args(hint)]
        known = [kinds for kinds in members if kinds is not None]
        return set().union(*known) if len(known) == len(members) else None
    base, _, _ = split(hint)
    values = finite_values(base)
    if values is not None:
        return {type(value) for value in values}
    if is_items(base) or is_fixed_tuple(base):
        return {list}
    if is_mapping(base) or is_class(base):
        return {dict}
    leaf = leaf_of(base)
    kind = None if leaf is None else _KINDS.get(leaf.keywords.get("type", ""))
    return None if kind is None else {kind}
