"""The hooks of the converter: one for reading (strictly) and one for writing each kind of annotation.

What a hook writes, its counterpart reads back as an equal value. Where JSON cannot tell two values apart, the hook is
not made, or the value is refused when it is written.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from operator import is_
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import cattrs
from cattrs.errors import StructureHandlerNotFoundError

from ..fields.hints import describe, split
from ..fields.leaves import LEAVES, Leaf, leaf_of
from ..fields.refusal import Refusal
from .classes import read_class, write_class
from .containers import (
    read_fixed_tuple,
    read_items,
    read_mapping,
    write_fixed_tuple,
    write_items,
    write_mapping,
)
from .kinds import is_class, is_fixed_tuple, is_items, is_mapping, is_typed_dict, plain_of
from .unions import (
    has_rule,
    is_known_union,
    is_none,
    kept,
    read_annotated,
    read_any,
    read_none,
    read_union,
    write_annotated,
    write_any,
    write_none,
    write_union,
)

__all__ = ["is_own_class_hook", "is_own_hook", "register_hooks"]

ReadHook = Callable[[Any, Any], Any]
WriteHook = Callable[[Any], Any]


# --- leaves --------------------------------------------------------------------------------------------------------


def _read_leaf(leaf: Leaf) -> ReadHook:
    """Make the hook of a leaf. It reads types derived from the leaf too, since cattrs uses the same hook for them."""

    def read(value: Any, cls: Any) -> Any:
        return leaf.read(value, cls) if cls is leaf.type else _read_derived(value, cls, leaf)

    read.is_of_leaves = True  # type: ignore[attr-defined]
    return read


def _read_derived(value: Any, hint: Any, leaf: Leaf) -> Any:
    cls, rules, _ = split(hint)
    if isinstance(cls, type) and issubclass(cls, Enum):
        return _leaf_of_enum(cls).read(value, cls)
    plain = leaf.read(value, leaf.type)
    return kept(plain if cls is leaf.type else cls(plain), rules)


def _write_leaf(leaf: Leaf) -> WriteHook:
    def write(value: Any) -> Any:
        if type(value) is leaf.type:
            return leaf.write(value)
        if isinstance(value, Enum):
            return _leaf_of_enum(type(value)).write(value)
        if not isinstance(value, leaf.type) or isinstance(value, leaf.others):
            raise Refusal("type", f"expected {leaf.words}")
        return leaf.write(leaf.plain(value))

    return write


_READ_LEAVES: dict[Any, ReadHook] = {kind: _read_leaf(leaf) for kind, leaf in LEAVES.items()}
_WRITE_LEAVES: dict[Any, WriteHook] = {kind: _write_leaf(leaf) for kind, leaf in LEAVES.items()}


def _has_own_leaf(hint: Any) -> bool:
    return isinstance(hint, type) and "__leaf__" in vars(hint)


def _leaf(hint: Any) -> Leaf:
    leaf = leaf_of(hint)
    assert leaf is not None
    return leaf


def is_own_hook(hook: Any, leaf: Leaf) -> bool:
    """Tell whether a hook is this package's own for a leaf, not one that a user registered."""
    own = (leaf.read, leaf.write, _READ_LEAVES.get(leaf.type), _WRITE_LEAVES.get(leaf.type))
    return hook in own or (issubclass(leaf.type, Enum) and hook in (*_READ_LEAVES.values(), *_WRITE_LEAVES.values()))


def is_own_class_hook(hook: Any) -> bool:
    """Tell whether this package made a hook of a class."""
    return getattr(hook, "is_own", False)


# --- enums and literals --------------------------------------------------------------------------------------------


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Enum)


_SCALARS = {str, int, float, bool, NoneType}


def _leaf_of_enum(cls: type[Enum]) -> Leaf:
    if not {type(member.value) for member in cls} <= _SCALARS:
        message = f"expected an enum of texts, numbers or booleans, and not {cls.__name__}; register hooks for it"
        raise StructureHandlerNotFoundError(message, type_=cls)
    return _leaf(cls)


def _write_enum(hint: Any, _: cattrs.Converter) -> WriteHook:
    leaf = _leaf_of_enum(hint)

    def write(value: Any) -> Any:
        if type(value) is not hint:
            raise Refusal("type", f"expected {leaf.words}")
        return leaf.write(value)

    return write


def _is_literal(hint: Any) -> bool:
    return get_origin(hint) is Literal


def _read_literal(hint: Any, _: cattrs.Converter) -> ReadHook:
    values = _values_of_literal(hint)
    kinds = {kind for kind, _ in values}
    message = f"expected {describe(hint)}"

    def read(value: Any, _: Any) -> Any:
        if type(value) not in kinds:
            raise Refusal("type", message)
        if (type(value), value) not in values:
            raise Refusal("value", message)
        return values[type(value), value]

    return read


def _write_literal(hint: Any, _: cattrs.Converter) -> WriteHook:
    values = {(type(value), value) for value in _values_of_literal(hint).values()}
    message = f"expected {describe(hint)}"

    def write(value: Any) -> Any:
        if (type(value), value) not in values:
            raise Refusal("value", message)
        return plain_of(value)

    return write


def _values_of_literal(hint: Any) -> dict[tuple[type, Any], Any]:
    """Return the values of a literal by the type and the value of their plain JSON data."""
    values = {(type(plain_of(value)), plain_of(value)): value for value in get_args(hint)}
    if len(values) < len(get_args(hint)) or not {kind for kind, _ in values} <= _SCALARS:
        message = f"expected a Literal of values that JSON tells apart, and not {hint}; register hooks for it"
        raise StructureHandlerNotFoundError(message, type_=hint)
    return values


# --- typed dicts ---------------------------------------------------------------------------------------------------


def _refuse_typed_dict(hint: Any, _: cattrs.Converter) -> Any:
    # cattrs reads a list as one without required keys, and keeps keys that it does not know.
    message = f"expected an attrs class or a dataclass, and not the TypedDict {hint.__name__}; register hooks for it"
    raise StructureHandlerNotFoundError(message, type_=hint)


# --- all of them ---------------------------------------------------------------------------------------------------


def register_hooks(converter: cattrs.Converter) -> None:
    """Make a converter keep the wire rules.

    Args:
        converter: The converter; it is changed.
    """
    for kind in LEAVES:
        converter.register_structure_hook(kind, _READ_LEAVES[kind])
        converter.register_unstructure_hook(kind, _WRITE_LEAVES[kind])
    for applies, read_factory in _READ_FACTORIES.items():
        converter.register_structure_hook_factory(applies, read_factory)
    for applies, write_factory in _WRITE_FACTORIES.items():
        converter.register_unstructure_hook_factory(applies, write_factory)


# If two apply, cattrs takes the later one.
_READ_FACTORIES: dict[Callable[[Any], bool], Callable[[Any, cattrs.Converter], ReadHook]] = {
    partial(is_, Any): lambda _, __: read_any,
    is_none: lambda _, __: read_none,
    is_class: read_class,
    _is_enum: lambda hint, _: _leaf_of_enum(hint).read,
    _is_literal: _read_literal,
    is_known_union: read_union,
    is_items: read_items,
    is_fixed_tuple: read_fixed_tuple,
    is_mapping: read_mapping,
    is_typed_dict: _refuse_typed_dict,
    has_rule: read_annotated,
    _has_own_leaf: lambda hint, _: _leaf(hint).read,
}
_WRITE_FACTORIES: dict[Callable[[Any], bool], Callable[[Any, cattrs.Converter], WriteHook]] = {
    partial(is_, Any): lambda _, __: write_any,
    is_none: lambda _, __: write_none,
    is_class: write_class,
    _is_enum: _write_enum,
    _is_literal: _write_literal,
    is_known_union: write_union,
    is_items: write_items,
    is_fixed_tuple: write_fixed_tuple,
    is_mapping: write_mapping,
    is_typed_dict: _refuse_typed_dict,
    has_rule: write_annotated,
    _has_own_leaf: lambda hint, _: _leaf(hint).write,
}
