"""What the fields of the contract demand of their values, said once, in their annotations.

``@checked`` below ``@frozen`` turns the annotations of a class into checks of two kinds:

- A value that a caller gives must have the annotated type. An instance of a subclass is stored as the plain value,
  and a time in UTC, so that equal objects have equal bytes.
- Rules beyond the type (`Name`, `Ordinal`, ...) hold however an object came to be: they run after construction,
  where ``msgspec`` runs them too. The checks of types do not, since a decoder gets the types right by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs

from .errors import ContractError, Problem

__all__ = [
    "INTEGER",
    "SOME",
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
    "checked",
    "describe",
    "escape",
    "in_utc",
    "is_checked",
    "is_text",
    "refuse",
    "split",
]

C = TypeVar("C", bound=type)


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
_VOCABULARY = {"UTC": UTC, "control": _control, "unsafe_path": _unsafe_path, "sha256": _sha256}


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
    names = {"__builtins__": {"len": len}, **_VOCABULARY}
    return eval(f"lambda value: {test}", names)  # type: ignore[no-any-return]


def _integer(low: int, high: int, words: str) -> Rule:
    return Rule(f"an integer{words}", f"{low} <= value <= {high}")


_MAX = 2**63 - 1  # What a bigint of a database holds.
SOME = Rule("at least one element", "len(value) > 0")
INTEGER = _integer(-_MAX - 1, _MAX, " of at most 64 bits")
# The rules that a type carries wherever it stands, if no other is put on it.
_OF_TYPE = {
    int: (INTEGER,),
    datetime: (Rule("a time with an offset that is in the years 1 to 9999 in UTC", "value.tzinfo is UTC"),),
}

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


# --- types -----------------------------------------------------------------------------------------------------

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


def in_utc(value: datetime) -> datetime:
    """The same moment as a plain ``datetime`` in UTC.

    Raises:
        Refusal: It is naive, or not in the years 1 to 9999 in UTC.
    """
    if type(value) is datetime and value.tzinfo is UTC:
        return value
    (rule,) = _OF_TYPE[datetime]
    try:
        moment = value.astimezone(UTC) if value.utcoffset() is not None else None
    except OverflowError:
        moment = None
    if moment is None:
        raise Refusal("value", f"expected {rule.expected}")
    return datetime.combine(moment.date(), moment.time(), UTC)


def _in_unicode(value: str) -> str:
    if not is_text(value):
        raise Refusal("value", "expected a text without lone surrogates, which UTF-8 cannot write")
    return value if type(value) is str else str.__str__(value)


# How an instance of a type, or of a subclass of it, becomes the plain value that equals it.
_PLAIN: dict[Any, Callable[[Any], Any]] = {
    str: _in_unicode,
    int: int.__int__,
    UUID: lambda value: value if type(value) is UUID else UUID(int=value.int),
    datetime: in_utc,
}
# Subclasses that are no such instance: True is not a 1, a status is not a text.
_OTHERS = {int: bool, str: Enum}


def _accept(hint: Any) -> Callable[[Any], Any]:
    """A function that returns the plain value of what it is given, or raises a `Refusal`."""
    base, _, optional = split(hint)
    accept = _accept_tuple(base) if get_origin(base) is tuple else _accept_instance(base)
    if not optional:
        return accept
    return lambda value: None if value is None else accept(value)


def _accept_instance(base: Any) -> Callable[[Any], Any]:
    plain = _PLAIN.get(base, lambda value: value)
    other = _OTHERS.get(base, ())
    message = f"expected {describe(base)}"

    def accept(value: Any) -> Any:
        if not isinstance(value, base) or isinstance(value, other):
            raise Refusal("type", message)
        return plain(value)

    return accept


def _accept_tuple(base: Any) -> Callable[[Any], Any]:
    accept_item = _accept(get_args(base)[0])

    def accept(value: Any) -> Any:
        if not isinstance(value, tuple):
            raise Refusal("type", "expected a tuple")
        items = []
        for index, item in enumerate(value):
            try:
                items.append(accept_item(item))
            except Refusal as refusal:
                raise Refusal(refusal.code, refusal.message, (index, *refusal.path)) from None
        return tuple(items)

    return accept


# --- classes ---------------------------------------------------------------------------------------------------


def checked(cls: C) -> C:
    """Make a class check its fields by their annotations; to stand directly below ``attrs.frozen``.

    A class that has rules of its own about several fields has an ``__attrs_post_init__``; it runs after these checks.
    """
    hints = get_type_hints(cls, include_extras=True)
    for name in cls.__annotations__:
        converter = _converter(hints[name])
        setattr(cls, name, attrs.field(default=cls.__dict__.get(name, attrs.NOTHING), converter=converter))
    own = cls.__dict__.get("__attrs_post_init__")
    check: Any = _check_of({name: hints[name] for name in cls.__annotations__}, own)
    check.is_check = True
    setattr(cls, "__attrs_post_init__", check)  # noqa: B010 - a type checker can't know of it
    return cls


def is_checked(cls: Any) -> bool:
    """Whether the fields of a class are checked by `checked`, however it is constructed."""
    return hasattr(getattr(cls, "__attrs_post_init__", None), "is_check")


def _converter(hint: Any) -> Any:
    accept = _accept(hint)
    base, _, optional = split(hint)
    # What needs no second look: most values, in a call that a constructor makes for every field.
    plain = ({NoneType} if optional else set()) | ({base} - {str, datetime})

    def convert(value: Any, instance: Any, attribute: Any) -> Any:
        if type(value) in plain:
            return value
        try:
            return accept(value)
        except Refusal as refusal:
            raise ContractError(type(instance), [refusal.problem(attribute.name)]) from None

    return attrs.Converter(convert, takes_self=True, takes_field=True)


def _check_of(hints: dict[str, Any], own: Callable[[Any], None] | None) -> Callable[[Any], None]:
    """Compile the rules of all fields into one function, which ends in the class's own rules."""

    def settle(self: Any) -> None:
        _settle(self, hints)
        if own is not None:
            own(self)

    names: dict[str, Any] = {"settle": settle, "own": own, **_VOCABULARY}
    lines = ["def check(self):"]
    for field, hint in hints.items():
        base, rules, optional = split(hint)
        unless_none = "value is not None and " if optional else ""
        if rules:
            lines += [f"    value = self.{field}", f"    if {unless_none}not ({_all_of(rules)}): return settle(self)"]
        if item_rules := _item_rules(base):
            every = f"self.{field} or ()" if optional else f"self.{field}"
            lines += [f"    for value in {every}:", f"        if not ({_all_of(item_rules)}): return settle(self)"]
    lines.append("    own(self)" if own is not None else "    return None")
    exec("\n".join(lines), names)
    return names["check"]  # type: ignore[no-any-return]


def _all_of(rules: tuple[Rule, ...]) -> str:
    return " and ".join(f"({rule.test})" for rule in rules)


def _item_rules(base: Any) -> tuple[Rule, ...]:
    return split(get_args(base)[0])[1] if get_origin(base) is tuple else ()


def _settle(self: Any, hints: dict[str, Any]) -> None:
    """Shift the times of an object to UTC, and refuse it with all its values that break a rule."""
    problems = []
    for field, hint in hints.items():
        value = getattr(self, field)
        base, rules, _ = split(hint)
        if value is None:
            continue
        if base is datetime:
            try:
                object.__setattr__(self, field, in_utc(value))
            except Refusal as refusal:
                problems.append(refusal.problem(field))
            continue
        problems += [refusal.problem(field) for refusal in broken(value, rules)]
        if item_rules := _item_rules(base):
            problems += [each.problem(field, at) for at, item in enumerate(value) for each in broken(item, item_rules)]
    if problems:
        raise ContractError(type(self), problems)


def broken(value: Any, rules: Iterable[Rule]) -> list[Refusal]:
    """The refusals of a value of the right type by rules."""
    return [Refusal("value", f"expected {rule.expected}") for rule in rules if not rule.accepts(value)]
