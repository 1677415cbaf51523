"""What is demanded of a value beyond its type: rules, the annotations that carry them, and how a refusal is told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

import attrs

from .errors import ContractError, Problem

__all__ = [
    "INTEGER",
    "SOME",
    "TIME",
    "VOCABULARY",
    "Count",
    "Name",
    "Ordinal",
    "PageSize",
    "Refusal",
    "RelativePath",
    "Rule",
    "Sha256",
    "Texts",
    "broken",
    "describe",
    "escape",
    "is_text",
    "refuse",
    "split",
]


class Refusal(Exception):
    """A value was refused, by code that does not know where in a document it stands."""

    def __init__(self, code: str, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(code, message, path)
        self.code = code
        self.message = message
        self.path = path

    def problem(self, *above: str | int) -> Problem:
        """The refusal as a problem, its path and the steps above it written as a JSON pointer."""
        return Problem("".join(f"/{escape(step)}" for step in (*above, *self.path)), self.code, self.message)


def refuse(type: Any, pointer: str, message: str, code: str = "value") -> ContractError:
    """The error for one problem that a type found with itself or with what it was given."""
    return ContractError(type, [Problem(pointer, code, message)])


def escape(step: str | int) -> str:
    """Write one step of a JSON pointer (RFC 6901, section 3)."""
    return str(step).replace("~", "~0").replace("/", "~1")


# --- rules beyond the type -------------------------------------------------------------------------------------


def is_text(text: str) -> bool:
    """Whether a text can be written in UTF-8: it holds no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_control = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
# Empty, absolute, with a drive, a backslash (a separator where Windows reads it) or a NUL, or climbing up.
_unsafe_path = re.compile(r"\A\Z|\A/|\A[A-Za-z]:|[\\\x00]|(?:\A|/)\.\.(?:/|\Z)").search
_sha256 = re.compile(r"[0-9a-f]{64}").fullmatch

# What a test may call. A function of its own name, so that compiled tests and rules see the same ones.
VOCABULARY = {"UTC": UTC, "control": _control, "unsafe_path": _unsafe_path, "sha256": _sha256}


@attrs.frozen
class Rule:
    """A demand on a value beyond its type, put on it with ``Annotated``.

    Args:
        expected: What stands behind the word "expected" in the message.
        test: The demand, as an expression over ``value``. It is text, since all tests of a class compile into one
            function: an object is checked by one call, where a call for each field would cost more than decoding it.
    """

    expected: str
    test: str
    accepts: Callable[[Any], bool] = attrs.field(
        init=False, eq=False, repr=False, default=attrs.Factory(lambda self: _compile_test(self.test), takes_self=True)
    )


def _compile_test(test: str) -> Callable[[Any], bool]:
    names = {"__builtins__": {"len": len}, **VOCABULARY}
    return eval(f"lambda value: {test}", names)  # type: ignore[no-any-return]


def _integer(low: int, high: int, words: str) -> Rule:
    return Rule(f"an integer{words}", f"{low} <= value <= {high}")


_MAX = 2**63 - 1  # What a bigint of a database holds.
SOME = Rule("at least one element", "len(value) > 0")
INTEGER = _integer(-_MAX - 1, _MAX, " of at most 64 bits")
TIME = Rule("a time with an offset that is in the years 1 to 9999 in UTC", "value.tzinfo is UTC")
# The rules that a type carries wherever it stands, if no other is put on it.
_OF_TYPE = {int: (INTEGER,), datetime: (TIME,)}

Name = Annotated[
    str,
    Rule(
        "a name: 1 to 255 characters, no control characters, no blank at either end",
        "0 < len(value) < 256 and value == value.strip() and (value.isprintable() or control(value) is None)",
    ),
]
Count = Annotated[int, _integer(0, _MAX, " of 0 or more, of at most 64 bits")]
Ordinal = Annotated[int, _integer(1, _MAX, " of 1 or more, of at most 64 bits")]
PageSize = Annotated[int, _integer(1, 1000, " from 1 to 1000")]
Sha256 = Annotated[str, Rule("64 lower-case hexadecimal digits", "sha256(value) is not None")]
RelativePath = Annotated[
    str, Rule("a relative POSIX path without '..', a drive or a backslash", "unsafe_path(value) is None")
]
Texts = Annotated[tuple[str, ...], SOME]


def split(hint: Any) -> tuple[Any, tuple[Rule, ...], bool]:
    """Take an annotation apart.

    Returns:
        The type without its rules and without ``None``, its rules, and whether it may be ``None``.
    """
    optional = False
    if get_origin(hint) in (Union, UnionType):
        rest = tuple(arg for arg in get_args(hint) if arg is not NoneType)
        optional = len(rest) < len(get_args(hint))
        hint = rest[0] if len(rest) == 1 else Union[rest]  # noqa: UP007 - its members are known at run time only
    rules: tuple[Rule, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        rules = tuple(note for note in notes if isinstance(note, Rule))
    return hint, rules or _OF_TYPE.get(hint, ()), optional


_WORDS: dict[Any, str] = {
    str: "a string",
    int: "an integer",
    bool: "true or false",
    float: "a number",
    UUID: "a UUID",
    datetime: "a time",
    NoneType: "null",
}


def describe(hint: Any) -> str:
    """What an annotation expects, in words."""
    base, _, optional = split(hint)
    origin = get_origin(base)
    word = _WORDS.get(base) or f"a {getattr(origin or base, '__name__', str(base))}"
    if origin is Union:
        word = " or ".join(map(describe, get_args(base)))
    if isinstance(base, type) and issubclass(base, Enum):
        word = "one of " + ", ".join(str(member.value) for member in base)
    return f"{word} or null" if optional else word


def broken(value: Any, rules: Iterable[Rule]) -> list[Refusal]:
    """The refusals of a value of the right type by rules."""
    return [Refusal("value", f"expected {rule.expected}") for rule in rules if not rule.accepts(value)]
