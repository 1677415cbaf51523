"""The forms in which a secret turns up in text: what a masker has to look for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

__all__ = ["ENCODINGS", "SHORTEST", "forms"]

# Shorter values occur in text by chance so often that masking them would spoil the log and hide nothing.
SHORTEST = 8


def _octets(text: str) -> bytes:
    # What the environment holds of bytes that are not UTF-8 comes as lone surrogates, and goes back to these bytes.
    return text.encode("utf-8", "surrogateescape" if _is_escaped(text) else "surrogatepass")


def _is_escaped(text: str) -> bool:
    return all("\udc80" <= char <= "\udcff" for char in text if "\ud800" <= char <= "\udfff")


def _json(text: str) -> Iterator[str]:
    yield json.dumps(text, ensure_ascii=False)[1:-1]


def _json_ascii(text: str) -> Iterator[str]:
    yield json.dumps(text)[1:-1]


def _repr(text: str) -> Iterator[str]:
    yield repr(text)[1:-1]
    # Beside text with both kinds of quotes, repr escapes the single ones.
    yield repr("'\"" + text)[len("'\\'\"") : -1]
    yield ascii(text)[1:-1]
    yield repr(_octets(text))[2:-1]


def _url(text: str) -> Iterator[str]:
    from urllib.parse import quote

    yield quote(_octets(text))


def _url_component(text: str) -> Iterator[str]:
    from urllib.parse import quote

    yield quote(_octets(text), safe="")


def _url_form(text: str) -> Iterator[str]:
    from urllib.parse import quote_plus

    yield quote_plus(_octets(text))


def _html(text: str) -> Iterator[str]:
    from html import escape

    yield escape(text)
    yield escape(text, quote=False)


def _shell(text: str) -> Iterator[str]:
    # Without the quotes around it: within, both ways to write a single quote are in use.
    yield text.replace("'", "'\"'\"'")
    yield text.replace("'", "'\\''")


def _hex(text: str) -> Iterator[str]:
    yield _octets(text).hex()
    yield _octets(text).hex().upper()


def _base64(text: str) -> Iterator[str]:
    from base64 import b64encode

    return _at_offsets(_octets(text), b64encode)


def _base64url(text: str) -> Iterator[str]:
    from base64 import urlsafe_b64encode

    return _at_offsets(_octets(text), urlsafe_b64encode)


def _at_offsets(octets: bytes, encode: Callable[[bytes], bytes]) -> Iterator[str]:
    """The digits that a secret determines by itself, wherever it begins in the encoded data.

    A digit stands for 6 bits. Those at either end that share bits with the neighbours vary with them.
    """
    for offset in range(3):
        digits = encode(b"\0" * offset + octets).decode()
        yield digits[-(-8 * offset // 6) : 8 * (offset + len(octets)) // 6]


ENCODINGS: dict[str, Callable[[str], Iterable[str]]] = {
    "raw": lambda text: [text],
    "json": _json,
    "json_ascii": _json_ascii,
    "repr": _repr,
    "url": _url,
    "url_component": _url_component,
    "url_form": _url_form,
    "html": _html,
    "shell": _shell,
    "hex": _hex,
    "base64": _base64,
    "base64url": _base64url,
}


def forms(secret: str) -> set[str]:
    """Every form of a secret: the whole of it and each of its long lines, in every encoding.

    Args:
        secret: The secret, of at least `SHORTEST` characters.
    """
    lines = (line.strip() for line in secret.splitlines())
    parts = {secret, *(line for line in lines if len(line) >= SHORTEST)}
    return {form for part in parts for encode in ENCODINGS.values() for form in encode(part)}
