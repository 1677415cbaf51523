"""The ``msgspec`` engine: the same wire, read straight into the attrs classes and written in C.

It never decides what is wrong: whatever it refuses, the plain way reads again. And it never accepts what the plain way
refuses: the types that it reads are the contract's own, whose rules run in their ``__attrs_post_init__``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, get_args, get_origin

import msgspec

from ._compiled import Made, compile_copier, is_contract
from ._fields import is_checked
from .converter import ContractConverter, Engine

__all__ = ["MsgspecConverter"]

T = TypeVar("T")


class MsgspecConverter(ContractConverter):
    """A `ContractConverter` that lets ``msgspec`` do the work wherever the result is the same."""

    engine: Engine = "msgspec"

    def __init__(self) -> None:
        super().__init__()
        self._decoders = Made(_decoder)
        self._encode = msgspec.json.Encoder().encode

    def loads(self, data: bytes | bytearray | memoryview | str, type: type[T], *, strict: bool = False) -> T:
        if not strict:
            try:
                if not isinstance(data, bytes) or not data.isascii():
                    _expect_text(data)
                return self._decoders[type](data)  # type: ignore[no-any-return]
            except Exception:
                pass
        return super().loads(data, type, strict=strict)

    def _compile_writer(self, cls: type) -> Callable[[Any], bytes]:
        # msgspec would put the keys of a slotted class in alphabetical order; those of its own structs it leaves alone.
        return compile_copier(cls, _twin, self._encode)


def _expect_text(data: bytes | bytearray | memoryview | str) -> None:
    """Look at the bytes of all of it: ``msgspec`` does not at those of what it skips."""
    if not isinstance(data, str):
        str(data, "utf-8")


def _twin(name: str, fields: list[str]) -> type:
    return msgspec.defstruct(name, fields, gc=False)


def _decoder(type: Any) -> Callable[[Any], Any]:
    # Only a class of the contract runs rules: a time that stands alone would be taken without its offset.
    item = get_args(type)[0] if get_origin(type) is tuple else type
    return msgspec.json.Decoder(type).decode if is_checked(item) and is_contract(type) else _refuse


def _refuse(_: Any) -> NoReturn:
    raise TypeError("not of the contract")
