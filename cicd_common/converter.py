"""THE converter: contract types from and to JSON.

The wire rules, which every engine keeps:

- One JSON object in UTF-8; its keys are the attribute names, all are written, in field order, with no blanks.
- No coercion: a string is no number, ``true`` is no 1, ``1.0`` is no integer, a string is no list.
- A UUID is written in lower case with hyphens, and read in any case, with hyphens or without.
- A time is written as in RFC 3339 in UTC with ``Z``, and read with any offset.
- A missing key takes its default, or is a problem; ``null`` is for what may be ``None`` alone.
- Unknown keys are ignored, or refused by a strict reader.
- Reading ends in an instance or in one `ContractError` that lists every problem.

A new attrs class needs no line here. What its fields demand beyond their types, it says itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from enum import Enum
from functools import cache, partial
from math import isfinite
from operator import attrgetter, is_
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin
from uuid import UUID

import attrs
import cattrs
from cattrs.fns import identity
from cattrs.gen import make_dict_structure_fn

from ._compiled import Made, compile_reader, compile_writer, is_contract
from ._fields import INTEGER, Refusal, Rule, broken, describe, is_checked, is_text, split
from ._reading import Reading
from ._wire import encode, parse, read_time, read_uuid, write_time, write_uuid
from .errors import ContractError

__all__ = ["ContractConverter", "Engine", "converter", "make_converter"]

T = TypeVar("T")
Engine = Literal["json", "msgspec"]


class ContractConverter(cattrs.Converter):
    """A `cattrs.Converter` that keeps the wire rules and speaks JSON.

    Hooks for types of one's own can be registered as with any `cattrs.Converter`. Made by `make_converter`.
    """

    engine: Engine = "json"

    def __init__(self) -> None:
        # The fast way stops at the first problem; a `Reading` then finds them all.
        super().__init__(detailed_validation=False)
        _register_hooks(self)
        self._writers = Made(self._writer)

    def loads(self, data: bytes | bytearray | memoryview | str, type: type[T], *, strict: bool = False) -> T:
        """Read JSON.

        Args:
            data: JSON text; bytes are in UTF-8.
            type: What to read: a contract type, any other attrs class, or a tuple or list of them.
            strict: Whether keys that a type does not know are problems; by default they are ignored, so that an old
                reader reads what a newer writer wrote.

        Returns:
            An instance of ``type``.

        Raises:
            ContractError: The text is not JSON or not what ``type`` demands; it lists every problem.
        """
        try:
            plain = parse(data)
        except Refusal as refusal:
            problem = refusal.problem()
        else:
            return self.structure(plain, type, strict=strict)
        raise ContractError(type, [problem])

    def dumps(self, obj: Any) -> bytes:
        """Write JSON: every key, in field order, in UTF-8, with no blanks.

        Args:
            obj: An instance of a contract type, of any other attrs class, or a tuple or list of them.

        Returns:
            The JSON text. Equal objects have equal bytes.

        Raises:
            ContractError: A class outside the contract holds what JSON cannot say: ``NaN``, a naive time, half of a
                character.
            TypeError: It holds a value of a type that has no place in JSON.
        """
        return self._writers[obj.__class__](obj)  # type: ignore[no-any-return]

    def _writer(self, cls: type) -> Callable[[Any], bytes]:
        return self._compile_writer(cls) if is_checked(cls) and is_contract(cls) else self._write_plain

    def _compile_writer(self, cls: type) -> Callable[[Any], bytes]:
        write = compile_writer(cls)
        return lambda obj: write(obj).encode()

    def _write_plain(self, obj: Any) -> bytes:
        try:
            return encode(self.unstructure(obj))
        except ValueError as error:
            if isinstance(error, ContractError):
                raise
            problem = Refusal("value", "expected finite numbers and texts without lone surrogates").problem()
        raise ContractError(type(obj), [problem])

    def structure(self, obj: Any, cl: type[T], *, strict: bool = False) -> T:
        """Make an instance from plain JSON data: dicts, lists, strings, numbers, booleans and None.

        Args:
            obj: The plain data. It is not changed.
            cl: As ``type`` of `loads`.
            strict: As in `loads`.

        Returns:
            An instance of ``cl``.

        Raises:
            ContractError: The data is not what ``cl`` demands; it lists every problem.
        """
        if not strict:
            try:
                return super().structure(obj, cl)
            except (cattrs.errors.StructureHandlerNotFoundError, NameError):
                raise  # Nothing is wrong with the data: the type is not one that can be read.
            except Exception:
                pass
        reading = Reading(self.get_structure_hook, strict)
        result = reading.read(obj, cl)
        if reading.problems:
            raise ContractError(cl, reading.problems)
        return result  # type: ignore[no-any-return]

    def unstructure(self, obj: Any, unstructure_as: Any = None) -> Any:
        """Make plain JSON data from an instance: dicts, lists, strings, numbers, booleans and None.

        Args:
            obj: An instance, or a tuple or list of instances.
            unstructure_as: The type to take it for; its own by default.

        Returns:
            The plain data, new all through.

        Raises:
            ContractError: A class outside the contract holds a time that cannot be written.
        """
        try:
            return super().unstructure(obj, unstructure_as)
        except Refusal as refusal:
            problem = refusal.problem()
        raise ContractError(type(obj), [problem])


# --- the hooks, one for each kind of value ------------------------------------------------------------------------


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
        return _enum_reader(cls)(value, cls)
    plain = read(value, base)
    return _kept(plain if cls is base else cls(plain), rules)


def _kept(value: Any, rules: Iterable[Rule]) -> Any:
    for refusal in broken(value, rules):
        raise refusal
    return value


def _read_enum(cls: type[Enum], _: cattrs.Converter) -> Callable[[Any, Any], Enum]:
    return _enum_reader(cls)


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
    read_dict = make_dict_structure_fn(cls, converter, _cattrs_detailed_validation=False)

    def read(value: Any, _: Any) -> Any:
        # A class of which no field is required would find nothing missing in a list or a string.
        if type(value) is not dict:
            raise Refusal("type", f"expected a {cls.__name__} as an object")
        return read_dict(value, cls)

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


def _register_hooks(converter: cattrs.Converter) -> None:
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
    _is_enum: _read_enum,
    _has_rule: _read_annotated,
}
_WRITE_FACTORIES: dict[Callable[[Any], bool], Callable[..., Any]] = {
    _is_optional: _write_optional,
    _is_items: _write_items,
    _is_fixed_tuple: _write_fixed_tuple,
}


def make_converter(engine: Engine | None = None) -> ContractConverter:
    """Make a converter of one's own, to register hooks with that no one else sees, or to choose the engine.

    Args:
        engine: ``"json"`` is the standard library; ``"msgspec"``, of the extra ``fast``, is faster and otherwise
            the same. By default ``msgspec`` where it is installed.

    Returns:
        A new converter.

    Raises:
        ImportError: ``msgspec`` was asked for and is not installed.
        ValueError: There is no such engine.
    """
    if engine not in (None, "json", "msgspec"):
        raise ValueError("expected the engine 'json' or 'msgspec'")
    if engine != "json":
        try:
            from ._msgspec import MsgspecConverter
        except ImportError as error:
            if engine == "msgspec":
                raise ImportError("the engine 'msgspec' needs the extra: pip install 'cicd-common[fast]'") from error
        else:
            return MsgspecConverter()
    return ContractConverter()


converter = make_converter()
"""The converter that the CLI, the Backend and the Worker share."""
