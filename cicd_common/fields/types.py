"""Rules that demand more of a value than its Python type does, and the annotations that carry them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, ClassVar
from unicodedata import is_normalized

import attrs

__all__ = [
    "INTEGER",
    "SOME",
    "TIME",
    "Between",
    "Count",
    "Kind",
    "Name",
    "Ordinal",
    "PageSize",
    "RelativePath",
    "Retries",
    "Rule",
    "Sha256",
    "Texts",
    "Time",
    "has_items",
    "is_in_utc",
    "is_kind",
    "is_name",
    "is_nfc",
    "is_relative_path",
    "is_sha256",
    "is_text",
    "whole",
]


@attrs.frozen
class Rule:
    """A demand on a value beyond its Python type, added to the type with ``Annotated``.

    Example:
        ``Port = Annotated[int, Rule("a port", Between(1, 65535), {"minimum": 1, "maximum": 65535})]``

    Args:
        expected: The words that follow "expected" in a message.
        accepts: Tells whether a value of the right type keeps the rule. It raises nothing.
        keywords: The keywords of JSON Schema that express the rule. They may accept more than the rule, but not less.
    """

    expected: str
    accepts: Callable[[Any], bool]
    keywords: Mapping[str, Any] = attrs.field(factory=dict, eq=False, repr=False)

    # The protocol of annotated-types for metadata that groups other metadata. hypothesis reads it.
    __is_annotated_types_grouped_metadata__: ClassVar[bool] = True

    def __iter__(self) -> Iterator[Any]:
        """Yield metadata for other libraries: a hypothesis strategy, if the test kit was imported."""
        for tell in METADATA:
            yield from tell(self)


METADATA: list[Callable[[Rule], Iterable[Any]]] = []
"""Functions that make metadata of a rule for other libraries. The test kit adds one."""


@attrs.frozen
class Between:
    """Tells whether a number is in a range.

    Args:
        low: The least number that is accepted.
        high: The greatest number that is accepted.
    """

    low: int
    high: int

    def __call__(self, value: int) -> bool:
        """Tell whether a number is in the range."""
        return self.low <= value <= self.high


def integer(low: int, high: int, words: str) -> Rule:
    """Return the rule for an integer in a range."""
    return Rule(f"an integer{words}", Between(low, high), {"minimum": low, "maximum": high})


def is_text(text: str) -> bool:
    """Tell whether a text can be written in UTF-8: it holds no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def has_items(value: Sized) -> bool:
    """Tell whether a collection is not empty."""
    return len(value) > 0


def is_in_utc(value: datetime) -> bool:
    """Tell whether a time is one in UTC, marked by ``datetime.UTC`` itself."""
    return value.tzinfo is UTC


# Parts of character classes that mean the same in every dialect of regular expressions: characters past U+00FF are not
# escaped, since dialects escape them in different ways.
# Control characters, and the bidirectional ones, which make a text look like another.
_HIDDEN = r"\x00-\x1f\x7f-\x9f" + "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# The characters besides control characters that str.strip() removes.
_BLANK = r" \xa0" + "\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# Blanks, and the characters that Unicode calls ignorable by default: they are drawn as nothing.
_UNSEEN = (
    _BLANK + r"\xad"
    "\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)


def whole(pattern: str) -> dict[str, Any]:
    """Return the keywords of JSON Schema for texts without line breaks that match a pattern from end to end.

    Some dialects, Python's among them, take ``$`` to match before a final line break, too.
    """
    return {"pattern": f"^(?:{pattern})$", "not": {"pattern": r"\n"}}


@cache
def _finder(characters: str) -> Callable[[str], Any]:
    # Compiled on first use: most names are printable ASCII, and a large class takes a millisecond to compile.
    return re.compile(f"[{characters}]").search


def find_hidden(text: str) -> Any:
    """Find a character that a name may not hold."""
    return _finder(_HIDDEN)(text)


def find_seen(text: str) -> Any:
    """Find a character that can be seen."""
    return _finder(f"^{_UNSEEN}")(text)


# A path that is empty, absolute, or has a drive, a backslash (a separator on Windows), a NUL or a "..".
find_unsafe = re.compile(r"\A\Z|\A/|\A[A-Za-z]:|[\\\x00]|(?:\A|/)\.\.(?:/|\Z)").search
# The same for JSON Schema: no part of a path is "..", and the whole path has none of the other marks.
_PART = r"(?:\.?|(?:[^./]|\.[^./]|\.\.[^/])[^/]*)"
_NOT_RELATIVE = r"^/|^[A-Za-z]:|[\\\x00]"
_SHA256 = "[0-9a-f]{64}"
_KIND = "[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*"
match_sha256 = re.compile(_SHA256).fullmatch
match_kind = re.compile(_KIND).fullmatch


def is_name(value: str) -> bool:
    """Tell whether a text is a name, in any normalization form of Unicode."""
    return (
        0 < len(value) < 256
        and value == value.strip()
        and (value.isprintable() or find_hidden(value) is None)
        and (value.isascii() or find_seen(value) is not None)
    )


def is_nfc(value: str) -> bool:
    """Tell whether a text is in Unicode's form NFC."""
    return value.isascii() or is_normalized("NFC", value)


def is_kind(value: str) -> bool:
    """Tell whether a text is a kind."""
    return len(value) < 64 and match_kind(value) is not None


def is_sha256(value: str) -> bool:
    """Tell whether a text is a SHA-256 in lower-case hexadecimal digits."""
    return match_sha256(value) is not None


def is_relative_path(value: str) -> bool:
    """Tell whether a text is a relative path that stays below where it starts, on POSIX and on Windows."""
    return find_unsafe(value) is None


_MAX = 2**63 - 1  # The largest bigint of a database.
SOME = Rule("at least one element", has_items, {"minItems": 1})
INTEGER = integer(-_MAX - 1, _MAX, " of at most 64 bits")
TIME = Rule("a time with an offset that is in the years 1 to 9999 in UTC", is_in_utc)
Time = Annotated[datetime, TIME]
"""A time with an offset, kept in UTC. ``datetime`` alone demands the same; this name tells other libraries, too."""

Name = Annotated[
    str,
    Rule(
        "a name: 1 to 255 characters, at least one of them visible, no control characters, also for the direction of "
        "text, no blank at either end",
        is_name,
        {
            "minLength": 1,
            "maxLength": 255,
            **whole(f"[^{_HIDDEN}{_BLANK}](?:[^{_HIDDEN}]*[^{_HIDDEN}{_BLANK}])?"),
            "allOf": [{"pattern": f"[^{_UNSEEN}]"}],
        },
    ),
    Rule("a name in Unicode's form NFC", is_nfc),
]
"""A name: of a pipeline, a stage, a job, a branch or a Worker."""
Count = Annotated[int, integer(0, _MAX, " of 0 or more, of at most 64 bits")]
"""An integer of 0 or more."""
Ordinal = Annotated[int, integer(1, _MAX, " of 1 or more, of at most 64 bits")]
"""An integer of 1 or more."""
PageSize = Annotated[int, integer(1, 1000, " from 1 to 1000")]
"""How many items a page holds at most."""
Retries = Annotated[int, integer(0, 10, " from 0 to 10")]
"""How often a job is tried again."""
Kind = Annotated[
    str,
    Rule(
        "a kind: a lower-case letter, then lower-case letters and digits, in parts divided by single '.' or '-', "
        "at most 63 characters",
        is_kind,
        {"maxLength": 63, **whole(_KIND)},
    ),
]
"""The kind of a job or a pipeline. A kind with a dot belongs to the owner of the part before the dot."""
Sha256 = Annotated[str, Rule("64 lower-case hexadecimal digits", is_sha256, whole(_SHA256))]
"""A SHA-256 as hexadecimal digits."""
RelativePath = Annotated[
    str,
    Rule(
        "a relative POSIX path without '..', a drive or a backslash",
        is_relative_path,
        {"minLength": 1, "pattern": f"^{_PART}(?:/{_PART})*$", "not": {"pattern": _NOT_RELATIVE}},
    ),
]
"""A path of a file below some directory."""
Texts = Annotated[tuple[str, ...], SOME]
"""At least one text."""
