"""The hooks of the converter, one for each kind of value: what it reads, strictly, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from enum import Enum
from functools import cache, partial
from math import isfinite
from operator import attrgetter, is_
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

import attrs
import cattrs
from cattrs.fns import identity
from cattrs.gen import make_dict_structure_fn

from ._compiled import compile_reader
from ._fields import is_checked
from ._rules import INTEGER, Refusal, Rule, broken, describe, is_text, split
from ._wire import read_time, read_uuid, write_time, write_uuid

__all__ = ["register_hooks"]


def _read_str(value: Any, cls: Any) -> str:
    if cls is not str:
        return _read_derived(value, cls, str, _read_str)  # type: ignore[no-any-return]
    if type(value) is not str:
        raise Refusal("type", "expected a string")
    if not value.isascii() and not is_text(value):
        raise Refusal("value", "expected a text without lone surrogates")
    return value


def _read_int(value: Any, cls: Any) -> int:
    if cls is not int:
        return _read_derived(value, cls, int, _read_int)  # type: ignore[no-any-return]
    if type(value) is not int:
        raise Refusal("type", "expected an integer")
    if not INTEGER.accepts(value):
        raise Refusal("value", f"expected {INTEGER.expected}")
    return value


def _read_bool(value: Any, _: Any) -> bool:
    if type(value) is not bool:
        raise Refusal("type", "expected true or false")
    return value


def _read_float(value: Any, cls: Any) -> float:
    if cls is not float:
        return _read_derived(value, cls, float, _read_float)  # type: ignore[no-any-return]
    if type(value) not in (float, int):
        raise Refusal("type", "expected a number")
    if not isfinite(value):
        raise Refusal("value", "expected a number in the range of a double")
    return float(value)


def _read_derived(value: Any, hint: Any, base: Any, read: Callable[[Any, Any], Any]) -> Any:
    """Read what is derived from a class: ``cattrs`` hands its hook on to subclasses, enums too, and annotated ones."""
    cls, rules, _ = split(hint)
    if _is_enum(cls):
        return _read_enum(value, cls)
    plain = read(value, base)
    return _kept(plain if cls is base else cls(plain), rules)


def _kept(value: Any, rules: Iterable[Rule]) -> Any:
    for refusal in broken(value, rules):
        raise refusal
    return value


def _read_enum(value: Any, cls: type[Enum]) -> Enum:
    return _enum_reader(cls)(value, cls)


@cache
def _enum_reader(cls: type[Enum]) -> Callable[[Any, Any], Enum]:
    members = {member.value: member for member in cls}
    kinds = {type(value) for value in members}
    message = f"expected {describe(cls)}"

    def read(value: Any, _: Any) -> Enum:
        if type(value) not in kinds:
            raise Refusal("type", message)
        if value not in members:
            raise Refusal("value", message)
        return members[value]

    return read


def _read_items(hint: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    """For ``tuple[X, ...]``, ``list[X]``, ``set[X]`` and ``frozenset[X]``."""
    make, item = get_origin(hint), get_args(hint)[0]
    read_item = converter.get_structure_hook(item)

    def read(value: Any, _: Any) -> Any:
        if type(value) is not list:
            raise Refusal("type", "expected a list")
        return make([read_item(each, item) for each in value])

    return read


def _read_fixed_tuple(hint: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    """For ``tuple[X, Y]``."""
    items = [(converter.get_structure_hook(item), item) for item in get_args(hint)]

    def read(value: Any, _: Any) -> Any:
        if type(value) is not list or len(value) != len(items):
            raise Refusal("type", f"expected a list of {len(items)}")
        return tuple(read_item(each, item) for each, (read_item, item) in zip(value, items, strict=True))

    return read


def _read_class(cls: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    if is_checked(cls):
        return compile_reader(cls, converter)
    # Made when it is first needed, and the reader is known by then: the class may hold itself.
    read_dict = cache(lambda: make_dict_structure_fn(cls, converter, _cattrs_detailed_validation=False))

    def read(value: Any, _: Any) -> Any:
        # A class of which no field is required would find nothing missing in a list or a string.
        if type(value) is not dict:
            raise Refusal("type", f"expected a {cls.__name__} as an object")
        return read_dict()(value, cls)

    return read


def _read_annotated(hint: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    base, rules, _ = split(hint)
    read = converter.get_structure_hook(base)
    return lambda value, _: _kept(read(value, base), rules)


def _read_optional(hint: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    (some,) = (arg for arg in get_args(hint) if arg is not NoneType)
    read_some = converter.get_structure_hook(some)
    return lambda value, _: None if value is None else read_some(value, some)


def _read_union(hint: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    """For a union of what JSON tells apart by itself."""
    readers = {kind: converter.get_structure_hook(kind) for kind in get_args(hint)}
    message = f"expected {describe(hint)}"

    def read(value: Any, _: Any) -> Any:
        kind = type(value)
        if kind not in readers:
            raise Refusal("type", message)
        return readers[kind](value, kind)

    return read


def _write_optional(hint: Any, converter: cattrs.Converter) -> Callable[[Any], Any]:
    (some,) = (arg for arg in get_args(hint) if arg is not NoneType)
    write_some = converter.get_unstructure_hook(some)
    return identity if write_some is identity else lambda value: None if value is None else write_some(value)


def _write_items(hint: Any, converter: cattrs.Converter) -> Callable[[Any], list[Any]]:
    write_item = converter.get_unstructure_hook(get_args(hint)[0])
    if write_item is identity:
        return list
    return lambda value: [write_item(each) for each in value]


def _write_fixed_tuple(hint: Any, converter: cattrs.Converter) -> Callable[[Any], list[Any]]:
    writers = [converter.get_unstructure_hook(item) for item in get_args(hint)]
    return lambda value: [write(each) for write, each in zip(writers, value, strict=True)]


def _write_str(value: str) -> str:
    # Of an enum of strings cattrs finds the hook for str before that for Enum.
    if type(value) is str:
        return value
    return value.value if isinstance(value, Enum) else str.__str__(value)


def _has_rule(hint: Any) -> bool:
    return get_origin(hint) is Annotated and any(isinstance(note, Rule) for note in get_args(hint)[1:])


def _is_optional(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType) and len(get_args(hint)) == 2 and NoneType in get_args(hint)


def _is_simple_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType) and set(get_args(hint)) <= {str, int, float, bool}


def _is_items(hint: Any) -> bool:
    return get_origin(hint) in (list, set, frozenset) or (get_origin(hint) is tuple and get_args(hint)[-1:] == (...,))


def _is_fixed_tuple(hint: Any) -> bool:
    return get_origin(hint) is tuple and get_args(hint)[-1:] != (...,)


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Enum)


def register_hooks(converter: cattrs.Converter) -> None:
    """Make a converter keep the wire rules.

    Args:
        converter: The converter; it is changed.
    """
    for kind, read in _READ.items():
        converter.register_structure_hook(kind, read)
    for kind, read in _READ_EXACTLY.items():
        converter.register_structure_hook_func(partial(is_, kind), read)
    for kind, write in _WRITE.items():
        converter.register_unstructure_hook(kind, write)
    for applies, read_factory in _READ_FACTORIES.items():
        converter.register_structure_hook_factory(applies, read_factory)
    for applies, write_factory in _WRITE_FACTORIES.items():
        converter.register_unstructure_hook_factory(applies, write_factory)


_READ: dict[Any, Callable[[Any, Any], Any]] = {
    str: _read_str,
    int: _read_int,
    bool: _read_bool,
    float: _read_float,
    Enum: _read_enum,
}
_READ_EXACTLY: dict[Any, Callable[[Any, Any], Any]] = {UUID: read_uuid, datetime: read_time}
_WRITE: dict[Any, Callable[[Any], Any]] = {
    str: _write_str,
    UUID: write_uuid,
    datetime: write_time,
    Enum: attrgetter("value"),
}
_READ_FACTORIES: dict[Callable[[Any], bool], Callable[..., Any]] = {
    attrs.has: _read_class,
    _is_optional: _read_optional,
    _is_simple_union: _read_union,
    _is_items: _read_items,
    _is_fixed_tuple: _read_fixed_tuple,
    _has_rule: _read_annotated,
}
_WRITE_FACTORIES: dict[Callable[[Any], bool], Callable[..., Any]] = {
    _is_optional: _write_optional,
    _is_items: _write_items,
    _is_fixed_tuple: _write_fixed_tuple,
}
