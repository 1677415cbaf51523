"""How deep JSON nests, found out before any decoder recurses.

How deep a decoder can follow depends on the decoder, on the version of Python and on the stack of the thread. One bound
that depends on nothing keeps all of them safe, in a thread with a stack of 256 KiB too.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any

__all__ = ["MAX_LEVELS", "TOO_DEEP", "is_deep", "is_deep_data"]

MAX_LEVELS = 100
"""How deep objects and lists may nest in a document, which is the first level if it is one of them."""
TOO_DEEP = f"expected JSON that nests at most {MAX_LEVELS} levels deep"

# Brackets of both kinds count alike: where they do not fit together a decoder stops.
_ALIKE = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_STEPS = bytes.maketrans(b"[]", b"\x01\xff")
# Documents are rarely deeper. Taking away a level is faster than counting as long as there are many brackets in it.
_FEW_LEVELS = 8
_CONTAINERS = {dict, list}
# Documents of fewer bytes rarely hold more brackets than may nest, so that counting them is enough.
_FEW_BYTES = 4_000


def is_deep(data: bytes) -> bool:
    """Tell whether JSON text nests more than `MAX_LEVELS` levels deep, in time that grows with its length alone.

    Args:
        data: The text in UTF-8. If it is no JSON, the answer is right up to the place where it breaks.
    """
    if len(data) <= 2 * MAX_LEVELS:
        return False  # Each level takes two brackets.
    if len(data) < _FEW_BYTES and len(data) - len(data.replace(b"[", b"").replace(b"{", b"")) <= MAX_LEVELS:
        return False
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = data.translate(_ALIKE, _OTHERS)
    if brackets.count(b"[") <= MAX_LEVELS:
        return False
    brackets = brackets.replace(b'""', b"")
    if b'"' in brackets:
        brackets = b"".join(brackets.split(b'"')[::2])  # What is not inside of strings.
    levels = 0
    while brackets and levels < _FEW_LEVELS:
        brackets = brackets.replace(b"[]", b"")
        levels += 1
    steps = memoryview(brackets.translate(_STEPS)).cast("b")
    return levels + max(accumulate(steps), default=0) > MAX_LEVELS


def is_deep_data(plain: Any) -> bool:
    """Tell whether plain JSON data nests more than `MAX_LEVELS` levels deep, or holds itself.

    It looks at the data level by level, without recursion.
    """
    level = {0: plain} if type(plain) in _CONTAINERS else {}
    for _ in range(MAX_LEVELS):
        if not level:
            return False
        # By their ids: what the data holds many times is looked at once in each level.
        level = {
            id(each): each
            for part in level.values()
            for each in (part.values() if type(part) is dict else part)
            if type(each) in _CONTAINERS
        }
    return bool(level)
