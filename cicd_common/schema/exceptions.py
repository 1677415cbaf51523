"""Rules of readers that JSON Schema cannot express."""

from __future__ import annotations

from collections.abc import Mapping

from .._wire.depth import MAX_LEVELS
from ..values import MAX_BYTES
from ..values import MAX_LEVELS as MAX_OBJECT_LEVELS

__all__ = ["NOT_IN_SCHEMA", "comment"]

NOT_IN_SCHEMA: Mapping[str, str] = {
    "text": f"JSON text that is not in UTF-8, escapes lone surrogates or nests more than {MAX_LEVELS} levels deep",
    "fields": "what breaks a rule about several fields, which the description of the type names",
    "integers": "an integer that is written with a fraction or an exponent, such as 1.0",
    "numbers": "a number past the range of a double, and an integer past 64 bits where any JSON data may stand",
    "times": "a time that is not in the years 1 to 9999 in UTC, after it was rounded to microseconds",
    "names": "a name that is not in Unicode's form NFC",
    "objects": (
        f"a JsonObject of more than {MAX_BYTES // 1024} KiB in the form of RFC 8785, of more than {MAX_OBJECT_LEVELS} "
        "levels, or with an integer past 2^53 - 1 either way that a double does not hold exactly"
    ),
    "code": (
        "in classes outside the contract, what only code refuses: a validator, a converter of a field, a rule without "
        "keywords, the constructor of a class that is derived from str, int or the like, an enum that takes some "
        "unknown values, a set that cannot hold an item"
    ),
    "large": "in classes outside the contract, bytes, decimal numbers, durations, flags and keys that are out of range",
}
"""The documents that a strict reader refuses although they are valid, in words. There are no other differences.

Every document that a strict reader of the contract accepts is valid. Classes outside the contract have one exception:
unknown keys inside a union of classes are ignored, since cattrs reads it. ``format`` is an annotation: a validator that
asserts it refuses UUIDs without hyphens, and times with a blank before the time of day or an offset without a colon.
"""


def comment() -> str:
    """Return the exceptions as one text."""
    return "\n- ".join(("A reader refuses, although it is valid by this schema:", *NOT_IN_SCHEMA.values()))
