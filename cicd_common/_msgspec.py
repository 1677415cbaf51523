"""The ``msgspec`` engine: the same wire, read straight into the attrs classes and written in C.

It never decides what is wrong: whatever it refuses, the plain way reads again. And it never accepts what the plain way
refuses: the types that it reads are the contract's own, whose rules run in their ``__attrs_post_init__``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

import cattrs
import msgspec
from cattrs.fns import identity

from ._compiled import is_contract
from .converter import ContractConverter, Engine, is_items, is_optional, write_items, write_optional

__all__ = ["MsgspecConverter"]

T = TypeVar("T")


class MsgspecConverter(ContractConverter):
    """A `ContractConverter` that lets ``msgspec`` do the work wherever the result is the same."""

    engine: Engine = "msgspec"

    def __init__(self) -> None:
        super().__init__()
        self._decoders: dict[Any, Callable[[Any], Any] | None] = {}
        self._encode = msgspec.json.Encoder().encode
        self._native = _native_converter()

    def loads(self, data: bytes | bytearray | memoryview | str, type: type[T], *, strict: bool = False) -> T:
        decode = None if strict else self._decoder(type)
        if decode is not None:
            try:
                if not isinstance(data, str) and not bytes(data).isascii():
                    str(data, "utf-8")  # msgspec does not look at the bytes of what it skips.
                return decode(data)  # type: ignore[no-any-return]
            except Exception:
                pass
        return super().loads(data, type, strict=strict)

    def _decoder(self, type: Any) -> Callable[[Any], Any] | None:
        try:
            return self._decoders[type]
        except KeyError:
            decode = msgspec.json.Decoder(type).decode if is_contract(type) else None
            return self._decoders.setdefault(type, decode)

    def _compile_writer(self, cls: type) -> Callable[[Any], bytes]:
        to_dict = self._native.get_unstructure_hook(cls)
        encode = self._encode
        return lambda obj: encode(to_dict(obj))


def _native_converter() -> cattrs.Converter:
    """Unstructures down to dicts of what ``msgspec`` writes by itself.

    To encode the instances would be faster still, but puts the keys of a slotted class in alphabetical order.
    """
    converter = cattrs.Converter()
    for kind in (UUID, datetime, StrEnum):
        converter.register_unstructure_hook(kind, identity)
    converter.register_unstructure_hook_factory(is_optional, write_optional)
    converter.register_unstructure_hook_factory(is_items, write_items)
    return converter
