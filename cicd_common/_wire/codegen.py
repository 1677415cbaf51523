"""Readers and writers compiled for one class: how the ``json`` engine handles the contract's own types.

An attrs constructor checks the types of its arguments, and that of a frozen class is slow to fill the slots. A reader
has just made values of the right types, so it fills the slots itself and then runs the rules of the class, as
``msgspec`` does. A writer formats the text directly, without a dict in between. Both take half the time of hooks that
call the constructor and make dicts.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import cache
from types import MemberDescriptorType
from typing import Any, get_args, get_origin, get_type_hints

import attrs
import cattrs

from ..fields.checks import is_checked
from ..fields.codegen import TESTS, define, indented
from ..fields.hints import split
from ..fields.leaves import Leaf, leaf_of

__all__ = ["LazyDict", "compile_copier", "compile_reader", "compile_writer", "is_contract", "leaves_of"]


class LazyDict(dict[Any, Any]):
    """A dict that builds missing values with ``make`` and keeps them. A lookup of a kept value calls no Python code.

    Args:
        make: Builds the value of a key.
    """

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make

    def __missing__(self, key: Any) -> Any:
        return self.setdefault(key, self._make(key))


@cache
def is_contract(hint: Any) -> bool:
    """Tell whether a type consists only of `checked` classes, of leaves that have a text, and of tuples of these.

    The compiled functions write no tuple in a tuple and no ``None`` in one, and msgspec passes no object to a factory.
    """
    base, _, _ = split(hint)
    if get_origin(base) is tuple:
        item, _, optional = split(get_args(base)[0])
        is_plain = get_args(base)[-1:] == (...,) and not optional and get_origin(item) is not tuple
        return is_plain and is_contract(get_args(base)[0])
    if is_checked(base):
        takes_self = any(getattr(field.default, "takes_self", False) for field in attrs.fields(base))
        return not takes_self and all(is_contract(hint) for hint in _hints(base).values())
    leaf = leaf_of(base)
    return leaf is not None and leaf.text is not None


def leaves_of(hint: Any) -> tuple[list[Any], list[Leaf]]:
    """Return the classes and the leaves that a type of the contract is made of."""
    base, _, _ = split(hint)
    if get_origin(base) is tuple:
        return leaves_of(get_args(base)[0])
    if (leaf := leaf_of(base)) is not None:
        return [], [leaf]
    parts = [leaves_of(hint) for hint in _hints(base).values()]
    return [base, *(cls for classes, _ in parts for cls in classes)], [leaf for _, leaves in parts for leaf in leaves]


def compile_reader(cls: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    """Make a function that reads plain data as an instance of a `checked` class.

    Args:
        cls: The class.
        converter: Gives the hooks of the types that are not in `TESTS`.

    Returns:
        The function. At the first problem it raises an exception of any type.
    """
    names: dict[str, Any] = {"new": object.__new__, "cls": cls, "check": cls.__attrs_post_init__}
    lines = ["def read(plain, _):", "    if type(plain) is not dict: raise TypeError", "    self = new(cls)"]
    hints = _hints(cls)
    for field in attrs.fields(cls):
        lines += indented(_field_lines(field, hints[field.name], converter, names))
    lines += ["    check(self)", "    return self"]
    return define("read", lines, names)


def _field_lines(
    field: attrs.Attribute[Any], hint: Any, converter: cattrs.Converter, names: dict[str, Any]
) -> list[str]:
    name = field.name
    base, _, optional = split(hint)
    names[f"set_{name}"] = _setter(names["cls"], name)
    names[f"default_{name}"] = field.default
    lines = _value_lines(name, base, converter, names)
    if optional:
        lines = ["if value is not None:", *indented(lines)]
    lines = [f"value = plain[{name!r}]", *lines]
    if field.default is not attrs.NOTHING:
        default = f"default_{name}"
        if isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]  # a class at run time
            default += f".factory({'self' if field.default.takes_self else ''})"  # type: ignore[union-attr]  # as above
        lines = [f"if {name!r} in plain:", *indented(lines), f"else: value = {default}"]
    return [*lines, f"set_{name}(self, value)"]


def _setter(cls: Any, name: str) -> Callable[[Any, Any], None]:
    """Return the function that fills a field, also of a frozen class: that of its slot, if it has one."""
    slot = getattr(cls, name, None)
    if isinstance(slot, MemberDescriptorType):
        return slot.__set__
    return lambda self, value: object.__setattr__(self, name, value)


def _value_lines(name: str, base: Any, converter: cattrs.Converter, names: dict[str, Any]) -> list[str]:
    """Return the lines that turn the plain ``value`` of a field into the value of the field, or raise."""
    if base in TESTS:
        return [f"if not ({TESTS[base]}): raise TypeError"]
    if _is_closed_enum(base):
        names[f"members_{name}"] = {member.value: member for member in base}
        return ["if type(value) is not str: raise TypeError", f"value = members_{name}[value]"]
    if get_origin(base) is not tuple:
        names[f"read_{name}"], names[f"type_{name}"] = _hook_of(base, converter), base
        return [f"value = read_{name}(value, type_{name})"]
    item = get_args(base)[0]
    lines = ["if type(value) is not list: raise TypeError"]
    if split(item)[0] in TESTS and not split(item)[2]:
        test = TESTS[split(item)[0]]
        return [
            "items = value",
            *lines,
            "for value in items:",
            f"    if not ({test}): raise TypeError",
            "value = tuple(items)",
        ]
    names[f"read_{name}"], names[f"type_{name}"] = _hook_of(item, converter), item
    return [*lines, f"value = tuple([read_{name}(item, type_{name}) for item in value])"]


def _hook_of(hint: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    """Return the hook of a type; for a leaf that has this package's hook, the function that the hook calls."""
    hook, leaf = converter.get_structure_hook(hint), leaf_of(hint)
    return leaf.read if leaf is not None and getattr(hook, "is_of_leaves", False) else hook


def _is_closed_enum(base: Any) -> bool:
    """Tell whether a type is an enum of texts that takes only the values of its members."""
    is_enum = isinstance(base, type) and issubclass(base, str) and issubclass(base, Enum)
    return is_enum and all("_missing_" not in vars(kind) for kind in base.__mro__ if kind is not Enum)


def compile_writer(cls: Any) -> Callable[[Any], str]:
    """Make a function that writes an instance of a type that `is_contract` as JSON text.

    Args:
        cls: The class.
    """
    names: dict[str, Any] = {}
    lines = ["def write(self):"]
    parts = []
    for name, hint in _hints(cls).items():
        base, _, optional = split(hint)
        names[f"write_{name}"] = _writer(base)
        text = f"write_{name}(self.{name})"
        quote = '"' if _is_quoted(base) else ""
        if optional:
            lines += [
                f"    value = self.{name}",
                f"    {name} = 'null' if value is None else f'{quote}{{write_{name}(value)}}{quote}'",
            ]
            text, quote = name, ""
        parts.append(f'"{name}":{quote}{{{text}}}{quote}')
    lines.append(f"    return f'{{{{{','.join(parts)}}}}}'")
    return define("write", lines, names)


def compile_copier(
    cls: Any,
    twin: Callable[[str, list[str]], type],
    copier_of: Callable[[Leaf], Callable[[Any], Any] | None],
    use: Callable[[Any], Any] | None = None,
) -> Callable[[Any], Any]:
    """Make a function that copies an instance of a type that `is_contract` into an instance of another class.

    Args:
        cls: The class.
        twin: Makes the other class from a name and the names of its fields. Its constructor takes them by position.
        copier_of: Gives the function that copies the values of a leaf; None if they stay as they are.
        use: Is called with the copy, and its result is returned; the copy itself is returned by default.
    """
    hints = _hints(cls)
    names: dict[str, Any] = {"use": use, "twin": twin(cls.__name__, list(hints))}
    values = []
    for name, hint in hints.items():
        base, _, optional = split(hint)
        item = split(get_args(base)[0])[0] if get_origin(base) is tuple else base
        value = f"self.{name}"
        leaf = leaf_of(item)
        copy = compile_copier(item, twin, copier_of) if leaf is None else copier_of(leaf)
        if copy is not None:
            names[f"copy_{name}"] = copy
            value = f"copy_{name}({value})" if item is base else f"[*map(copy_{name}, {value})]"
            value = f"None if self.{name} is None else {value}" if optional else value
        values.append(value)
    copied = f"twin({', '.join(values)})"
    return define("copy", ["def copy(self):", f"    return {copied if use is None else f'use({copied})'}"], names)


def _writer(base: Any) -> Callable[[Any], str]:
    if is_checked(base):
        return compile_writer(base)
    if get_origin(base) is tuple:
        item = split(get_args(base)[0])[0]
        write_item = _writer(item)
        if _is_quoted(item):
            return lambda value: '["' + '","'.join(map(write_item, value)) + '"]' if value else "[]"
        return lambda value: "[" + ",".join(map(write_item, value)) + "]"
    return leaf_of(base).text  # type: ignore[union-attr, return-value]  # it is one of the contract


def _is_quoted(base: Any) -> bool:
    leaf = leaf_of(base)
    return leaf is not None and leaf.is_quoted


def _hints(cls: Any) -> dict[str, Any]:
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in attrs.fields(cls)}
