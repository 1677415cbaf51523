"""How deep JSON nests, counted before a decoder recurses.

How deep a decoder can recurse depends on the decoder, on the version of Python and on the stack of the thread. One
fixed bound keeps every decoder safe, even in a thread with a stack of 256 KiB.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

__all__ = ["MAX_LEVELS", "TOO_DEEP", "is_deep", "is_deep_data"]

MAX_LEVELS = 100
"""How deep objects and lists may nest in a document; the outermost one is the first level."""
TOO_DEEP = f"expected JSON that nests at most {MAX_LEVELS} levels deep"

# Brackets of both kinds count alike: a decoder stops where they do not match.
_ALIKE = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_STEPS = bytes.maketrans(b"[]", b"\x01\xff")
# Documents are rarely deeper. As long as there are many brackets, removing the innermost level is faster than counting.
_FEW_LEVELS = 8
_CONTAINERS = {dict, list}
# Documents of fewer bytes rarely have more than `MAX_LEVELS` brackets that open a level, so counting these is enough.
_FEW_BYTES = 4_000


def is_deep(data: bytes) -> bool:
    """Tell whether JSON text nests more than `MAX_LEVELS` levels deep, in time that grows with its length alone.

    Args:
        data: The text in UTF-8. If it is not JSON, the answer holds up to the place where a decoder stops.
    """
    if len(data) <= 2 * MAX_LEVELS:
        return False  # Each level takes two brackets.
    if len(data) < _FEW_BYTES and len(data) - len(data.replace(b"[", b"").replace(b"{", b"")) <= MAX_LEVELS:
        return False
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = data.translate(_ALIKE, _OTHERS).replace(b'""', b"")
    if brackets.count(b"[") <= MAX_LEVELS:
        return False
    if b'"' in brackets:
        brackets = b"".join(brackets.split(b'"')[::2])  # Those outside of strings.
    levels = 0
    while brackets and levels < _FEW_LEVELS:
        brackets = brackets.replace(b"[]", b"")
        levels += 1
    steps = memoryview(brackets.translate(_STEPS)).cast("b")
    return levels + max(accumulate(steps), default=0) > MAX_LEVELS


def is_deep_data(plain: Any) -> bool:
    """Tell whether plain JSON data nests more than `MAX_LEVELS` levels deep, or has a cycle.

    It looks at the data level by level, without recursion.
    """
    level = {0: plain} if type(plain) in _CONTAINERS else {}
    for _ in range(MAX_LEVELS):
        if not level:
            return False
        # Keyed by id, so that a part that the data holds many times is visited once in each level.
        level = {
            id(each): each
            for part in level.values()
            for each in (part.values() if type(part) is dict else part)
            if type(each) in _CONTAINERS
        }
    return bool(level)
