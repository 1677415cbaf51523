"""The forms of a secret, in plain, and the pieces of them by which an index finds them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ._spellings import BASE64, FIXED, HEX, TEXT, Family
from .values import scrub

__all__ = ["SHORTEST", "Form", "forms_of", "octets_of", "squeeze"]

# Shorter values occur in text by chance so often that masking them would spoil the log and hide nothing.
SHORTEST = 8

# A part that is longer serves no better than one that comes sooner.
LONG = 16

# Behind a backslash they are taken for an escaped line end, which is left out of what is squeezed.
_ESCAPED = b"nr"

_NOT_FIXED = re.compile("[^" + re.escape(bytes(sorted(FIXED)).decode()) + "]")
_LOWER = bytes(range(256)).lower()
_NOT_SQUEEZED = bytes(number for number in range(128) if not chr(number).isalnum())


def squeeze(data: bytes) -> bytes:
    """The letters and digits of a text, in lower case, and what is not ASCII. Most separators and escapes vanish.

    Args:
        data: Any text.
    """
    return data.translate(_LOWER, _NOT_SQUEEZED)


class Form(NamedTuple):
    """What to look for.

    Attributes:
        family: How text may write it.
        plain: What it stands for.
        before: How many bytes of it may come before the pieces.
        pieces: Parts of squeezed text. Wherever the form is written, one of them is.
    """

    family: Family
    plain: bytes
    before: int
    pieces: tuple[bytes, ...]


def octets_of(text: str) -> bytes:
    """A secret as bytes. Bytes of the environment that are not UTF-8 come as lone surrogates, and are restored.

    Args:
        text: Any text.
    """
    escaped = all("\udc80" <= char <= "\udcff" for char in text if "\ud800" <= char <= "\udfff")
    return text.encode("utf-8", "surrogateescape" if escaped else "surrogatepass")


def forms_of(secret: str) -> list[Form]:
    """Every form of a secret: the whole of it and each of its long lines, as text, hex and base64.

    Args:
        secret: The secret, of at least `SHORTEST` characters.
    """
    lines = (line.strip() for line in secret.splitlines())
    parts = {secret, *(line for line in lines if len(line) >= SHORTEST)}
    return list({(form.family, form.plain): form for part in parts for form in _forms(part)}.values())


def _forms(text: str) -> Iterator[Form]:
    octets = octets_of(text)
    for written in {text.encode("utf-8", "surrogatepass"), scrub(text).encode(), octets}:
        plain = written.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        yield Form(TEXT, plain, *_text_pieces(plain))
    digits = octets.hex().encode()
    # A dump begins a new line after eight bytes or more, so within one of these at most.
    yield Form(HEX, digits, 0, (digits[:7], digits[8:15]))
    for core in _base64_cores(octets):
        yield Form(BASE64, core, 0, (squeeze(core.lstrip(_ESCAPED)),))


def _base64_cores(octets: bytes) -> Iterator[bytes]:
    """The digits that a secret determines by itself, wherever it begins in the encoded data.

    A digit stands for 6 bits. Those at either end that share bits with the neighbours vary with them.
    """
    from base64 import b64encode

    for offset in range(3):
        digits = b64encode(b"\0" * offset + octets)
        yield digits[-(-8 * offset // 6) : 8 * (offset + len(octets)) // 6]


def _text_pieces(plain: bytes) -> tuple[int, tuple[bytes, ...]]:
    """All ways to write the part of a secret that serves best, of those that no tool writes in a mixture of ways."""
    parts = _even_parts(plain)
    ways = [tuple(_ways(part)) for part in parts]
    best = max(range(len(parts)), key=lambda number: min(LONG, *map(len, ways[number])))
    return sum(len(part.encode()) + 1 for part in parts[:best]), ways[best]


def _even_parts(plain: bytes) -> list[str]:
    if plain.isascii():
        return _NOT_FIXED.split(plain.decode())
    text = plain.decode("utf-8", "surrogateescape")
    return "".join(char if _is_even(char) else " " for char in text).split(" ")


def _is_even(char: str) -> bool:
    return ord(char) in FIXED if char.isascii() else char.isprintable()


def _ways(part: str) -> Iterator[bytes]:
    part = part.lstrip(_ESCAPED.decode())
    yield squeeze(part.encode())
    if not part.isascii():
        for write in _ESCAPES:
            yield squeeze("".join(char if char.isascii() else write(char) for char in part).encode())


def _json(char: str) -> str:
    from json.encoder import encode_basestring_ascii

    return encode_basestring_ascii(char)


def _each_byte(template: str) -> Callable[[str], str]:
    return lambda char: "".join(template.format(octet) for octet in char.encode())


# How tools write a character that is not ASCII.
_ESCAPES: tuple[Callable[[str], str], ...] = (
    _json,
    ascii,
    *map(_each_byte, ("x{:02x}", "{:03o}", "{:02x}")),
    lambda char: f"u{ord(char):x}",
    lambda char: f"x{ord(char):x}",
    lambda char: f"{ord(char)}",
)
