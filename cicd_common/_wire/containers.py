"""The hooks of lists, tuples, sets and mappings."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any, get_args, get_origin

import cattrs
from cattrs.errors import StructureHandlerNotFoundError

from ..fields.hints import describe
from ..fields.refusal import Refusal
from .diagnosis import REFUSED, Path, Reading, with_patience
from .kinds import ITEMS, MAPPINGS, finite_values, in_full, kinds_of

__all__ = [
    "key_text",
    "read_fixed_tuple",
    "read_items",
    "read_mapping",
    "write_fixed_tuple",
    "write_items",
    "write_mapping",
]

_SETS = (set, frozenset)


def _expect(value: Any, kind: Any, hint: Any) -> None:
    """Refuse to write a collection of another type than a reader makes of it."""
    if not isinstance(value, kind):
        raise Refusal("type", f"expected a {kind.__name__}, which is what {describe(hint)} is read as")


# --- items -------------------------------------------------------------------------------------------------------


def read_items(hint: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    """Make the hook that reads a list."""
    hint = in_full(hint)
    make, item = ITEMS[get_origin(hint)], get_args(hint)[0]
    read_item = converter.get_structure_hook(item)

    def read(value: Any, _: Any) -> Any:
        if type(value) is not list:
            raise Refusal("type", "expected a list")
        return _made(make, [read_item(each, item) for each in value])

    def patient(reading: Reading, value: Any, path: Path) -> Any:
        if type(value) is not list:
            return reading.refuse(Refusal("type", "expected a list"), path)
        found = len(reading.problems)
        items = [reading.read(each, item, (*path, at)) for at, each in enumerate(value)]
        if len(reading.problems) > found:
            return REFUSED
        try:
            return _made(make, items)
        except Refusal as refusal:
            return reading.refuse(refusal, path)

    return with_patience(read, patient)


def _made(make: Callable[[list[Any]], Any], items: list[Any]) -> Any:
    try:
        return make(items)
    except TypeError:
        raise Refusal("type", "expected items that a set can hold, no lists and objects") from None


def write_items(hint: Any, converter: cattrs.Converter) -> Callable[[Any], list[Any]]:
    """Make the hook that writes a list. The items of a set are sorted by their JSON."""
    make = ITEMS[get_origin(in_full(hint))]
    write_item = converter.get_unstructure_hook(get_args(in_full(hint))[0])

    def write(value: Any) -> list[Any]:
        _expect(value, make, hint)
        return _located(write_item, enumerate(value))

    def write_set(value: Any) -> list[Any]:
        return sorted(write(value), key=lambda item: json.dumps(item, sort_keys=True))

    return write_set if make in _SETS else _marked(write, hint)


def _marked(write: Callable[[Any], Any], hint: Any) -> Callable[[Any], Any]:
    """Mark the hook of a list, a tuple or a dict whose annotation does not say what is in it."""
    write.is_of_anything = hint in (list, tuple, dict)  # type: ignore[attr-defined]
    return write


def _located(write: Callable[[Any], Any], items: Iterable[tuple[Any, Any]]) -> list[Any]:
    """Write items. A refusal gets the place of its item."""
    written = []
    for at, each in items:
        try:
            written.append(write(each))
        except Refusal as refusal:
            raise Refusal(refusal.code, refusal.message, (at, *refusal.path)) from None
    return written


def read_fixed_tuple(hint: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    """Make the hook that reads a list of as many items as a tuple has."""
    items = [(converter.get_structure_hook(item), item) for item in _members(hint)]
    refusal = f"expected a list of {len(items)}"

    def read(value: Any, _: Any) -> Any:
        if type(value) is not list or len(value) != len(items):
            raise Refusal("type", refusal)
        return tuple(read_item(each, item) for each, (read_item, item) in zip(value, items, strict=True))

    def patient(reading: Reading, value: Any, path: Path) -> Any:
        if type(value) is not list or len(value) != len(items):
            return reading.refuse(Refusal("type", refusal), path)
        found = len(reading.problems)
        pairs = enumerate(zip(value, items, strict=True))
        made = tuple(reading.read(each, item, (*path, at)) for at, (each, (_, item)) in pairs)
        return made if len(reading.problems) == found else REFUSED

    return with_patience(read, patient)


def write_fixed_tuple(hint: Any, converter: cattrs.Converter) -> Callable[[Any], list[Any]]:
    """Make the hook that writes a tuple of items of several types."""
    writers = [converter.get_unstructure_hook(item) for item in _members(hint)]

    def write(value: Any) -> list[Any]:
        if not isinstance(value, tuple) or len(value) != len(writers):
            raise Refusal("type", f"expected a tuple of {len(writers)}")
        pairs = enumerate(zip(writers, value, strict=True))
        return _located(lambda pair: pair[0](pair[1]), pairs)

    return write


def _members(hint: Any) -> tuple[Any, ...]:
    return () if get_args(hint) == ((),) else get_args(hint)


# --- mappings ----------------------------------------------------------------------------------------------------


def read_mapping(hint: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    """Make the hook that reads an object as a mapping."""
    make, key_hint, value_hint = _parts(hint)
    read_key, read_value = _key_reader(key_hint, converter), converter.get_structure_hook(value_hint)

    def read(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise Refusal("type", "expected an object")
        return make({read_key(key): read_value(each, value_hint) for key, each in value.items()})

    def patient(reading: Reading, value: Any, path: Path) -> Any:
        if type(value) is not dict:
            return reading.refuse(Refusal("type", "expected an object"), path)
        found = len(reading.problems)
        made = {}
        for key, each in value.items():
            try:
                read = read_key(key)
            except Refusal as refusal:
                read = reading.refuse(refusal, (*path, key))
            made[read] = reading.read(each, value_hint, (*path, key))
        return make(made) if len(reading.problems) == found else REFUSED

    return with_patience(read, patient)


def write_mapping(hint: Any, converter: cattrs.Converter) -> Callable[[Any], dict[str, Any]]:
    """Make the hook that writes a mapping as an object."""
    _, key_hint, value_hint = _parts(hint)
    kind = MAPPINGS[get_origin(in_full(hint))]
    _check_keys(key_hint)
    write_key, write_value = converter.get_unstructure_hook(key_hint), converter.get_unstructure_hook(value_hint)

    def write(value: Any) -> dict[str, Any]:
        _expect(value, kind, hint)
        keys = [key_text(write_key(key)) for key in value]
        if len(set(keys)) < len(keys):
            raise Refusal("value", "expected keys that JSON tells apart")
        return dict(zip(keys, _located(write_value, zip(keys, value.values(), strict=True)), strict=True))

    return _marked(write, hint)


def _parts(hint: Any) -> tuple[Callable[[Any], Any], Any, Any]:
    """Return the function that makes the mapping of a dict, and the annotations of the keys and the values."""
    origin, (key, *rest) = get_origin(in_full(hint)), get_args(in_full(hint))
    key = str if key is Any else key  # JSON has no other keys.
    if origin is Counter:
        return Counter, key, int
    if origin is defaultdict:
        factory = get_origin(rest[0]) or rest[0]
        return (lambda items: defaultdict(factory, items)), key, rest[0]
    return MAPPINGS[origin], key, rest[0]


def key_text(plain: Any) -> str:
    """Return the text that stands for a key in JSON."""
    if type(plain) is str:
        return plain
    if plain is None or not isinstance(plain, (bool, int, float)):
        raise Refusal("type", "expected a key that JSON carries as text")
    return json.dumps(plain)


_number = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<fraction>(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)").fullmatch
_FEW_DIGITS = 400
_KEY_KINDS = {str, int, float, bool}


def _key_value(text: str) -> Any:
    """Return the number or boolean that `key_text` writes as this text, or else the text."""
    if text in ("true", "false"):
        return text == "true"
    match = _number(text)
    if match is None or len(text) > _FEW_DIGITS:
        return text
    return float(text) if match["fraction"] else int(text)


def _check_keys(hint: Any) -> set[Any] | None:
    """Return the kinds of JSON that keys are written as, if they are known.

    Raises:
        StructureHandlerNotFoundError: JSON does not carry such keys as text, or carries two of them as the same text.
    """
    kinds = kinds_of(hint)
    values = finite_values(hint)
    if kinds is None or kinds == {str} or (values is None and kinds <= _KEY_KINDS - {str}):
        return kinds
    if values is not None and kinds <= _KEY_KINDS and len(set(map(key_text, values))) == len(values):
        return kinds
    message = f"expected keys that JSON carries as text, and not {describe(hint)}; register hooks for them"
    raise StructureHandlerNotFoundError(message, type_=hint)


def _key_reader(hint: Any, converter: cattrs.Converter) -> Callable[[str], Any]:
    kinds, values = _check_keys(hint), finite_values(hint)
    read = converter.get_structure_hook(hint)
    if values is not None:
        plain = {key_text(value): value for value in values}
        return lambda key: read(plain.get(key, key), hint)
    if kinds is None or str in kinds:
        return lambda key: read(key, hint)
    return lambda key: read(_key_value(key), hint)
