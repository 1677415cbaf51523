"""The canonical text of JSON data (RFC 8785): sorted keys, no blanks, and one way to write each number."""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring
from typing import Any

__all__ = ["encode_sorted", "float_text", "sorted_keys", "with_canonical_exponents", "write"]

_dumps = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, sort_keys=True, separators=(",", ":")
).encode


def encode_sorted(plain: Any) -> bytes:
    """Write plain data as JSON in UTF-8, with keys sorted by code point."""
    return _dumps(plain).encode()


def write(value: Any) -> str:
    """Write plain data as RFC 8785 demands, if its integral numbers up to 2^53 - 1 either way are of type ``int``."""
    if type(value) is dict:
        return "{" + ",".join(f"{encode_basestring(key)}:{write(value[key])}" for key in sorted_keys(value)) + "}"
    if type(value) is list:
        return "[" + ",".join(map(write, value)) + "]"
    return float_text(value) if type(value) is float else _dumps(value)


def sorted_keys(plain: dict[str, Any]) -> list[str]:
    """Return the keys in the order of their UTF-16 units (RFC 8785, section 3.2.3)."""
    return sorted(plain, key=lambda key: key.encode("utf-16-be"))


def float_text(value: float) -> str:
    """Write a double that is not zero as ECMAScript does (RFC 8785, section 3.2.2.3).

    ``repr`` finds the same digits: the fewest that tell the double from all others. Only their form differs.
    """
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = fraction.rstrip("0")
    digits = (whole + fraction).lstrip("0")
    point = len(digits) - len(fraction) + int(exponent or 0)
    digits = digits.rstrip("0")
    sign = "-" if value < 0 else ""
    if len(digits) <= point <= 21:
        return sign + digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    more = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{more}e{point - 1:+d}"


_string_or_small_number = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9.]+e-[0-9]+')


def with_canonical_exponents(text: str) -> str:
    """Write the small numbers of JSON text as RFC 8785 does, where ``json.dumps`` wrote ``1e-05`` and ``1e-07``."""
    if "e-" not in text:
        return text
    return _string_or_small_number.sub(lambda match: _respelled(match[0]), text)


def _respelled(token: str) -> str:
    return token if token[0] == '"' else float_text(float(token))
