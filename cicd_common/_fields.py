"""What the fields of the contract demand of their values, said once, in their annotations.

``@checked`` below ``@frozen`` turns the annotations of a class into checks of two kinds:

- A value that a caller gives must have the annotated type. A text, a number, a UUID or a time of a subclass is stored
  as the plain value that it equals, and a time in UTC, so that equal objects have equal bytes. An instance of a class
  that is derived from an attrs class is refused: it would be read as an instance of that, which does not equal it.
- Rules beyond the type (`Name`, `Ordinal`, ...) hold however an object came to be: they run after construction,
  where ``msgspec`` runs them too. The checks of types do not, since a decoder gets the types right by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs

from ._rules import TIME, VOCABULARY, Refusal, Rule, broken, describe, is_text, split
from .errors import ContractError

__all__ = ["checked", "in_utc", "is_checked"]

C = TypeVar("C", bound=type)


# --- types -----------------------------------------------------------------------------------------------------


def in_utc(value: datetime) -> datetime:
    """The same moment as a plain ``datetime`` in UTC.

    Raises:
        Refusal: It is naive, or not in the years 1 to 9999 in UTC.
    """
    if type(value) is datetime and value.tzinfo is UTC and not value.fold:
        return value
    try:
        moment = value.astimezone(UTC) if value.utcoffset() is not None else None
    except OverflowError:
        moment = None
    if moment is None:
        raise Refusal("value", f"expected {TIME.expected}")
    return datetime.combine(moment.date(), moment.time(), UTC).replace(fold=0)


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
    if get_origin(base) is tuple:
        accept = _accept_tuple(base)
    else:
        accept = _accept_exactly(base) if attrs.has(base) else _accept_instance(base)
    if not optional:
        return accept
    return lambda value: None if value is None else accept(value)


def _accept_exactly(base: Any) -> Callable[[Any], Any]:
    message = f"expected {describe(base)}"

    def accept(value: Any) -> Any:
        if type(value) is base:
            return value
        raise Refusal(
            "type", f"{message} itself, no instance of a derived class" if isinstance(value, base) else message
        )

    return accept


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
    """Whether all fields of a class are checked by `checked`, however it is constructed.

    What a class inherits does not count: the check of its base knows nothing of the fields that it adds.
    """
    return isinstance(cls, type) and hasattr(vars(cls).get("__attrs_post_init__"), "is_check")


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

    names: dict[str, Any] = {"settle": settle, "own": own, **VOCABULARY}
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
