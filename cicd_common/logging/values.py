"""Convert any value to plain JSON data and to JSON text. Nothing here raises."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from enum import Enum
from functools import lru_cache
from json import JSONEncoder
from json.encoder import encode_basestring
from types import NoneType
from typing import Any, cast

__all__ = ["Mask", "dump", "one_line", "plain", "scrub", "text_of"]

Mask = Callable[[str], str]

# A value of more parts is cut: a very large or endless structure must not stop the program.
MOST_PARTS = 10_000
DEEPEST = 32

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# Characters that JSON allows in strings and some readers take for line ends.
_LINE_END = re.compile("[\x85\u2028\u2029]")
_encode_json = JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def scrub(text: str) -> str:
    """Replace each lone surrogate, which UTF-8 cannot write, by U+FFFD.

    Args:
        text: Any text.
    """
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)


def one_line(json: str) -> str:
    """Escape characters of JSON text that readers may take for line ends, and replace lone surrogates.

    Args:
        json: JSON text, or the content of a JSON string.
    """
    return json if json.isascii() else _LINE_END.sub(lambda found: f"\\u{ord(found[0]):04x}", scrub(json))


def text_of(value: object) -> str:
    """Return the text of a value, or a remark if it has none.

    Args:
        value: Anything.
    """
    try:
        return str.__str__(str(value))
    except Exception:
        return f"<unprintable {type(value).__name__}>"


def plain(value: object, mask: Mask = text_of) -> Any:
    """Convert a value to plain JSON data: ``None``, booleans, numbers, strings, and lists and dicts of them.

    UUID, time, enum and attrs instances become what the converter writes; paths, exceptions and all other values become
    text. A cycle, a part that is nested too deep, and more than the largest number of parts are replaced by a remark.

    Args:
        value: Any value.
        mask: Applied to every string, to every key, and to every number that it would change.
    """
    return _Plain(mask).convert(value)


def dump(value: object) -> str:
    """Convert a value to JSON text, without blanks and without escapes for characters beyond ASCII.

    Args:
        value: Anything.
    """
    write = _WRITERS.get(type(value), _dump_other)
    try:
        return write(value)
    except ValueError:
        return _dump_other(value)


def _dump_other(value: object) -> str:
    return _encode_json(plain(value))


def _dump_float(value: float) -> str:
    if value - value != 0.0:
        raise ValueError
    return repr(value)


_WRITERS: dict[type, Callable[[Any], str]] = {
    str: encode_basestring,
    int: int.__repr__,
    float: _dump_float,
    bool: {True: "true", False: "false"}.__getitem__,
    NoneType: {None: "null"}.__getitem__,
}


class _Plain:
    """One conversion of one value."""

    __slots__ = ("_above", "_left", "_mask")

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._left = MOST_PARTS
        # The ids of the objects that contain the current value.
        self._above: list[int] = []

    def convert(self, value: Any) -> Any:
        """Convert a value, or a part of it."""
        self._left -= 1
        if self._left < 0 or len(self._above) > DEEPEST:
            return "<cut>"
        if id(value) in self._above:
            return "<cycle>"
        self._above.append(id(value))
        try:
            return _conversion(cast(Hashable, type(value)))(self, value)
        except Exception:
            return self._mask(f"<unprintable {type(value).__name__}>")
        finally:
            self._above.pop()

    def text(self, value: object) -> str:
        return self._mask(text_of(value))

    def constant(self, value: bool | None) -> bool | None:
        return value

    def number(self, value: float) -> Any:
        number = float.__float__(value) if isinstance(value, float) else int.__index__(value)
        written = _digits(number)
        masked = self._mask(written)
        is_json = written[-1].isdigit() and not written.startswith("0x")
        return number if is_json and masked == written else masked

    def octets(self, value: Any) -> str:
        return self._mask(bytes(value).decode("utf-8", "backslashreplace"))

    def path(self, value: os.PathLike[Any]) -> Any:
        return self.convert(os.fspath(value))

    def enum(self, value: Enum) -> Any:
        return self.convert(value.value)

    def error(self, value: BaseException) -> str:
        return self._mask(f"{type(value).__name__}: {text_of(value)}")

    def contract(self, value: Any) -> Any:
        # Imported here: a program that logs such a value has mostly imported the converter already.
        from ..converter import converter

        try:
            written = converter.unstructure(value)
        except Exception:
            # A class that is not of the contract, with fields that the converter refuses.
            fields = getattr(value, "__attrs_attrs__", None)
            if fields is None:
                return self.text(value)
            return {self._mask(field.name): self.convert(getattr(value, field.name)) for field in fields}
        return self.text(value) if written is value else self.convert(written)

    def dataclass(self, value: Any) -> Any:
        return {self._mask(name): self.convert(getattr(value, name)) for name in value.__dataclass_fields__}

    def mapping(self, value: Mapping[Any, Any]) -> Any:
        done: dict[str, Any] = {}
        for key, item in value.items():
            if self._left < 0:
                break
            done[self.text(key)] = self.convert(item)
        return done

    def sequence(self, value: Iterable[Any]) -> Any:
        done: list[Any] = []
        for item in value:
            if self._left < 0:
                break
            done.append(self.convert(item))
        return done

    def collection(self, value: Iterable[Any]) -> Any:
        # The order of a set differs from run to run.
        return sorted(self.sequence(value), key=_encode_json)


def _digits(number: float) -> str:
    try:
        return repr(number)
    except ValueError:  # Python refuses to write very large integers in decimal.
        return hex(int(number))


_Conversion = Callable[[_Plain, Any], Any]
# The first match is taken: members of an IntEnum are enums before they are integers.
_BY_TYPE: tuple[tuple[Any, _Conversion], ...] = (
    (Enum, _Plain.enum),
    (str, _Plain.text),
    ((NoneType, bool), _Plain.constant),
    ((int, float), _Plain.number),
    ((bytes, bytearray, memoryview), _Plain.octets),
    (Mapping, _Plain.mapping),
    ((set, frozenset), _Plain.collection),
    ((list, tuple), _Plain.sequence),
    (BaseException, _Plain.error),
    (os.PathLike, _Plain.path),
)
# Types that the converter writes, by name, so that their modules need not be imported.
_CONVERTED = {("uuid", "UUID"), ("datetime", "datetime")}


@lru_cache(maxsize=1024)
def _conversion(kind: Any) -> _Conversion:
    if hasattr(kind, "__attrs_attrs__") or (kind.__module__, kind.__name__) in _CONVERTED:
        return _Plain.contract
    if hasattr(kind, "__dataclass_fields__"):
        return _Plain.dataclass
    return next((convert for base, convert in _BY_TYPE if issubclass(kind, base)), _Plain.text)
