"""The hooks of unions, and of annotations with rules, ``None`` and ``Any``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import cattrs
from cattrs.errors import StructureHandlerNotFoundError

from ..fields.hints import broken, describe, split
from ..fields.leaves import leaf_of
from ..fields.refusal import Refusal
from ..fields.types import INTEGER, Rule, is_text
from .diagnosis import REFUSED, Path, Reading, with_patience
from .kinds import is_class, is_union, kinds_of

__all__ = [
    "has_rule",
    "is_known_union",
    "is_none",
    "kept",
    "read_annotated",
    "read_any",
    "read_none",
    "read_union",
    "write_annotated",
    "write_any",
    "write_none",
    "write_union",
]

ReadHook = Callable[[Any, Any], Any]
WriteHook = Callable[[Any], Any]


def kept(value: Any, rules: Iterable[Rule]) -> Any:
    """Return a value of the right type if it keeps the rules, or raise the first refusal."""
    for refusal in broken(value, rules):
        raise refusal
    return value


def has_rule(hint: Any) -> bool:
    """Tell whether an annotation carries a rule of this package."""
    return get_origin(hint) is Annotated and any(isinstance(note, Rule) for note in get_args(hint)[1:])


def read_annotated(hint: Any, converter: cattrs.Converter) -> ReadHook:
    """Make the hook that reads a value and keeps rules."""
    base, rules, _ = split(hint)
    read_base = converter.get_structure_hook(base)

    def patient(reading: Reading, value: Any, path: Path) -> Any:
        result = reading.read(value, base, path)
        return result if result is REFUSED else reading.keep(result, rules, path)

    return with_patience(lambda value, _: kept(read_base(value, base), rules), patient)


def write_annotated(hint: Any, converter: cattrs.Converter) -> WriteHook:
    """Make the hook that writes a value that keeps rules."""
    base, rules, _ = split(hint)
    write_base = converter.get_unstructure_hook(base)
    return lambda value: write_base(kept(value, rules))


def is_none(hint: Any) -> bool:
    """Tell whether an annotation is ``None``."""
    return hint is None or hint is NoneType


def read_none(value: Any, _: Any) -> None:
    """Read null."""
    if value is not None:
        raise Refusal("type", "expected null")


def write_none(value: Any) -> None:
    """Write None."""
    if value is not None:
        raise Refusal("type", "expected None")


def is_known_union(hint: Any) -> bool:
    """Tell whether an annotation is a union whose members JSON may tell apart by their kinds.

    A union of classes alone is left to cattrs, which looks at their fields.
    """
    if not is_union(hint):
        return False
    members = [member for member in get_args(hint) if member is not NoneType]
    return len(members) == 1 or not all(map(is_class, members))


def read_union(hint: Any, converter: cattrs.Converter) -> ReadHook:
    """Make the hook that reads a value of one of several types."""
    members = _members_by_kind(hint)
    readers = {kind: converter.get_structure_hook(member) for kind, member in members.items()}
    message = f"expected {describe(hint)}"

    def read(value: Any, _: Any) -> Any:
        kind = type(value)
        if kind not in readers:
            return readers[Any](value, members[Any]) if Any in readers else _refuse(message)
        return readers[kind](value, members[kind])

    def patient(reading: Reading, value: Any, path: Path) -> Any:
        kind = type(value) if type(value) in members else Any
        if kind not in members:
            return reading.refuse(Refusal("type", message), path)
        return reading.read(value, members[kind], path)

    return with_patience(read, patient)


def _refuse(message: str) -> Any:
    raise Refusal("type", message)


def _members_by_kind(hint: Any) -> dict[Any, Any]:
    """Return the members of a union by the types of plain JSON data that they read. `Any` stands for all other types.

    Raises:
        StructureHandlerNotFoundError: Values of two members may be written alike.
    """
    members = get_args(hint)
    found: dict[Any, Any] = {}
    for member in members:
        kinds = kinds_of(member)
        # The kinds of Any, and of a type with hooks of a user, are unknown. In a union with None, it takes all other
        # values.
        kinds = {Any} if kinds is None and len(members) == 2 and NoneType in members else kinds
        if kinds is None or not kinds.isdisjoint(found):
            message = f"expected a union of types that JSON tells apart, and not {hint}; register hooks for it"
            raise StructureHandlerNotFoundError(message, type_=hint)
        found.update(dict.fromkeys(kinds, member))
    if len(members) == 2 and NoneType in members:
        # The message of the other member says more than that of the union.
        found[Any] = next(member for member in members if member is not NoneType)
    if float in found:
        found.setdefault(int, found[float])
    return found


def write_union(hint: Any, converter: cattrs.Converter) -> WriteHook:
    """Make the hook that writes a value of one of several types."""
    members = get_args(hint)
    _members_by_kind(hint)
    writers = [(_is_instance_of(member), converter.get_unstructure_hook(member)) for member in members]
    if len(members) == 2 and NoneType in members:
        (write_some,) = (write for member, (_, write) in zip(members, writers, strict=True) if member is not NoneType)
        return lambda value: None if value is None else write_some(value)

    def write(value: Any) -> Any:
        for applies, write_member in writers:
            if applies(value):
                return write_member(value)
        raise Refusal("type", f"expected {describe(hint)}")

    return write


def _is_instance_of(hint: Any) -> Callable[[Any], bool]:
    """Return a function that tells whether a value belongs to a member of a union."""
    base, _, _ = split(hint)
    if is_none(base):
        return lambda value: value is None
    if get_origin(base) is Literal:
        return lambda value: any(type(value) is type(each) and value == each for each in get_args(base))
    kind, leaf = get_origin(base) or base, leaf_of(base)
    others = () if leaf is None else leaf.others
    return lambda value: isinstance(value, kind) and not isinstance(value, others)


# --- anything ------------------------------------------------------------------------------------------------------


def read_any(value: Any, _: Any = None) -> Any:
    """Read plain JSON data as it stands."""
    _expect_json(value)
    return value


def write_any(value: Any) -> Any:
    """Write plain JSON data. Another value would be read back as something else."""
    _expect_json(value)
    return value


def _expect_json(value: Any) -> None:
    """Refuse what is not plain JSON data. Data with a cycle raises a `RecursionError`."""
    kind = type(value)
    if kind is dict or kind is list:
        for at, each in value.items() if kind is dict else enumerate(value):
            if kind is dict and type(at) is not str:
                raise Refusal("type", "expected strings as keys")
            try:
                _expect_json(each)
            except Refusal as refusal:
                raise Refusal(refusal.code, refusal.message, (at, *refusal.path)) from None
    elif kind is str:
        if not is_text(value):
            raise Refusal("value", "expected a text without lone surrogates")
    elif kind is int:
        if not INTEGER.accepts(value):
            raise Refusal("value", f"expected {INTEGER.expected}")
    elif kind is float:
        if not isfinite(value):
            raise Refusal("value", "expected a number in the range of a double")
    elif kind is not bool and value is not None:
        raise Refusal("type", "expected plain JSON data: a dict, a list, a string, a number, a boolean or None")
