"""JSON Schema of classes, made from their annotations, rules, defaults and docstrings."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from enum import Enum
from functools import cache
from itertools import chain, count
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import attrs
from cattrs.errors import StructureHandlerNotFoundError

from .. import dto, model
from .._wire.classes import fields_of
from .._wire.containers import key_text
from .._wire.kinds import (
    ITEMS,
    MAPPINGS,
    finite_values,
    in_full,
    is_class,
    is_fixed_tuple,
    is_items,
    is_mapping,
    is_union,
    kinds_of,
    plain_of,
)
from ..api import request, response
from ..converter import make_converter
from ..fields import LEAVES, is_checked, leaf_of, split
from ..fields.types import whole
from .docs import description_of, descriptions_of_fields
from .exceptions import comment

__all__ = ["DIALECT", "Definitions", "contract_types", "schema"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def schema(type: Any = None) -> Schema:
    """Make the JSON Schema (draft 2020-12) of a type, or of the contract.

    A document is valid exactly if `cicd_common.loads` accepts it with ``strict=True``, except for the differences that
    `NOT_IN_SCHEMA` lists. An enum that is open to unknown values accepts any text, and its known values are listed.

    Args:
        type: A type of the contract, any other attrs class or dataclass, or another annotation that the converter
            reads, such as ``tuple[Job, ...]``. By default all types of the contract, under ``$defs``.

    Returns:
        A new schema as plain JSON data. It refers to classes and enums under its ``$defs``.

    Raises:
        TypeError: The converter does not read the type, or a type inside it, without a registered hook.
    """
    definitions = Definitions("#/$defs/")
    if type is None:
        for cls in contract_types():
            definitions.of(cls)
    root = {"title": "The contract of cicd_common"} if type is None else definitions.of(type)
    return {"$schema": DIALECT, **deepcopy(root), "$comment": comment(), "$defs": definitions.all()}


@cache
def contract_types() -> tuple[type, ...]:
    """Return every type of the contract: the messages, the records and the models."""
    modules = (request, response, dto, model)
    exported = [getattr(module, name) for module in modules for name in module.__all__]
    return tuple(each for each in exported if is_checked(each))


class Definitions:
    """The schemas of classes and enums, to which other schemas refer.

    Args:
        prefix: The prefix of a class's name in a reference.
        others: The schemas of other definitions than classes, by their names.
    """

    def __init__(self, prefix: str, others: Mapping[str, Schema] = {}) -> None:
        self._prefix = prefix
        self._names: dict[Any, str] = {}
        self._schemas = dict(others)
        self._converter = make_converter("json")

    def all(self) -> dict[str, Schema]:
        """Return a copy of the schemas by their names, in the order of the names."""
        return deepcopy(dict(sorted(self._schemas.items())))

    def of(self, hint: Any) -> Schema:
        """Return the schema of an annotation. Classes and enums become definitions.

        Args:
            hint: The annotation.

        Raises:
            TypeError: The annotation has no schema.
        """
        base, rules, optional = split(hint)
        made = _merged([self._of_base(base), *(dict(rule.keywords) for rule in rules)])
        try:
            self._converter.get_structure_hook(hint)
        except StructureHandlerNotFoundError as error:
            raise TypeError(str(error)) from None
        if not optional or base is Any:
            return made
        return {"anyOf": [*(made["anyOf"] if list(made) == ["anyOf"] else [made]), {"type": "null"}]}

    def _of_base(self, base: Any) -> Schema:
        for applies, make in _MAKERS:
            if applies(base):
                return make(self, base)
        raise TypeError(f"expected a type that is read without hooks of others, and not {base}")

    # --- classes and enums -----------------------------------------------------------------------------------------

    def _refer(self, cls: Any, make: Callable[[Any], Schema]) -> Schema:
        if cls not in self._names:
            # The name is taken before the schema is made, since a class may contain instances of itself.
            name = self._names[cls] = self._new_name(cls)
            self._schemas[name] = {}
            self._schemas[name] = make(cls)
        return {"$ref": self._prefix + self._names[cls]}

    def _new_name(self, cls: Any) -> str:
        # Of a generic class, a short name with its arguments: Box_int.
        short = "_".join(getattr(each, "__name__", str(each)) for each in (cls, *get_args(cls)))
        long = f"{cls.__module__}.{cls.__qualname__}"
        names = chain((short, long), (f"{long}_{number}" for number in count(2)))
        # Only characters that OpenAPI allows in a name.
        allowed = (re.sub(r"[^A-Za-z0-9._-]+", "_", name) for name in names)
        return next(name for name in allowed if name not in self._schemas)

    def _class(self, cls: Any) -> Schema:
        return self._refer(cls, self._of_class)

    def _of_class(self, cls: Any) -> Schema:
        base = get_origin(cls) or cls
        fields, defaults = fields_of(cls), _constant_defaults(base)
        descriptions = descriptions_of_fields(base, fields)
        properties: dict[str, Schema] = {}
        for name, field in fields.items():
            try:
                made = self.of(field.hint)
            except TypeError as error:
                raise TypeError(f"{base.__name__}.{name}: {error}") from None
            described = {"description": descriptions[name]} if name in descriptions else {}
            default = self._default(defaults[name], field.hint) if name in defaults else {}
            properties[name] = {**made, **described, **default}
        required = [name for name, field in fields.items() if field.is_required]
        return {
            "type": "object",
            **_described(base),
            "properties": properties,
            **({"required": required} if required else {}),
            "additionalProperties": False,
        }

    def _default(self, value: Any, hint: Any) -> Schema:
        try:
            return {"default": self._converter.unstructure(value, hint)}
        except (ValueError, TypeError):
            # The default is not of the field's type, such as None for an int.
            return {}

    def _enum(self, cls: Any) -> Schema:
        if not {type(member.value) for member in cls} <= _SCALARS:
            raise TypeError(f"expected an enum of texts, numbers or booleans, and not {cls}")
        return self._leaf(cls)

    def _leaf(self, cls: Any) -> Schema:
        leaf: Any = leaf_of(cls)
        if cls in LEAVES:
            return dict(leaf.keywords)
        return self._refer(cls, lambda cls: {**_described(cls), **leaf.keywords})

    # --- annotations with arguments --------------------------------------------------------------------------------

    def _union(self, hint: Any) -> Schema:
        return {"anyOf": [self.of(member) for member in get_args(hint)]}

    def _items(self, hint: Any) -> Schema:
        return {"type": "array", "items": self.of(get_args(in_full(hint))[0])}

    def _fixed_tuple(self, hint: Any) -> Schema:
        members = [self.of(member) for member in get_args(hint) if member != ()]
        some = {"prefixItems": members} if members else {}
        return {"type": "array", **some, "minItems": len(members), "maxItems": len(members)}

    def _mapping(self, hint: Any) -> Schema:
        key, value = (*get_args(in_full(hint)), int)[:2]
        return {"type": "object", "propertyNames": self._key(key), "additionalProperties": self.of(value)}

    def _key(self, hint: Any) -> Schema:
        values, kinds = finite_values(hint), kinds_of(hint) or set()
        if values is not None:
            return {"enum": [key_text(value) for value in values]}
        if kinds and kinds <= _KEYS.keys():
            # Keys of numbers and booleans are their JSON text.
            return whole("|".join(sorted(_KEYS[kind] for kind in kinds)))
        return self.of(hint)


_SCALARS = {str, int, float, bool, NoneType}
_INTEGER = "-?(?:0|[1-9][0-9]*)"
_KEYS = {int: _INTEGER, float: rf"{_INTEGER}(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", bool: "true|false"}


def _base_leaf(hint: Any) -> Any:
    """Return the first base of a class that is a leaf type, if there is one."""
    return next((base for base in getattr(hint, "__mro__", ()) if base in LEAVES), None)


# The first function whose condition applies makes the schema.
_MAKERS: list[tuple[Callable[[Any], Any], Callable[[Definitions, Any], Schema]]] = [
    (lambda hint: hint is Any, lambda _, __: {}),
    (lambda hint: hint is None or hint is NoneType, lambda _, __: {"type": "null"}),
    (is_union, Definitions._union),
    (
        lambda hint: get_origin(hint) is Literal,
        lambda _, hint: {"enum": [plain_of(value) for value in get_args(hint)]},
    ),
    (is_items, Definitions._items),
    (is_fixed_tuple, Definitions._fixed_tuple),
    (is_mapping, Definitions._mapping),
    (is_class, Definitions._class),
    (lambda hint: isinstance(hint, type) and issubclass(hint, Enum), Definitions._enum),
    (lambda hint: leaf_of(hint) is not None, Definitions._leaf),
    (_base_leaf, lambda made, hint: made.of(_base_leaf(hint))),
    (lambda hint: hasattr(hint, "__supertype__"), lambda made, hint: made.of(hint.__supertype__)),
]


def _merged(parts: Iterable[Schema]) -> Schema:
    """Merge keywords so that a document must satisfy all of them."""
    made: Schema = {}
    for part in parts:
        made = {**made, "allOf": [*made.get("allOf", []), part]} if made.keys() & part.keys() else {**made, **part}
    return made


def _described(cls: type) -> Schema:
    text = description_of(cls)
    return {"description": text} if text else {}


def _constant_defaults(cls: type) -> dict[str, Any]:
    """Return the defaults of fields by their names, without those that a factory makes anew each time."""
    fields: Any = attrs.fields(cls) if attrs.has(cls) else dataclasses.fields(cls)
    defaults: dict[str, Any] = {}
    for field in fields:
        default = field.default
        factory: Any = default.factory if isinstance(default, _FACTORY) else getattr(field, "default_factory", None)
        if factory in _EMPTY:
            defaults[field.name] = factory()
        elif not isinstance(default, (*_FACTORY, *_NONE)):
            defaults[field.name] = default
    return defaults


_FACTORY: Any = (type(attrs.Factory(list)),)
_NONE: Any = (type(attrs.NOTHING), type(dataclasses.MISSING))
_EMPTY = {*ITEMS.values(), *MAPPINGS.values()}
