"""Functions that take annotations apart and describe in words what they expect."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from .leaves import leaf_of
from .refusal import Refusal
from .types import Rule

__all__ = ["broken", "describe", "split"]


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
    if not rules and (leaf := leaf_of(hint)) is not None:
        rules = leaf.rules
    return hint, rules, optional


def describe(hint: Any) -> str:
    """Say in words what an annotation expects."""
    base, _, optional = split(hint)
    if base is NoneType:
        return "null"
    origin, leaf = get_origin(base) or base, leaf_of(base)
    if leaf is not None:
        word = leaf.words
    elif origin is Union:
        # Sorted, since unions of the same types are equal, and a converter has one hook for both.
        word = " or ".join(sorted(map(describe, get_args(base))))
    elif origin is Literal:
        word = "one of " + ", ".join(sorted(map(_literal_text, get_args(base))))
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        word = "an object"
    elif isinstance(origin, type) and issubclass(origin, Collection):
        word = "a list"
    else:
        word = "JSON data" if base is Any else f"a {getattr(origin, '__name__', str(base))}"
    return f"{word} or null" if optional else word


def _literal_text(value: Any) -> str:
    plain = value.value if isinstance(value, Enum) else value
    return _CONSTANTS.get(plain, str(plain)) if isinstance(plain, (bool, NoneType)) else str(plain)


_CONSTANTS = {None: "null", True: "true", False: "false"}


def broken(value: Any, rules: Iterable[Rule]) -> list[Refusal]:
    """Return a refusal for each rule that a value of the right type breaks."""
    return [Refusal("value", f"expected {rule.expected}") for rule in rules if not rule.accepts(value)]
