"""Leaves: the kinds of values that have no parts. One entry for each holds all that the package knows about it.

Values that JSON has no type for are strings: ``bytes`` in base 85, as in ``cattrs.preconf.json``; times, dates, times
of day and durations as in RFC 3339; a ``Decimal`` as its digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum, Flag
from functools import cache
from json.encoder import encode_basestring
from math import isfinite
from operator import attrgetter
from types import NoneType
from typing import Any
from uuid import UUID

import attrs

from .refusal import Refusal
from .times import (
    CLOCK_KEYWORDS,
    DATE_KEYWORDS,
    DURATION_KEYWORDS,
    TIME_KEYWORDS,
    in_utc,
    read_clock,
    read_date,
    read_duration,
    read_time,
    without_offset,
    write_duration,
    write_time,
)
from .types import INTEGER, TIME, Rule, is_text, whole
from .uuids import UUID_KEYWORDS, read_uuid, write_uuid

__all__ = ["LEAVES", "Leaf", "leaf_of", "read_bool", "read_int", "read_str"]


@attrs.frozen(eq=False)
class Leaf:
    """A kind of values that have no parts.

    A class outside this module becomes a leaf by a class attribute ``__leaf__``.

    Args:
        type: The Python type.
        words: What messages call a value: "a time".
        read: Makes a value from plain JSON data, or raises a `Refusal` or a `ContractError`. Its second argument is
            the type.
        write: Makes plain JSON data from a plain value, or raises a `Refusal`.
        plain: Makes the plain value that equals an instance of the type or of a class derived from it, or raises a
            `Refusal` if that cannot be written. Returns the instance itself by default.
        is_plain: Whether every instance of exactly this type is plain already.
        text: Makes the JSON text of a plain value; None if only an encoder of JSON can.
        is_quoted: Whether ``text`` leaves out the quotes around its text.
        others: A derived class whose instances are not values of this kind: ``True`` is not an integer.
        rules: The rules of a field of this type whose annotation has no rules.
        keywords: The keywords of JSON Schema that describe the plain JSON data.
    """

    type: Any
    words: str
    read: Callable[[Any, Any], Any]
    write: Callable[[Any], Any]
    plain: Callable[[Any], Any] = lambda value: value
    is_plain: bool = True
    text: Callable[[Any], str] | None = None
    is_quoted: bool = False
    others: Any = ()
    rules: tuple[Rule, ...] = ()
    keywords: Mapping[str, Any] = attrs.field(factory=dict)


def read_str(value: Any, _: Any = None) -> str:
    """Read a text."""
    if type(value) is not str:
        raise Refusal("type", "expected a string")
    if not value.isascii() and not is_text(value):
        raise Refusal("value", "expected a text without lone surrogates")
    return value


def read_int(value: Any, _: Any = None) -> int:
    """Read an integer."""
    if type(value) is not int:
        raise Refusal("type", "expected an integer")
    if not INTEGER.accepts(value):
        raise Refusal("value", f"expected {INTEGER.expected}")
    return value


def _write_int(value: int) -> int:
    if not INTEGER.accepts(value):
        raise Refusal("value", f"expected {INTEGER.expected}")
    return int(value)


def read_bool(value: Any, _: Any = None) -> bool:
    """Read true or false."""
    if type(value) is not bool:
        raise Refusal("type", "expected true or false")
    return value


def _read_float(value: Any, _: Any = None) -> float:
    if type(value) not in (float, int):
        raise Refusal("type", "expected a number")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    return _finite(number)


def _finite(value: float) -> float:
    if not isfinite(value):
        raise Refusal("value", "expected a number in the range of a double")
    return float(value)


def _read_bytes(value: Any, _: Any = None) -> bytes:
    if type(value) is not str:
        raise Refusal("type", "expected bytes in base 85 as a string")
    # Imported here: few programs have a field of bytes.
    from base64 import b85decode

    try:
        return b85decode(value)
    except ValueError:
        raise Refusal("value", "expected bytes in base 85, in the alphabet of Python's b85encode") from None


def _write_bytes(value: bytes) -> str:
    from base64 import b85encode

    return b85encode(value).decode()


def _read_decimal(value: Any, _: Any = None) -> Decimal:
    if type(value) is not str:
        raise Refusal("type", "expected a decimal number as a string")
    try:
        if value.isascii() and "_" not in value and value == value.strip():
            return _finite_decimal(Decimal(value))
    except (InvalidOperation, Refusal):
        pass
    raise Refusal("value", "expected a decimal number: -12.50")


def _finite_decimal(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise Refusal("value", "expected a finite decimal number")
    return value if type(value) is Decimal else Decimal(value)


def _in_unicode(value: str) -> str:
    if not is_text(value):
        raise Refusal("value", "expected a text without lone surrogates, which UTF-8 cannot write")
    return value if type(value) is str else str.__str__(value)


_STRING = {"type": "string"}
_DECIMAL = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
LEAVES: Mapping[Any, Leaf] = {
    leaf.type: leaf
    for leaf in (
        Leaf(
            type=str,
            words="a string",
            read=read_str,
            write=str.__str__,
            plain=_in_unicode,
            is_plain=False,
            text=encode_basestring,
            others=Enum,
            keywords=_STRING,
        ),
        Leaf(
            type=int,
            words="an integer",
            read=read_int,
            write=_write_int,
            plain=int.__int__,
            text=int.__repr__,
            others=bool,
            rules=(INTEGER,),
            keywords={"type": "integer"},
        ),
        Leaf(
            type=bool,
            words="true or false",
            read=read_bool,
            write=bool,
            text={True: "true", False: "false"}.__getitem__,
            keywords={"type": "boolean"},
        ),
        Leaf(
            type=float,
            words="a number",
            read=_read_float,
            write=_finite,
            plain=_finite,
            is_plain=False,
            keywords={"type": "number"},
        ),
        Leaf(
            type=UUID,
            words="a UUID",
            read=read_uuid,
            write=write_uuid,
            plain=lambda value: value if type(value) is UUID else UUID(int=value.int),
            text=write_uuid,
            is_quoted=True,
            keywords={**_STRING, **UUID_KEYWORDS},
        ),
        Leaf(
            type=datetime,
            words="a time",
            read=read_time,
            write=write_time,
            plain=in_utc,
            is_plain=False,
            text=write_time,
            is_quoted=True,
            rules=(TIME,),
            keywords={**_STRING, **TIME_KEYWORDS},
        ),
        Leaf(
            type=date,
            words="a date",
            read=read_date,
            write=date.isoformat,
            plain=lambda value: value if type(value) is date else date(value.year, value.month, value.day),
            text=date.isoformat,
            is_quoted=True,
            others=datetime,
            keywords={**_STRING, **DATE_KEYWORDS},
        ),
        Leaf(
            type=time,
            words="a time of day",
            read=read_clock,
            write=lambda value: without_offset(value).isoformat(),
            plain=without_offset,
            is_plain=False,
            text=time.isoformat,
            is_quoted=True,
            keywords={**_STRING, **CLOCK_KEYWORDS},
        ),
        Leaf(
            type=timedelta,
            words="a duration",
            read=read_duration,
            write=write_duration,
            plain=lambda value: value if type(value) is timedelta else timedelta() + value,
            text=write_duration,
            is_quoted=True,
            keywords={**_STRING, **DURATION_KEYWORDS},
        ),
        Leaf(
            type=bytes,
            words="bytes",
            read=_read_bytes,
            write=_write_bytes,
            plain=bytes,
            text=_write_bytes,
            is_quoted=True,
            keywords={**_STRING, **whole("[0-9A-Za-z!#$%&()*+;<=>?@^_`{|}~-]*")},
        ),
        Leaf(
            type=Decimal,
            words="a decimal number",
            read=_read_decimal,
            write=lambda value: str(_finite_decimal(value)),
            plain=_finite_decimal,
            is_plain=False,
            text=str,
            is_quoted=True,
            keywords={**_STRING, **whole(_DECIMAL)},
        ),
    )
}
"""The leaves of the standard library, by their types. `leaf_of` returns those of enums, too."""


def leaf_of(base: Any) -> Leaf | None:
    """Return the leaf of a type, or None if the type has parts or is not known.

    Args:
        base: A type, without its rules and without ``None``.
    """
    leaf = LEAVES.get(base)
    if leaf is None and isinstance(base, type):
        if issubclass(base, Enum):
            return _leaf_of_enum(base)
        return vars(base).get("__leaf__")
    return leaf


@cache
def _leaf_of_enum(cls: type[Enum]) -> Leaf:
    """Return the leaf of an enum, which is written by its values.

    A class that takes unknown values (by ``_missing_``) takes them in documents, too.
    """
    if issubclass(cls, Flag):
        return _leaf_of_flag(cls)
    members = {member.value: member for member in cls}
    kinds = {type(value) for value in members}
    words = "one of " + ", ".join(str(value) for value in members)

    def read(value: Any, _: Any = None) -> Enum:
        if type(value) not in kinds:
            raise Refusal("type", f"expected {words}")
        try:
            member = members[value] if value in members else cls(value)
        except ValueError:
            raise Refusal("value", f"expected {words}") from None
        # To Python, True is 1.
        if member.value == value and type(member.value) is not type(value):
            raise Refusal("value", f"expected {words}")
        return member

    is_text_only = kinds == {str}
    texts = {member: encode_basestring(member.value) for member in cls} if is_text_only else {}
    return Leaf(
        type=cls,
        words=words,
        read=read,
        write=attrgetter("value"),
        text=texts.__getitem__ if is_text_only else None,
        keywords=_keywords_of_enum(cls, list(members)),
    )


_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}


def _keywords_of_enum(cls: type[Enum], values: list[Any]) -> dict[str, Any]:
    """The keywords of an enum; of one that takes unknown values, its own and then any others of their kinds."""
    if "_missing_" not in {name for base in cls.__mro__[: cls.__mro__.index(Enum)] for name in vars(base)}:
        return {"enum": values}
    kinds = sorted({_NAMES[type(value)] for value in values if type(value) in _NAMES})
    return {"anyOf": [{"enum": values}, *({"type": kind} for kind in kinds)]}


def _leaf_of_flag(cls: type[Flag]) -> Leaf:
    """The leaf of an enum of flags. Any combination is written as an integer."""
    words = "a sum of some of " + ", ".join(str(member.value) for member in cls)

    def read(value: Any, _: Any = None) -> Flag:
        if type(value) is not int:
            raise Refusal("type", f"expected an integer, {words}")
        try:
            flag = cls(value)
        except ValueError:
            flag = None
        if not isinstance(flag, cls) or flag.value != value:
            raise Refusal("value", f"expected {words}")
        return flag

    return Leaf(type=cls, words=words, read=read, write=attrgetter("value"), keywords={"type": "integer", "minimum": 0})
