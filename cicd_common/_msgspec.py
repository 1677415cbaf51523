"""The ``msgspec`` engine: the same wire, read straight into the attrs classes and written in C.

It never decides what is wrong: whatever it refuses, the plain way reads again. And it never accepts what the plain way
refuses, for which the types that it reads are the contract's own, whose rules run in their ``__attrs_post_init__``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar, get_args, get_origin
from uuid import UUID

import attrs
import cattrs
import msgspec
from cattrs.fns import identity

from ._fields import is_checked, split
from .converter import ContractConverter, Engine, is_items, write_items

__all__ = ["MsgspecConverter"]

T = TypeVar("T")
_Decode = Callable[[Any], Any]
_LEAVES = (str, int, bool, UUID, datetime)


def _is_native(hint: Any) -> bool:
    """Whether ``msgspec`` reads and writes values of a type just as the plain way does."""
    base, _, _ = split(hint)
    if is_items(base):
        return get_origin(base) is tuple and _is_native(get_args(base)[0])
    if is_checked(base):
        return all(_is_native(field.type) for field in attrs.fields(base))
    return base in _LEAVES or (isinstance(base, type) and issubclass(base, StrEnum))


class MsgspecConverter(ContractConverter):
    """A `ContractConverter` that lets ``msgspec`` do the work wherever the result is the same."""

    engine: Engine = "msgspec"

    def __init__(self) -> None:
        super().__init__()
        self._decoders: dict[Any, _Decode | None] = {}
        self._encode = msgspec.json.Encoder().encode
        self._writers: dict[type, Callable[[Any], Any] | None] = {}
        self._native = _native_converter()

    def loads(self, data: bytes | bytearray | memoryview | str, type: type[T], *, strict: bool = False) -> T:
        decode = None if strict else self._decoder(type)
        if decode is not None:
            try:
                # msgspec does not look at the bytes of what it skips.
                if not isinstance(data, str) and not data.isascii():
                    str(data, "utf-8")
                return decode(data)  # type: ignore[no-any-return]
            except Exception:  # noqa: S110 - the plain way says what is wrong, or finds that nothing is
                pass
        return super().loads(data, type, strict=strict)

    def dumps(self, obj: Any) -> bytes:
        writer = self._writer(obj.__class__)
        return super().dumps(obj) if writer is None else self._encode(writer(obj))

    def _decoder(self, type: Any) -> _Decode | None:
        try:
            return self._decoders[type]
        except KeyError:
            decode = msgspec.json.Decoder(type).decode if _is_native(type) else None
            return self._decoders.setdefault(type, decode)

    def _writer(self, cls: type) -> Callable[[Any], Any] | None:
        try:
            return self._writers[cls]
        except KeyError:
            writer = self._native.get_unstructure_hook(cls) if is_checked(cls) and _is_native(cls) else None
            return self._writers.setdefault(cls, writer)


def _native_converter() -> cattrs.Converter:
    """Unstructures down to dicts of what ``msgspec`` writes by itself.

    Encoding the instances would be faster still, but puts the keys of a slotted class in alphabetical order.
    """
    converter = cattrs.Converter()
    for kind in (UUID, datetime, StrEnum):
        converter.register_unstructure_hook(kind, identity)
    converter.register_unstructure_hook_factory(is_items, write_items)
    return converter
