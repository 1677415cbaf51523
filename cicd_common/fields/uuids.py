"""UUIDs as text."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID, SafeUUID

from .refusal import Refusal
from .types import whole

__all__ = ["UUID_KEYWORDS", "read_uuid", "write_uuid"]

_new = object.__new__
_UNKNOWN = SafeUUID.unknown
# The slots of UUID: its constructor checks all its arguments, even if only an integer is given.
_set_int = vars(UUID)["int"].__set__
_set_safe = vars(UUID)["is_safe"].__set__
_UUID = "[0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"
_is_uuid = re.compile(_UUID).fullmatch
UUID_KEYWORDS = {**whole(_UUID), "format": "uuid"}
"""The keywords of JSON Schema for exactly the texts that `read_uuid` reads."""


def read_uuid(value: Any, _: Any = None) -> UUID:
    """Read a UUID from its 32 hexadecimal digits, in any case, with hyphens in their places or without.

    Raises:
        Refusal: It is not a string, or not a UUID in one of these forms. `UUID` alone accepts braces and prefixes too.
    """
    if type(value) is not str:
        raise Refusal("type", "expected a UUID as a string")
    if _is_uuid(value) is None:
        raise Refusal("value", "expected a UUID: 32 hexadecimal digits, with hyphens as 8-4-4-4-12 or without")
    # The same as UUID(value), which would check the text again, in a third of the time.
    uuid = _new(UUID)
    _set_int(uuid, int(value.replace("-", ""), 16))
    _set_safe(uuid, _UNKNOWN)
    return uuid


def write_uuid(value: UUID) -> str:
    """Write a UUID in lower case with hyphens."""
    digits = hex(value.int | 1 << 128)  # 0x1 and all 32 digits
    return f"{digits[3:11]}-{digits[11:15]}-{digits[15:19]}-{digits[19:23]}-{digits[23:]}"
