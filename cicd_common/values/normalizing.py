"""Turn JSON data into the canonical text of a `JsonObject`, or find all its problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from math import isfinite
from typing import Any

from ..errors import ContractError, Problem, json_pointer
from ..fields.types import is_text
from .canonical import encode_sorted, float_text, write

__all__ = ["MAX_BYTES", "MAX_INTEGER", "MAX_LEVELS", "canonical_text", "encode_usual"]

MAX_BYTES = 64 * 1024
"""The longest canonical text of a `JsonObject`, in bytes of UTF-8."""
MAX_LEVELS = 32
"""How deep objects and lists nest in a `JsonObject`, which is itself the first level."""
MAX_INTEGER = 2**53 - 1
"""The largest integer that a `JsonObject` holds as an ``int``: a double tells every integer up to it from the next."""

_TOO_LONG = f"expected at most {MAX_BYTES:,} bytes of JSON in the form of RFC 8785"
_TOO_DEEP = f"expected objects and lists that nest at most {MAX_LEVELS} levels deep"
_NOT_JSON = "expected a string, a number, true, false, null, a list or an object"
_NOT_EXACT = f"expected an integer of at most {MAX_INTEGER:,} either way, or one that a double holds exactly"
_NOT_FINITE = "expected a number in the range of a double"
_NOT_TEXT = "expected a text without lone surrogates"
_NOT_KEYS = "expected strings without lone surrogates as keys"

_Path = tuple[str | int, ...]


# --- the fast way ------------------------------------------------------------------------------------------------


def encode_usual(source: Any) -> bytes:
    """Write JSON data as JSON in UTF-8 with keys sorted by code point, if all encoders would write the same.

    Raises:
        Exception: Other encoders may write something else, or the data is no JSON.
    """
    _expect_usual(source, MAX_LEVELS, [MAX_BYTES])
    return encode_sorted(source)


def canonical_text(source: Any, type: Any, encode: Callable[[Any], bytes] = encode_usual) -> str:
    """Write JSON data as RFC 8785 demands.

    Args:
        source: A mapping of JSON data. It is not changed.
        type: What it is to become; errors name it.
        encode: A faster `encode_usual` for this data.

    Raises:
        ContractError: A part of the data has no place in a `JsonObject`. The error lists every problem.
    """
    try:
        data = encode(source)
        if len(data) <= MAX_BYTES and (data.isascii() or not data.translate(None, _LOW_BYTES)):
            return data.decode()
    except Exception:
        pass
    return _Normalizer().canonical_text(source, type)


class _Unusual(Exception):
    """Only `_Normalizer` can write or refuse the data."""


def _expect_usual(source: Any, levels: int, budget: list[int]) -> None:
    """Raise `_Unusual` unless every JSON encoder writes the data alike.

    Args:
        source: The data.
        levels: How many levels of objects and lists are allowed.
        budget: How many more items are allowed: data that shares its parts can be exponentially long.
    """
    kind = type(source)
    if not levels or (kind is not dict and kind is not list):
        raise _Unusual
    budget[0] -= len(source)
    if budget[0] < 0:
        raise _Unusual
    if kind is dict:
        try:
            "".join(source)
        except TypeError:
            raise _Unusual from None
        source = source.values()
    for value in source:
        kind = type(value)
        if kind is str:
            continue
        if kind is int:
            if not -MAX_INTEGER <= value <= MAX_INTEGER:
                raise _Unusual
        elif kind is dict or kind is list:
            _expect_usual(value, levels - 1, budget)
        elif kind is float:
            # Only these are written without an exponent by every encoder, and are not integral.
            if not 1e-3 <= abs(value) < 1e15 or value.is_integer():
                raise _Unusual
        elif kind is not bool and value is not None:
            raise _Unusual


# The bytes of UTF-8 for characters below U+E000. Only with others may keys sort differently by UTF-16 unit.
_LOW_BYTES = bytes(range("\ue000".encode()[0]))


# --- the patient way ---------------------------------------------------------------------------------------------


class _Normalizer:
    """Copies JSON data into plain dicts and lists in which equal numbers are of one type, and finds what is wrong.

    Attributes:
        problems: All problems. If there are any, the copy is of no use.
        budget: How many more characters of text are allowed, by a low estimate of the text so far.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.budget = MAX_BYTES

    def canonical_text(self, source: Any, type: Any) -> str:
        text = ""
        try:
            plain = self.copy_object(source, ())
            text = "" if self.problems else write(plain)
            is_too_long = len(text.encode()) > MAX_BYTES
        except OverflowError:
            is_too_long = True
        if is_too_long:
            self.problems = [Problem("", "value", _TOO_LONG)]
        if self.problems:
            raise ContractError(type, self.problems)
        return text

    def copy_object(self, source: Mapping[Any, Any], path: _Path) -> Any:
        result = dict(source)
        try:
            keys = "".join(result)
        except TypeError:
            return self.refuse(path, "type", _NOT_KEYS)
        if not is_text(keys):
            return self.refuse(path, "value", _NOT_KEYS)
        self.budget -= len(keys)
        return self.copy_items(result, list(result.items()), path)

    def copy_list(self, source: list[Any] | tuple[Any, ...], path: _Path) -> Any:
        return self.copy_items(list(source), list(enumerate(source)), path)

    def copy_items(self, result: Any, items: list[tuple[Any, Any]], path: _Path) -> Any:
        if len(path) >= MAX_LEVELS:
            return self.refuse(path, "value", _TOO_DEEP)
        self.budget -= 2 * len(items)
        if self.budget < 0:
            raise OverflowError
        for key, value in items:
            result[key] = self.copy(value, (*path, key))
        return result

    def copy(self, value: Any, path: _Path) -> Any:
        if value is None or type(value) is bool:
            return value
        if isinstance(value, Mapping):
            return self.copy_object(value, path)
        if isinstance(value, list | tuple):
            return self.copy_list(value, path)
        if isinstance(value, Enum):
            return self.refuse(path, "type", _NOT_JSON)
        if isinstance(value, str):
            return self.copy_text(str.__str__(value), path)
        if isinstance(value, int):
            return self.copy_integer(int(value), path)
        if isinstance(value, float):
            return self.copy_float(float(value), path)
        return self.refuse(path, "type", _NOT_JSON)

    def copy_text(self, value: str, path: _Path) -> Any:
        self.budget -= len(value)
        return value if is_text(value) else self.refuse(path, "value", _NOT_TEXT)

    def copy_integer(self, value: int, path: _Path) -> Any:
        if -MAX_INTEGER <= value <= MAX_INTEGER:
            return value
        try:
            double = float(value)
        except OverflowError:
            return self.refuse(path, "value", _NOT_FINITE)
        # The canonical text of a large double has 17 digits at most, then zeros: it is accepted, too.
        if int(double) != value and float_text(double) != str(value):
            return self.refuse(path, "value", _NOT_EXACT)
        return double

    def copy_float(self, value: float, path: _Path) -> Any:
        if not isfinite(value):
            return self.refuse(path, "value", _NOT_FINITE)
        if value.is_integer() and -MAX_INTEGER <= value <= MAX_INTEGER:
            return int(value)
        return value

    def refuse(self, path: _Path, code: str, message: str) -> None:
        self.problems.append(Problem(json_pointer(*path), code, message))
