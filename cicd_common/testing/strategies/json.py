"""Strategies for JSON data, with numbers and keys that JSON encoders write in different ways."""

from functools import cache
from typing import Any

from hypothesis import strategies as st

from ...values import MAX_INTEGER, Environment, JsonObject

__all__ = ["EDGE_KEYS", "EDGE_NUMBERS", "environments", "json_objects", "json_values", "plain_objects"]

EDGE_NUMBERS = [
    0, 1, -1, MAX_INTEGER, -MAX_INTEGER, 2**53, -(2**53), 2**60, 2**63, 2**64, 10**20, 10**21, 10**22, -(10**20),
    0.0, -0.0, 1.0, -1.0, 0.5, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 123456e-10, 1e15, 1e16, 123456789012345.6, 1e20,
    1e21, 1e22, 1e23,     5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1, 1 / 3, 1e300,
    9007199254740993.0, 1.5e-9,
    333333333.33333329, 4.5, 2e-3, 1e-27, 295147905179352830000.0, 999999999999999700000.0, 9.999999999999997e22,
]  # fmt: skip
"""Numbers that a `JsonObject` holds and that encoders write in different ways; RFC 8785 has some of them as samples."""
EDGE_KEYS = [
    "",
    "a",
    "B",
    "\x00",
    "\x7f",
    "\u20ac",
    "\ue000",
    "\uffff",
    "\U0001f600",
    "\U0010ffff",
    "é",
    "e\u0301",
    "a/b~c",
]


@cache
def json_texts() -> st.SearchStrategy[str]:
    """Draw strings that UTF-8 can write."""
    edges = st.sampled_from([*EDGE_KEYS, '"\\\b\f\n\r\t\x1f', "\u2028", "1.0", "1e-05", '"1e-05', "null", "{}"])
    return st.text(st.characters(codec="utf-8"), max_size=8) | edges


@cache
def json_numbers() -> st.SearchStrategy[int | float]:
    """Draw numbers that a `JsonObject` holds."""
    return (
        st.integers(-MAX_INTEGER, MAX_INTEGER)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.floats(-1e6, 1e6)
        | st.sampled_from(EDGE_NUMBERS)
    )


@cache
def json_values() -> st.SearchStrategy[Any]:
    """Draw JSON data that a `JsonObject` holds."""
    return st.recursive(
        st.none() | st.booleans() | json_numbers() | json_texts(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(json_texts(), inner, max_size=4),
        max_leaves=12,
    )


@cache
def plain_objects() -> st.SearchStrategy[dict[str, Any]]:
    """Draw plain JSON objects that a `JsonObject` holds."""
    return st.dictionaries(json_texts(), json_values(), max_size=4)


def json_objects() -> st.SearchStrategy[JsonObject]:
    """Draw instances of `JsonObject`."""
    return plain_objects().map(JsonObject)


def environments() -> st.SearchStrategy[Environment]:
    """Draw instances of `Environment`."""
    names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True, alphabet=st.characters(max_codepoint=127))
    return st.dictionaries(names, json_texts().map(lambda text: text.replace("\0", "")), max_size=3).map(Environment)
