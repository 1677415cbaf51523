"""YAML as plain data, with the place of each value. What could do harm, or mean something else, is refused.

Values are those of the core schema of YAML 1.2 (section 10.3.2) and JSON: ``yes`` and ``2026-11-24`` are strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from attrs import define, field, frozen

__all__ = ["MAX_SIZE", "Place", "Placed", "YamlError", "read_yaml"]

MAX_SIZE = 1024 * 1024
"""How many bytes a file may have."""
_MAX_DEPTH = 32

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# The core schema: what a plain scalar stands for, if it is not a string.
_SCALARS: list[tuple[re.Pattern[str], Any]] = [
    (re.compile(r"|~|null|Null|NULL"), lambda _: None),
    (re.compile(r"true|True|TRUE"), lambda _: True),
    (re.compile(r"false|False|FALSE"), lambda _: False),
    (re.compile(r"[-+]?[0-9]{1,18}"), int),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
]


@frozen(order=True)
class Place:
    """A place in a text.

    Attributes:
        line: The line, from 1.
        column: The column, from 1.
    """

    line: int
    column: int


@frozen
class Placed:
    """Plain data, and where it stood.

    Attributes:
        data: Dicts, lists, strings, numbers, booleans and none.
        places: The place of each value by its JSON pointer (RFC 6901). That of a value in a mapping is its key's.
    """

    data: Any
    places: dict[str, Place]


class YamlError(Exception):
    """A text is no YAML of the kind that is read here.

    Attributes:
        message: What was expected.
        place: Where.
    """

    def __init__(self, message: str, place: Place) -> None:
        self.message = message
        self.place = place
        super().__init__(message, place)


def read_yaml(content: bytes) -> Placed:
    """Read one document.

    Args:
        content: The document, in UTF-8.

    Raises:
        YamlError: It cannot be read. It is never any other exception, and takes time and memory in proportion.
    """
    if len(content) > MAX_SIZE:
        raise YamlError(f"expected at most {MAX_SIZE} bytes", Place(1, 1))
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        raise YamlError("expected UTF-8", Place(before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)) from None
    return _Builder().build(_events(text))


def _events(text: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        what = error.problem or "expected YAML"
        raise YamlError(f"expected YAML: {what}", _place(error.problem_mark or error.context_mark)) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position] if isinstance(error.position, int) else ""
        place = Place(before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)
        raise YamlError("expected no control characters", place) from None


def _place(mark: Any) -> Place:
    return Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)


@define
class _Open:
    """A list or a mapping that is not at its end."""

    pointer: str
    data: Any
    key: str | None = None
    keys: dict[str, Place] = field(factory=dict)


class _Builder:
    """Puts data together from events, without recursion, so that no document is too deep to be refused."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._open: list[_Open] = []
        self._roots: list[Any] = []

    def build(self, events: Iterator[Any]) -> Placed:
        for event in events:
            place = _place(event.start_mark)
            if isinstance(event, yaml.DocumentStartEvent) and self._roots:
                raise YamlError("expected one document, this begins a second one", place)
            if isinstance(event, yaml.NodeEvent):
                self._refuse_references(event, place)
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event, place)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._begin([] if isinstance(event, yaml.SequenceStartEvent) else {}, place)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._open.pop()
        return Placed(self._roots[0] if self._roots else None, self._places)

    def _refuse_references(self, event: Any, place: Place) -> None:
        if event.anchor is not None:
            raise YamlError("expected no anchors and aliases", place)
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!":
            raise YamlError("expected no tags", place)

    def _scalar(self, event: Any, place: Place) -> None:
        parent = self._open[-1] if self._open else None
        if parent is not None and isinstance(parent.data, dict) and parent.key is None:
            self._key(parent, event.value, place)
        else:
            self._add(_value(event), place)

    def _key(self, parent: _Open, key: str, place: Place) -> None:
        if key in parent.keys:
            raise YamlError(f"expected each key once; this one is in line {parent.keys[key].line} too", place)
        parent.keys[key] = place
        parent.key = key

    def _begin(self, data: Any, place: Place) -> None:
        if len(self._open) >= _MAX_DEPTH:
            raise YamlError(f"expected a nesting of at most {_MAX_DEPTH} levels", place)
        parent = self._open[-1] if self._open else None
        if parent is not None and isinstance(parent.data, dict) and parent.key is None:
            raise YamlError("expected a string as a key", place)
        self._open.append(_Open(self._add(data, place), data))

    def _add(self, value: Any, place: Place) -> str:
        """Put a value where it belongs, and say where that is."""
        if not self._open:
            self._roots.append(value)
            pointer = ""
        elif isinstance((parent := self._open[-1]).data, list):
            pointer = f"{parent.pointer}/{len(parent.data)}"
            parent.data.append(value)
        else:
            assert parent.key is not None
            place = parent.keys[parent.key]
            pointer = f"{parent.pointer}/{parent.key.replace('~', '~0').replace('/', '~1')}"
            parent.data[parent.key], parent.key = value, None
        self._places[pointer] = place
        return pointer


def _value(event: Any) -> Any:
    if event.implicit[0]:
        for pattern, make in _SCALARS:
            if pattern.fullmatch(event.value):
                return make(event.value)
    return event.value
