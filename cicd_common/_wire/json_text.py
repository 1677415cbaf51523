"""JSON text, read and written. The reader refuses what the wire rules do not allow."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from ..fields.refusal import Refusal
from ..fields.types import is_text
from ..values import with_canonical_exponents
from .depth import TOO_DEEP, is_deep

__all__ = ["encode", "octets_of", "parse"]

_NO_SURROGATES = "expected JSON without lone surrogates"


def parse(data: bytes | bytearray | memoryview | str) -> Any:
    """Read JSON text (RFC 8259) in UTF-8.

    Raises:
        Refusal: It is not UTF-8, begins with a byte order mark, is not JSON, has data after the value, holds ``NaN``,
            ``Infinity`` or a lone surrogate, or nests more than `MAX_LEVELS` levels deep.
        TypeError: The data is neither a text nor bytes.
    """
    if isinstance(data, str):
        text = data
        if not is_text(text):
            raise Refusal("syntax", _NO_SURROGATES)
        data = text.encode()
    else:
        data = octets_of(data)
        text = _decode(data)
    if is_deep(data):
        raise Refusal("syntax", TOO_DEEP)
    if _escapes_surrogate(text) and _has_lone_surrogate(text):
        raise Refusal("syntax", _NO_SURROGATES)
    # The cause is dropped: it holds the whole text, and a log of its attributes would show secrets.
    try:
        return _parse(text)
    except json.JSONDecodeError as error:
        message = f"expected one JSON value and no more, the text breaks at line {error.lineno}, column {error.colno}"
    raise Refusal("syntax", message)


def octets_of(data: bytes | bytearray | memoryview) -> bytes:
    """Return data as bytes. ``bytes`` alone would make a thousand zeros of the number 1000."""
    return data if type(data) is bytes else bytes(memoryview(data))


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        message = f"expected UTF-8, found a wrong byte at offset {error.start}"
    raise Refusal("syntax", message)


def _refuse_constant(name: str) -> NoReturn:
    raise Refusal("syntax", f"expected JSON, which has no {name}")


def _huge_or_int(digits: str) -> int:
    """Read an integer. All of more than 400 digits become the same one: each is refused, or part of a skipped value."""
    return int(digits) if len(digits) <= 400 else 1 << 1024


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_scan = _decoder.scan_once  # type: ignore[attr-defined]  # what both decoding methods call
_patient_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_huge_or_int)


def _parse(text: str) -> Any:
    try:
        # JSON without blanks around it, as `encode` writes it, needs no search for them.
        value, end = _scan(text, 0)
        if end == len(text):
            return value
    except (ValueError, StopIteration):
        pass
    try:
        return _decoder.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # An integer of more digits than int() reads (sys.set_int_max_str_digits).
        return _patient_decoder.decode(text)


# An escaped surrogate, lone or in a pair. The expression finds one in half the time of "in".
_escapes_surrogate = re.compile(r"\\u[dD]").search
_escapes = re.compile(
    r"\\(?:u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|(?P<lone>u[dD][89a-fA-F])|.)", re.DOTALL
)


def _has_lone_surrogate(text: str) -> bool:
    """Tell whether JSON text escapes a lone surrogate."""
    return any(match["lone"] for match in _escapes.finditer(text))


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))


def encode(plain: Any) -> bytes:
    """Write plain JSON data as JSON text in UTF-8, with no blanks.

    Raises:
        ValueError: It holds ``NaN``, ``Infinity`` or a lone surrogate.
        TypeError: It holds a value of a type that JSON does not know.
    """
    return with_canonical_exponents(_encoder.encode(plain)).encode()
