"""JSON objects as values: immutable, hashable, and with one canonical text (RFC 8785).

A `JsonObject` carries data that has no meaning to this package, above all the parameters of a job's kind. Two objects
are equal exactly if their canonical texts are, and that text is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, Self, TypeVar

from ..errors import ContractError, Problem, json_pointer
from ..fields.leaves import Leaf
from ..fields.types import whole
from .canonical import write
from .normalizing import MAX_INTEGER, canonical_text, encode_usual

__all__ = ["Environment", "JsonObject", "read_json_object"]

J = TypeVar("J", bound="JsonObject")


class JsonObject(Mapping[str, Any]):
    """An immutable, hashable JSON object.

    Objects inside are `JsonObject` too, and lists are tuples. Keys are in the order of RFC 8785. An integral number up
    to 2^53 - 1 either way is an ``int``, every other number is a ``float``: ``1.0`` becomes ``1``, and ``-0.0``
    becomes ``0``.

    Two objects are equal if their canonical texts are equal: ``1.0`` equals ``1``, but ``True`` does not. Any other
    mapping is equal if the object made of it is.

    Args:
        value: The contents: strings, ``int``, ``float``, ``bool``, ``None``, and lists, tuples and mappings of them.
            They are copied.

    Raises:
        ContractError: A key is not a string; a value has no place in JSON, is ``NaN`` or infinite, or is an integer
            past 2^53 - 1 that a double does not hold exactly; a text holds a lone surrogate; or the object nests
            deeper than 32 levels, or its canonical text is longer than 64 KiB. Pointers start at this object.
    """

    # The contents, and the text of an object inside another one, are made on first use.
    __slots__ = ("_contents", "_text")

    __leaf__: ClassVar[Leaf]
    _text: str | None
    _contents: dict[str, Any] | None

    def __init__(self, value: Mapping[str, Any] = {}) -> None:
        if not isinstance(value, Mapping):
            raise ContractError(type(self), [Problem("", "type", "expected an object")])
        self._fill(value, encode_usual)

    def _fill(self, value: Any, encode: Callable[[Any], bytes]) -> None:
        self._text = canonical_text(value, type(self), encode)
        self._contents = None
        if problems := self._problems():
            raise ContractError(type(self), problems)

    def _problems(self) -> list[Problem]:
        """Return the problems of the contents. Derived classes override this method."""
        return []

    @property
    def text(self) -> str:
        """The canonical JSON text of RFC 8785."""
        if self._text is None:
            self._text = write(_thawed(self))
        return self._text

    def to_plain(self) -> dict[str, Any]:
        """Return the contents as new plain JSON data: dicts and lists, and the numbers of this object."""
        return json.loads(self.text, parse_int=_number)  # type: ignore[no-any-return]

    def _frozen(self) -> dict[str, Any]:
        if self._contents is None:
            self._contents = {key: _frozen(value) for key, value in self.to_plain().items()}
        return self._contents

    def __getitem__(self, key: str) -> Any:
        return self._frozen()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._frozen())

    def __len__(self) -> int:
        return len(self._frozen())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, JsonObject):
            return self.text == other.text
        if not isinstance(other, Mapping):
            return NotImplemented
        try:
            return self.text == JsonObject(other).text
        except ContractError:
            return False

    def __hash__(self) -> int:
        # A str caches its hash.
        return hash(self.text)

    def __or__(self, other: Mapping[str, Any]) -> Self:
        """Return this object with the keys of another one, which replace its own."""
        if not isinstance(other, Mapping):
            return NotImplemented
        return type(self)({**self, **other})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_thawed(self)!r})"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: Any) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Self], tuple[dict[str, Any]]]:
        return type(self), (self.to_plain(),)


def _frozen(value: Any) -> Any:
    """Plain data of a canonical text as a part of a `JsonObject`."""
    if type(value) is dict:
        inner = object.__new__(JsonObject)
        inner._text, inner._contents = None, {key: _frozen(each) for key, each in value.items()}
        return inner
    if type(value) is list:
        return tuple(map(_frozen, value))
    return value


def _number(digits: str) -> int | float:
    """Read an integral number. A large one is a float, whose shortest digits may be those of another integer."""
    value = int(digits)
    return value if -MAX_INTEGER <= value <= MAX_INTEGER else float(value)


def _thawed(value: Any) -> Any:
    """Plain data of a part of a `JsonObject`, with its numbers as they are."""
    if isinstance(value, JsonObject):
        return {key: _thawed(each) for key, each in value.items()}
    return list(map(_thawed, value)) if type(value) is tuple else value


def read_json_object(value: Any, cls: type[J], encode: Callable[[Any], bytes] = encode_usual) -> J:
    """Read plain JSON data as a `JsonObject`, or as a class derived from it.

    Args:
        value: The data.
        cls: The class.
        encode: The ``encode`` of `canonical_text`.

    Raises:
        ContractError: The data is refused. Pointers start at it.
    """
    if type(value) is not dict:
        raise ContractError(cls, [Problem("", "type", "expected an object")])
    if not value:
        return _empty(cls)  # type: ignore[no-any-return]  # The cache forgets the type.
    result = object.__new__(cls)
    result._fill(value, encode)
    return result


@cache
def _empty(cls: type[J]) -> J:
    """Return the empty object of a class. Most objects are empty."""
    return cls()


class Environment(JsonObject):
    """Environment variables by name: a `JsonObject` of strings.

    A name is letters, digits and underscores, and does not begin with a digit. A value holds no NUL character.
    Reports and logs show environments, so they are no place for secrets.

    Args:
        value: The variables. They are copied.

    Raises:
        ContractError: A name or a value is refused.
    """

    __slots__ = ()

    def _problems(self) -> list[Problem]:
        problems = []
        for name, value in self.items():
            if _is_variable(name) is None:
                message = "expected a name of ASCII letters, digits and underscores that begins with no digit"
                problems.append(Problem(json_pointer(name), "value", message))
            if type(value) is not str:
                problems.append(Problem(json_pointer(name), "type", "expected a string"))
            elif "\0" in value:
                problems.append(Problem(json_pointer(name), "value", "expected a string without NUL characters"))
        return problems


_VARIABLE = "[A-Za-z_][A-Za-z0-9_]*"
_is_variable = re.compile(_VARIABLE).fullmatch


def _leaf(cls: type[JsonObject], words: str, keywords: Mapping[str, Any]) -> Leaf:
    """Return the leaf of a class."""
    return Leaf(
        type=cls,
        words=words,
        read=read_json_object,
        # As text, a large number has all its digits; as a float, encoders would write it in another way.
        write=lambda value: json.loads(value.text),
        plain=lambda value: value if type(value) is cls else cls(value),
        text=attrgetter("text"),
        keywords={"type": "object", **keywords},
    )


JsonObject.__leaf__ = _leaf(JsonObject, "a JsonObject", {})
Environment.__leaf__ = _leaf(
    Environment,
    "an Environment",
    {
        "propertyNames": whole(_VARIABLE),
        "additionalProperties": {"type": "string", "not": {"pattern": r"\x00"}},
    },
)
