"""Strategies for secrets and for arbitrary values, and the encodings in which programs write secrets."""

from __future__ import annotations

import base64
import html
import json
import shlex
import urllib.parse
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st


def _bash(secret: str) -> str:
    return "'" + secret.replace("'", "'\\''") + "'"


def _inner_base64(encode: Callable[[bytes], bytes], offset: int) -> Callable[[str], str]:
    def form(secret: str) -> str:
        # Encode with two different neighbours: the secret alone determines the digits that are equal.
        octets = secret.encode()
        one, other = (
            encode(fill * offset + octets + fill * (-(offset + len(octets)) % 3)).decode() for fill in (b"\0", b"\xff")
        )
        same = [a if a == b else " " for a, b in zip(one, other, strict=True)]
        return max("".join(same).split(), key=len)

    return form


# How the standard library writes a secret, without quotes around it. The keys are our name of the encoding and the way.
FORMS: dict[tuple[str, str], Callable[[str], str]] = {
    ("raw", "raw"): lambda secret: secret,
    ("json", "json.dumps, UTF-8"): lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    ("json_ascii", "json.dumps"): lambda secret: json.dumps(secret)[1:-1],
    ("repr", "repr"): lambda secret: repr(secret)[1:-1],
    ("repr", "repr beside quotes"): lambda secret: repr(f"'\"{secret}")[4:-1],
    ("repr", "ascii"): lambda secret: ascii(secret)[1:-1],
    ("repr", "repr of bytes"): lambda secret: repr(secret.encode())[2:-1],
    ("url", "quote"): urllib.parse.quote,
    ("url_component", "quote, nothing safe"): lambda secret: urllib.parse.quote(secret, safe=""),
    ("url_form", "quote_plus"): urllib.parse.quote_plus,
    ("html", "escape"): html.escape,
    ("html", "escape, not the quotes"): lambda secret: html.escape(secret, quote=False),
    ("shell", "shlex.quote"): lambda secret: shlex.quote(secret + " ")[1:-2],
    ("shell", "set -x"): lambda secret: _bash(secret)[1:-1],
    ("hex", "hex"): lambda secret: secret.encode().hex(),
    ("hex", "HEX"): lambda secret: secret.encode().hex().upper(),
    **{("base64", f"base64 at {n}"): _inner_base64(base64.b64encode, n) for n in range(3)},
    **{("base64url", f"base64url at {n}"): _inner_base64(base64.urlsafe_b64encode, n) for n in range(3)},
}

# It contains every kind of character that one of these encodings changes.
HARD = 'pä\'ss "w/rd"+<x>&\\y\x07é?~>>?~>~??>>ÿþ'


def forms_of(secret: str) -> set[str]:
    """Every form of a secret, and of each of its long lines."""
    parts = {secret, *(part for line in secret.splitlines() if len(part := line.strip()) >= 8)}
    return {form(part) for part in parts for form in FORMS.values()}


# Quotes, escapes, the first and last characters of masks, hex and base64 digits, line ends, and non-ASCII characters.
_CHARACTERS = st.sampled_from("'\"\\/+-_ *[]<>(){}#&%=\n\r\t\x1b\x7f\x85\u2028aAbn09éß€漢😀")
texts = st.text(_CHARACTERS | st.characters(codec="utf-8"), max_size=30)
secrets = st.text(_CHARACTERS | st.characters(codec="utf-8"), min_size=8, max_size=40).filter(
    lambda secret: len(secret.strip()) >= 8
)
# Secrets that overlap, that contain repetitions, and that contain each other.
tangled = st.lists(st.text("ab*", min_size=8, max_size=12), min_size=1, max_size=4)


class Unprintable:
    """An object whose str and repr raise an error."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def _nest(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.text(max_size=5) | st.integers() | st.none() | st.builds(Unprintable)
    return st.lists(children, max_size=4) | st.dictionaries(keys, children, max_size=4) | st.tuples(children)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary(max_size=20)
    | st.uuids()
    | st.datetimes()
    | st.datetimes(timezones=st.timezones())
    | st.dates()
    | st.decimals()
    | st.sets(st.text(max_size=3), max_size=3)
    | st.builds(Unprintable)
    | st.builds(object)
    | st.builds(ValueError, st.text(max_size=5)),
    _nest,
    max_leaves=10,
)
