"""The ``msgspec`` engine: the same wire, read straight into the attrs classes and written in C.

This engine reports no problems: what it refuses, the ``json`` engine reads again. It accepts nothing that the ``json``
engine refuses: it reads only types of the contract, whose rules run in their ``__attrs_post_init__``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, NoReturn, TypeVar, get_args, get_origin
from uuid import UUID

import msgspec

from ..fields.checks import is_checked
from ..fields.leaves import Leaf
from ..values import MAX_INTEGER, JsonObject, encode_usual, read_json_object
from .base import ContractConverter, Engine
from .codegen import LazyDict, compile_copier, leaves_of
from .depth import is_deep
from .json_text import octets_of

__all__ = ["MsgspecConverter"]

T = TypeVar("T")


class MsgspecConverter(ContractConverter):
    """A `ContractConverter` that lets ``msgspec`` do the work wherever the result is the same."""

    engine: Engine = "msgspec"

    def _forget(self) -> None:
        super()._forget()
        self._decoders = LazyDict(self._decoder)
        self._encode = msgspec.json.Encoder().encode

    def _decoder(self, type: Any) -> Callable[[Any], Any]:
        # Rules run in classes of the contract only: msgspec would take a time alone without its offset.
        item = get_args(type)[0] if get_origin(type) is tuple else type
        if not is_checked(item) or not self._keeps_contract(type):
            return _refuse
        leaves = leaves_of(type)[1]
        if not all(leaf.type in _READ or issubclass(leaf.type, (StrEnum, JsonObject)) for leaf in leaves):
            return _refuse
        return msgspec.json.Decoder(type, dec_hook=_read_leaf).decode

    def loads(self, data: bytes | bytearray | memoryview | str, type: type[T], *, strict: bool = False) -> T:
        if not strict:
            try:
                octets: Any = data
                if data.__class__ is not bytes:
                    octets = data.encode() if isinstance(data, str) else octets_of(data)
                if not octets.isascii():
                    str(octets, "utf-8")  # msgspec does not check the encoding of what it skips.
                # Most messages have no list, and a single object, which starts at their first byte.
                if (91 not in octets and octets.rfind(b"{") <= 0) or not is_deep(octets):
                    return self._decoders[type](octets)  # type: ignore[no-any-return]
            except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
                pass
        return super().loads(data, type, strict=strict)

    def _compile_writer(self, cls: type) -> Callable[[Any], bytes]:
        # msgspec would sort the keys of a slotted class; it keeps the order of its own structs.
        return compile_copier(cls, _twin, _copier_of, self._encode)


def _usual_json() -> Any:
    """Return a type of JSON objects that all encoders write alike.

    It has no floats, and only six levels, since each level doubles its size.
    """
    integer: Any = Annotated[int, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
    leaf: Any = str | integer | bool | None
    value: Any = leaf
    for _ in range(5):
        value = leaf | list[value] | dict[str, value]
    return dict[str, value]


_expect_usual = msgspec.json.Decoder(_usual_json()).decode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def _encode_usual(value: Any) -> bytes:
    """Do what `encode_usual` does, for data that ``msgspec`` has read."""
    data = _encode_sorted(value)
    try:
        _expect_usual(data)
    except msgspec.ValidationError:
        # It has more levels, or floats, most of which all encoders write alike.
        return encode_usual(value)
    return data


_EMPTY_OBJECTS = LazyDict(lambda cls: cls())


def _read_leaf(type: Any, value: Any) -> Any:
    """Read a `JsonObject`, which ``msgspec`` has no decoder for. Most are empty."""
    if not value and value.__class__ is dict:
        return _EMPTY_OBJECTS[type]
    return read_json_object(value, type, _encode_usual)


_EMPTY = msgspec.Raw(b"{}")


def _raw(value: JsonObject) -> msgspec.Raw:
    # Most objects are empty, and the property takes longer than the rest.
    return _EMPTY if value._text == "{}" else msgspec.Raw(value.text.encode())


def _copier_of(leaf: Leaf) -> Callable[[Any], Any] | None:
    """Return what turns a value into one that msgspec writes as this package does; None if every value is one."""
    if issubclass(leaf.type, JsonObject):
        return _raw
    return None if leaf.type in _READ or issubclass(leaf.type, StrEnum) else leaf.write


def _twin(name: str, fields: list[str]) -> type:
    return msgspec.defstruct(name, fields, gc=False)


# The types that msgspec reads as this package does.
_READ = {str, int, bool, UUID, datetime}


def _refuse(_: Any) -> NoReturn:
    raise TypeError("not of the contract")
