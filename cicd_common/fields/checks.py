"""`checked`, which makes a class check its fields by their annotations.

``@checked`` below ``@frozen`` turns the annotations of a class into checks of two kinds:

- A value that a caller gives must have the annotated type. A text, a number, a UUID or a time of a subclass is stored
  as the plain value that it equals, and a time in UTC, so that equal objects have equal bytes. An instance of a class
  derived from the annotated attrs class is refused: a reader would make an instance of the annotated class of it.
- Rules beyond the type (`Name`, `Ordinal`, ...) run after construction, where ``msgspec`` runs them too. They hold
  however an object was made. The checks of types run in the constructor only, since decoders check types themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import get_annotations
from types import NoneType
from typing import Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

import attrs

from ..errors import ContractError, Problem
from .codegen import all_of, define, indented
from .hints import broken, describe, split
from .leaves import leaf_of
from .refusal import Refusal

__all__ = ["checked", "is_checked"]

C = TypeVar("C", bound=type)


# --- types -----------------------------------------------------------------------------------------------------


def _accept(hint: Any) -> Callable[[Any], Any]:
    """Return a function that returns the plain value of its argument, or raises a `Refusal`."""
    base, _, optional = split(hint)
    if get_origin(base) is tuple and get_args(base)[-1:] == (...,):
        accept = _accept_tuple(base)
    elif base is Any or get_origin(base) is not None or not isinstance(base, type):
        raise TypeError(f"expected a class or tuple[X, ...] as the type of a checked field, and not {base}")
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
    leaf = leaf_of(base)
    message = f"expected {describe(base)}"

    def accept(value: Any) -> Any:
        if not isinstance(value, base) or (leaf is not None and isinstance(value, leaf.others)):
            raise Refusal("type", message)
        return value if leaf is None else leaf.plain(value)

    return accept


def _accept_tuple(base: Any) -> Callable[[Any], Any]:
    item_hint = get_args(base)[0]
    accept_item, plain = _accept(item_hint), _plain_types(item_hint)

    def accept(value: Any) -> Any:
        if not isinstance(value, tuple):
            raise Refusal("type", "expected a tuple")
        if type(value) is tuple and plain.issuperset(map(type, value)):
            return value
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
    """Make a class check its fields by their annotations. The decorator stands directly below ``attrs.frozen``.

    Rules about several fields go into the ``__attrs_post_init__`` of the class, which runs after these checks. If the
    class is derived from another checked class, the checks of that class run first.

    Args:
        cls: The class. Its fields are classes, ``tuple[X, ...]`` of them, or ``None`` beside one of these; their
            defaults are values or an ``attrs.Factory``.

    Raises:
        TypeError: A field is of another type or is declared by ``attrs.field``, or a base that is an attrs class is
            not checked.
    """
    bases = [base for base in cls.__bases__ if attrs.has(base)]
    for base in bases:
        if not is_checked(base):
            raise TypeError(f"expected the base {base.__name__} of the checked class {cls.__name__} to be checked")
    hints = get_type_hints(cls, include_extras=True)
    shown = get_type_hints(cls)
    names = [name for name in get_annotations(cls) if not _is_class_variable(hints[name])]
    for name in names:
        default = cls.__dict__.get(name, attrs.NOTHING)
        if isinstance(default, _DECLARATION):
            raise TypeError(f"expected a default or a Factory for {cls.__name__}.{name}, and not attrs.field")
        setattr(cls, name, attrs.field(default=default, converter=_converter(hints[name], shown[name])))
    own = cls.__dict__.get("__attrs_post_init__")
    inherited = [vars(base)["__attrs_post_init__"] for base in bases]
    check: Any = _check_of({name: hints[name] for name in names}, inherited, own)
    check.is_check = True
    setattr(cls, "__attrs_post_init__", check)  # noqa: B010 - a type checker can't know of it
    return cls


_DECLARATION: Any = type(attrs.field())


def _is_class_variable(hint: Any) -> bool:
    return hint is ClassVar or get_origin(hint) is ClassVar


def is_checked(cls: Any) -> bool:
    """Tell whether `checked` checks all fields of a class.

    A class that inherits from a checked one is not checked itself: the inherited check does not know its own fields.
    """
    return isinstance(cls, type) and hasattr(vars(cls).get("__attrs_post_init__"), "is_check")


def _converter(hint: Any, shown: Any) -> Any:
    """Make the converter of a field.

    Args:
        hint: The annotation of the field.
        shown: The annotation without rules, for the constructor's signature: attrs takes the types of arguments from
            their converters.
    """
    accept, plain = _accept(hint), _plain_types(hint)

    def convert(value: Any, instance: Any, attribute: Any) -> Any:
        if type(value) in plain:
            return value
        try:
            return accept(value)
        except Refusal as refusal:
            raise ContractError(type(instance), [refusal.problem(attribute.name)]) from None

    convert.__annotations__ = {"value": shown}
    return attrs.Converter(convert, takes_self=True, takes_field=True)


def _plain_types(hint: Any) -> frozenset[Any]:
    """Return the types whose values are plain as they are. Most values have one of them and need no further call."""
    base, _, optional = split(hint)
    leaf = leaf_of(base)
    return frozenset(({NoneType} if optional else set()) | ({base} if leaf is None or leaf.is_plain else set()))


def _check_of(
    hints: dict[str, Any], inherited: list[Callable[[Any], None]], own: Callable[[Any], None] | None
) -> Callable[[Any], None]:
    """Compile the rules of all fields into one function.

    Args:
        hints: The annotations of the fields.
        inherited: The checks of the bases, which are called first.
        own: The class's own ``__attrs_post_init__``, which is called last.
    """

    def settle(self: Any) -> None:
        _settle(self, hints)
        if own is not None:
            own(self)

    names: dict[str, Any] = {"settle": settle, "own": own}
    lines = ["def check(self):"]
    for place, check in enumerate(inherited):
        names[f"inherited_{place}"] = check
        lines.append(f"    inherited_{place}(self)")
    for field, hint in hints.items():
        if demands := _lines_of(hint, names):
            lines += indented([f"value = self.{field}", *demands])
    lines.append("    own(self)" if own is not None else "    return None")
    return define("check", lines, names)


def _lines_of(hint: Any, names: dict[str, Any]) -> list[str]:
    """Return the lines that call ``settle`` if a ``value`` or an item of it breaks a rule; none if there is no rule."""
    base, rules, optional = split(hint)
    lines = [f"if not ({all_of(rules, names)}): return settle(self)"] if rules else []
    if get_origin(base) is tuple and (demands := _lines_of(get_args(base)[0], names)):
        lines += ["for value in value:", *indented(demands)]
    return ["if value is not None:", *indented(lines)] if optional and lines else lines


def _settle(self: Any, hints: dict[str, Any]) -> None:
    """Make the values of an object plain (times in UTC), or refuse it with a problem for each broken rule."""
    if problems := list(_problems_of(self, hints)):
        raise ContractError(type(self), problems)


def _problems_of(self: Any, hints: dict[str, Any]) -> Iterator[Problem]:
    for field, hint in hints.items():
        value = getattr(self, field)
        leaf = leaf_of(split(hint)[0])
        if value is not None and leaf is not None and not leaf.is_plain:
            try:
                value = leaf.plain(value)
            except Refusal as refusal:
                yield refusal.problem(field)
                continue
            object.__setattr__(self, field, value)
        yield from (refusal.problem(field) for refusal in _broken(value, hint))


def _broken(value: Any, hint: Any, *path: int) -> Iterator[Refusal]:
    """Yield a refusal for each rule that a value or an item of it breaks, with the place in the value."""
    base, rules, _ = split(hint)
    if value is None:
        return
    yield from (Refusal(each.code, each.message, path) for each in broken(value, rules))
    if get_origin(base) is tuple:
        for at, item in enumerate(value):
            yield from _broken(item, get_args(base)[0], *path, at)
