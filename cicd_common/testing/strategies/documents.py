"""Strategies for JSON documents, valid ones and ones with errors of every kind."""

# ruff: noqa: E501 - the lists of tokens are read as tables

from __future__ import annotations

import json
from typing import Any, Generic, TypeVar

from attrs import frozen
from hypothesis import strategies as st

from ...converter import make_converter
from ...errors import ContractError, Problem
from .leaves import ASTRAL, texts
from .types import from_type

__all__ = [
    "TOKENS",
    "Document",
    "arbitrary_text",
    "documents",
    "text_of",
    "time_texts",
    "tokens",
    "tree_of",
    "uuid_texts",
]

T = TypeVar("T")

_CONVERTER = make_converter("json")

Tree = Any
"""JSON data: an object is a tuple of pairs, so that keys can repeat, an array is a list, any other value is its text."""

TOKENS = [
    # Values of every kind, and limits of numbers.
    "null", "true", "false", "[]", "{}", '""', '" "', '"x"', "[null]", '["x"]', "[[]]", '[""]', "[1]", "[{}]", '{"a":1}',
    "0", "-0", "1", "-1", "2", "1000", "1001", "1.0", "1e0", "1E2", "-0.0", "0.1", "1e-400", "5e-324",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
    "18446744073709551615", "18446744073709551616", "1" * 30, "1" * 5_000, "-" + "1" * 5_000,
    "1" * 5_000 + ".5", "0." + "1" * 5_000, "1e308", "1e309", "-1e999", "1e99999999999999999999",
    "1" * 400 + ".0", "1" * 5_000 + "e-4990",
    # Texts that are no JSON and that some parsers accept.
    "NaN", "Infinity", "-Infinity", "nan", "inf", "undefined", "True", "None", "+1", "01", "-01", "-", ".5", "1.", "1.e1",
    "1e", "0x10", "1_000", "'x'", "x", "[1,]", "[,]", '{"a":1,}', "{1:2}", '{"a"}', '{"a":}', "[1 2]", "[", "]", "{", "}",
    "/*x*/1", "1//x", "", '"x', '"\\"', '"\\', '"a" "b"', "nulll", "nul", "tru", "1 1", "[]]", "\\u0031",
    # Strings with characters and escapes of every kind.
    '"\\ud83d\\ude80"', '"\\uD83D\\uDE80"', '"\\ud83d"', '"\\uDE80"', '"\\ude80\\ud83d"', '"\\ud83d\\ud83d\\ude80"',
    '"\\ud83dx\\ude80"', '"\\\\ud83d"', '"\\\\\\ud83d"', '"\\ud83d\\\\ude80"', '"\\u0000"', '"\\u001f"', '"\\u00e9"',
    '"\\b\\f\\n\\r\\t\\/\\\\\\""', '"\\a"', '"\\x41"', '"\\u12"', '"\\u12G4"', '"\\U0001F680"', '"\\u 123"', '"\\u+123"',
    '"\n"', '"\t"', '"\x00"', '"\x1f"', '"\x7f"', '"\x85"', '"\u2028"', '"\ufeff"', '"\uffff"', f'"{ASTRAL}"',
    '"\ud83d"', '"\udc80"', '"\udfff"', '"\ud83d\ude80"', '["\ud83d"]', '{"\ud83d":1}', '{"\\ud83d":1}',
    '"a/b"', '"../a"', '"/a"', '"C:a"', '"a\\\\b"', f'"{"a" * 255}"', f'"{"a" * 256}"', '" a"', '"a "', '"\\u00a0a"',
    # Statuses, ids and times, right and wrong.
    '"PENDING"', '"SUCCESS"', '"FAILED"', '"pending"', '"PENDING "', '"DONE"', '"\\u0050ENDING"', '["PENDING"]',
    '"6ba7b810-9dad-11d1-80b4-00c04fd430c8"', '"6BA7B810-9DAD-11D1-80B4-00C04FD430C8"', '"6ba7b8109dad11d180b400c04fd430c8"',
    '"{6ba7b810-9dad-11d1-80b4-00c04fd430c8}"', '"urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8"',
    '"6ba7b8109dad-11d1-80b4-00c04fd430c8"', '"6ba7b810-9dad-11d1-80b4-00c04fd430c"', '"6ba7b810-9dad-11d1-80b4-00c04fd430cg"',
    '"6ba7b8109-dad-11d1-80b4-00c04fd430c8"', '"6ba7b810-9dad-11d1-80b400c04fd430c8"', '" 6ba7b8109dad11d180b400c04fd430c8"',
    '"0x6ba7b8109dad11d180b400c04fd430"', '"6ba7_b8109dad11d180b400c04fd430c"', '"\u0661ba7b8109dad11d180b400c04fd430c8"',
    '"2026-01-31T23:59:59Z"', '"2026-01-31T23:59:59.5Z"', '"2026-01-31T23:59:59"', '"2026-01-31"', '"2026-01-31T23:59:60Z"',
    '"2026-W05-6T23:59:59Z"', '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59.9999999Z"', '"2026-02-29T00:00:00Z"',
    '"2026-01-31t23:59:59z"', '"2026-01-31 23:59:59+0530"', '"2026-01-31T24:00:00Z"', '"2026-01-31T23:59:59,5Z"',
    "1767225600", "1767225600.5", '"1767225600"',
]  # fmt: skip

BLANKS = ["", "", "", " ", "\n", "\t", "\r\n", " \n\t "]
WRONG_BLANKS = ["\f", "\v", "\xa0", "\u2028", "\ufeff", "\x00", "#"]


def tree_of(plain: Any) -> Tree:
    """Convert plain JSON data to a tree."""
    if isinstance(plain, dict):
        return tuple((json.dumps(key), tree_of(value)) for key, value in plain.items())
    if isinstance(plain, list):
        return [tree_of(each) for each in plain]
    return json.dumps(plain, ensure_ascii=False)


def text_of(tree: Tree, blank: str = "") -> str:
    """Write a tree as JSON text, with a blank in every place that allows one."""
    if isinstance(tree, tuple):
        pairs = (f"{key}{blank}:{blank}{text_of(value, blank)}" for key, value in tree)
        return f"{{{blank}{f'{blank},{blank}'.join(pairs)}{blank}}}"
    if isinstance(tree, list):
        return f"[{blank}{f'{blank},{blank}'.join(text_of(each, blank) for each in tree)}{blank}]"
    return str(tree)


def tokens() -> st.SearchStrategy[str]:
    """Draw the text of one JSON value, or a text that is no JSON."""
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | texts(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
        max_leaves=5,
    )
    return st.integers(0, len(TOKENS) - 1).map(TOKENS.__getitem__) | anything.map(json.dumps) | texts()


def _keys(pairs: tuple[tuple[str, Tree], ...]) -> st.SearchStrategy[str]:
    known = [key for key, _ in pairs] or ['"id"']
    odd = [
        '""',
        '"a/b~c"',
        '"\\ud83d"',
        '"\ud83d"',
        '"ID"',
        '"\\u0069d"',
        "id",
        "1",
        "null",
        f'"{ASTRAL}"',
        '"a\tb"',
        "[]",
    ]
    return st.sampled_from(known) | st.sampled_from(odd) | texts().map(json.dumps)


@st.composite
def mutated(draw: st.DrawFn, tree: Tree) -> Tree:
    """Draw a tree with one place that is wrong or unusual."""
    inside = isinstance(tree, (tuple, list)) and len(tree) > 0 and draw(st.integers(0, 9)) > 1
    if inside:
        at = draw(st.integers(0, len(tree) - 1))
        how = draw(st.sampled_from(["below", "below", "below", "remove", "repeat", "add"]))
        if how == "remove":
            rest: Any = tree[at + 1 :]
            return tree[:at] + rest
        if isinstance(tree, list):
            item = [tree[at] if how == "repeat" else draw(tokens() if how == "add" else mutated(tree[at]))]
            return tree[:at] + item + tree[at + (how == "below") :]
        key, value = tree[at]
        if how == "below":
            return (*tree[:at], (key, draw(mutated(value))), *tree[at + 1 :])
        new = (key if how == "repeat" else draw(_keys(tree)), draw(tokens() | st.just(value)))
        place = draw(st.integers(0, len(tree)))
        return (*tree[:place], new, *tree[place:])
    return draw(tokens())


@st.composite
def mutated_text(draw: st.DrawFn, data: bytes) -> bytes:
    """Draw bytes with an arbitrary change in one place."""
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 3)) | st.just(len(data)))
    some = st.binary(max_size=3) | tokens().map(_bytes) | st.sampled_from([*map(_bytes, WRONG_BLANKS), b"\xef\xbb\xbf"])
    return data[:start] + draw(some) + data[end:]


@frozen
class Document(Generic[T]):
    """A JSON text with the expected result of reading it.

    Attributes:
        data: The text.
        value: The instance that is read; None if the text must be refused.
        problems: The problems of a text that must be refused; otherwise empty.
    """

    data: bytes
    value: T | None
    problems: tuple[Problem, ...]


@st.composite
def documents(draw: st.DrawFn, cls: type[T]) -> Document[T]:
    """Draw documents of an instance of a class, with up to five wrong or unusual places.

    Args:
        draw: Given by hypothesis.
        cls: A type of the contract, or any other type that `from_type` takes.
    """
    tree = tree_of(_CONVERTER.unstructure(draw(from_type(cls))))
    for _ in range(draw(st.integers(0, 3))):
        tree = draw(mutated(tree))
    data = _bytes(text_of(tree, draw(st.sampled_from(BLANKS))))
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 2]))):
        data = draw(mutated_text(data))
    try:
        return Document(data, _CONVERTER.loads(data, cls), ())
    except ContractError as error:
        return Document(data, None, error.problems)


def arbitrary_text() -> st.SearchStrategy[bytes]:
    """Draw arbitrary bytes, texts, and JSON of no known type."""
    return st.binary(max_size=30) | tokens().map(_bytes) | tokens().flatmap(lambda each: mutated_text(_bytes(each)))


def _bytes(text: str) -> bytes:
    # A lone surrogate becomes bytes that are not UTF-8.
    return text.encode("utf-8", "surrogatepass")


# The parts of a time: the right ones, and those that are wrong or not allowed by RFC 3339.
_TIME_PARTS: list[tuple[list[str], list[str]]] = [
    (["0001", "1969", "2000", "2024", "9999"], ["0000", "10000", "999", "+2024", "-001", "\u0662024"]),
    (["-"], ["", "/", "--", "\u2010"]),
    (["01", "02", "06", "12"], ["00", "13", "1", "1 ", "W01"]),
    (["-"], ["", "/", ".", "\u2010"]),
    (["01", "28", "29", "30", "31"], ["00", "32", "1", "001", ""]),
    (["T", "T", "t", " "], ["", "_", "\u00a0", "  ", "TT"]),
    (["00", "01", "12", "23"], ["24", "25", "1", "+1", ""]),
    ([":"], ["", ".", "::"]),
    (["00", "59"], ["60", "5", ""]),
    ([":"], ["", ".", "::"]),
    (["00", "59"], ["60", "61", "5", ""]),
    (
        ["", "", ".0", ".5", ".999999", ".9999999", ".99999949", ".0000005", ".0000004", ".1234565", "." + "9" * 30],
        [".", ",5", ".5.5", ".-1", ". 5", ".5 ", ".1\u0661", ".5e1"],
    ),
    (
        ["Z", "Z", "z", "+00:00", "-00:00", "+05:30", "-23:59", "+23:59", "+0530", "-0001"],
        ["", "+24:00", "+00:60", "+05", "+5:30", "+05:3", "+05:30:15", "05:30", "\u221205:30", " Z", "Z ", "UTC", "ZZ", "+-5:30"],
    ),
]  # fmt: skip


@st.composite
def time_texts(draw: st.DrawFn) -> str:
    """Draw texts of times, with at most one wrong part."""
    wrong = draw(st.integers(0, 2 * len(_TIME_PARTS)))
    parts = [draw(st.sampled_from(odd if at == wrong else right)) for at, (right, odd) in enumerate(_TIME_PARTS)]
    if draw(st.booleans()) and wrong != _FRACTION and parts[_FRACTION]:
        parts[_FRACTION] = "." + draw(st.text("0123456789", min_size=1, max_size=12))
    return "".join(parts)


_FRACTION = len(_TIME_PARTS) - 2


@st.composite
def uuid_texts(draw: st.DrawFn) -> str:
    """Draw texts of UUIDs, half of them with a change in one place."""
    digits = draw(st.integers(0, 2**128 - 1).map("{:032x}".format))
    text = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    text = draw(st.sampled_from([text, text, digits, text.upper(), digits.upper(), text.title(), f"{{{text}}}"]))
    if draw(st.booleans()):
        return text
    at = draw(st.integers(0, len(text)))
    some = draw(st.sampled_from(["", "-", "--", "g", " ", "\n", "_", "0", "\u0660", "\uff11", "x", "{", "urn:uuid:"]))
    return text[:at] + some + text[at + draw(st.integers(0, 2)) :]
