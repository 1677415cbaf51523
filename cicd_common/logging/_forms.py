"""The forms in which a secret may be written, and the pieces of each form by which an index finds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ._spellings import BASE64, FIXED, HEX, TEXT, Family
from .values import scrub

__all__ = ["SHORTEST", "Form", "forms_of", "octets_of", "squeeze"]

# Shorter values occur in text by chance so often that masking them would spoil the log and hide nothing.
SHORTEST = 8

# Pieces longer than this are equally good, so the first one is chosen.
LONG = 16

# After a backslash these letters are an escaped line end, which squeezed text leaves out.
_ESCAPED = b"nr"

_NOT_FIXED = re.compile("[^" + re.escape(bytes(sorted(FIXED)).decode()) + "]")
_LOWER = bytes(range(256)).lower()
_NOT_SQUEEZED = bytes(number for number in range(128) if not chr(number).isalnum())


def squeeze(data: bytes) -> bytes:
    """Reduce a text to its letters and digits, in lower case, and its bytes beyond ASCII.

    This removes most separators and escapes.

    Args:
        data: Any text.
    """
    return data.translate(_LOWER, _NOT_SQUEEZED)


class Form(NamedTuple):
    """A form of a secret to look for.

    Attributes:
        family: The spellings that text may have for it.
        plain: Its plain bytes.
        before: How many bytes of it may come before a piece.
        pieces: Parts of squeezed text. A text with the form holds one of them.
    """

    family: Family
    plain: bytes
    before: int
    pieces: tuple[bytes, ...]


def octets_of(text: str) -> bytes:
    """Encode a secret. Lone surrogates, which stand for bytes of the environment beyond UTF-8, become these bytes.

    Args:
        text: Any text.
    """
    escaped = all("\udc80" <= char <= "\udcff" for char in text if "\ud800" <= char <= "\udfff")
    return text.encode("utf-8", "surrogateescape" if escaped else "surrogatepass")


def forms_of(secret: str) -> list[Form]:
    """Return every form of a secret: the whole secret and each of its long lines, as text, hex and base64.

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
    # A dump begins a new line after eight bytes or more, so within one of these pieces at most.
    yield Form(HEX, digits, 0, (digits[:7], digits[8:15]))
    for core in _base64_cores(octets):
        yield Form(BASE64, core, 0, (squeeze(core.lstrip(_ESCAPED)),))


def _base64_cores(octets: bytes) -> Iterator[bytes]:
    """Yield the base64 digits of a secret for each place where it may begin in the encoded data.

    A digit stands for 6 bits. The digits at the ends that share bits with neighbouring bytes are left out.
    """
    from base64 import b64encode

    for offset in range(3):
        digits = b64encode(b"\0" * offset + octets)
        yield digits[-(-8 * offset // 6) : 8 * (offset + len(octets)) // 6]


def _text_pieces(plain: bytes) -> tuple[int, tuple[bytes, ...]]:
    """Return the spellings of the best part of a secret, and the number of bytes before the part.

    No tool mixes spellings within a part.
    """
    parts = _uniform_parts(plain)
    spellings = [tuple(_spellings(part)) for part in parts]
    best = max(range(len(parts)), key=lambda number: min(LONG, *map(len, spellings[number])))
    return sum(len(part.encode()) + 1 for part in parts[:best]), spellings[best]


def _uniform_parts(plain: bytes) -> list[str]:
    """Split a secret at the characters that tools escape one by one."""
    if plain.isascii():
        return _NOT_FIXED.split(plain.decode())
    text = plain.decode("utf-8", "surrogateescape")
    return "".join(char if _is_uniform(char) else " " for char in text).split(" ")


def _is_uniform(char: str) -> bool:
    return ord(char) in FIXED if char.isascii() else char.isprintable()


def _spellings(part: str) -> Iterator[bytes]:
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
