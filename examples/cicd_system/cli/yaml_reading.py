"""YAML as plain data, with the place of each value. What could do harm, or mean something else, is refused.

Values are those of the core schema of YAML 1.2 (section 10.3.2) and JSON: ``yes`` and ``2026-11-24`` are strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from attrs import define, field, frozen

__all__ = ["MAX_SIZE", "Place", "Placed", "Spot", "YamlProblem", "read_yaml"]

MAX_SIZE = 1024 * 1024
"""How many bytes a file may have."""
_MAX_DEPTH = 32
_TOO_DEEP = f"expected a nesting of at most {_MAX_DEPTH} levels"

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# The core schema: what a plain scalar stands for, if it is not a string.
_SCALARS: list[tuple[re.Pattern[str], Any]] = [
    (re.compile(r"|~|null|Null|NULL"), lambda _: None),
    (re.compile(r"true|True|TRUE"), lambda _: True),
    (re.compile(r"false|False|FALSE"), lambda _: False),
    (re.compile(r"[-+]?[0-9]{1,18}"), int),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    # Numbers, too; which ones is all the same, since nothing that is read here is a number.
    (re.compile(r"0[ox][0-9a-fA-F]+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), lambda _: 0.0),
]
_LINE_END = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")


@frozen(order=True)
class Place:
    """A place in a text.

    Attributes:
        line: The line, from 1.
        column: The column, from 1.
    """

    line: int
    column: int


@frozen(order=True)
class YamlProblem:
    """Something that is wrong with a text as YAML.

    Attributes:
        place: Where.
        message: What was expected.
    """

    place: Place
    message: str


@define
class Spot:
    """Where a value stood, and where its parts did.

    Attributes:
        place: The place of the value; if it is in a mapping, that of its key.
        parts: The spots of its elements and values, by their index or key.
    """

    place: Place
    parts: dict[str, Spot] | None = None

    def at(self, pointer: str) -> Place:
        """The place of a value; where there is none, of what it would be in.

        Args:
            pointer: A JSON pointer (RFC 6901) from here.
        """
        spot = self
        for step in pointer.split("/")[1:]:
            below = (spot.parts or {}).get(step.replace("~1", "/").replace("~0", "~"))
            if below is None:
                break
            spot = below
        return spot.place


@frozen
class Placed:
    """Plain data, and where it stood.

    Attributes:
        data: Dicts, lists, strings, numbers, booleans and none. What is wrong in it is there as well as it can be.
        spot: Where it stood. As a tree, it takes space in proportion, whatever the keys are.
        problems: What is wrong with the text, in the order of the text.
        spoiled: Places, as in the spots, of values that a problem already tells of.
        is_whole: Whether the text was read to its end.
    """

    data: Any
    spot: Spot
    problems: tuple[YamlProblem, ...]
    spoiled: frozenset[Place]
    is_whole: bool


class _UnreadableError(Exception):
    """From here on the text cannot be read."""

    def __init__(self, message: str, place: Place) -> None:
        self.problem = YamlProblem(place, message)
        super().__init__(message, place)


def read_yaml(content: bytes) -> Placed:
    """Read one document. Nothing is ever raised, whatever it holds, and it takes time in proportion to its size.

    Args:
        content: The document, in UTF-8.
    """
    builder = _Builder()
    try:
        builder.build(_text(content))
    except _UnreadableError as error:
        return builder.placed(error.problem)
    return builder.placed()


def _text(content: bytes) -> str:
    if len(content) > MAX_SIZE:
        raise _UnreadableError(f"expected at most {MAX_SIZE} bytes", Place(1, 1))
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise _UnreadableError("expected UTF-8", _end_of(content[: error.start].decode())) from None
    # The two parsers of the library would say it in units of their own.
    if found := yaml.reader.Reader.NON_PRINTABLE.search(text):
        raise _UnreadableError("expected no control characters", _end_of(text[: found.start()]))
    return text


def _end_of(text: str) -> Place:
    lines = _LINE_END.split(text)
    return Place(len(lines), len(lines[-1]) + 1)


def _events(text: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        place = _place(error.problem_mark or error.context_mark)
        raise _UnreadableError(_said(error), min(place, _end_of(text))) from None
    except (yaml.YAMLError, ValueError, OverflowError):
        # What the parser written in Python raises for an escape past the last character; it does not say where.
        raise _UnreadableError("expected YAML", Place(1, 1)) from None


def _said(error: yaml.MarkedYAMLError) -> str:
    # libyaml 0.2.6 has a bound of its own; reading ahead, it may come to it before its first event.
    if "nesting depth" in str(error.problem):
        return _TOO_DEEP
    needs_quotes = "scanning an a" in str(error.context) or "cannot start any token" in str(error.problem)
    hint = "; what begins with this character needs quotes" if needs_quotes else ""
    return f"expected YAML: {error.problem or 'something else'}{hint}"


def _place(mark: Any) -> Place:
    return Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)


@define
class _Open:
    """A list or a mapping that is not at its end."""

    spot: Spot
    data: Any
    key: str | None = None
    keys: dict[str, Place] = field(factory=dict)


class _Builder:
    """Puts data together from events, without recursion, so that no document is too deep to be refused."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._roots: list[tuple[Any, Spot]] = []
        self._spoiled: set[Place] = set()
        self._problems: list[YamlProblem] = []

    def placed(self, last: YamlProblem | None = None) -> Placed:
        problems = self._problems if last is None else [*self._problems, last]
        data, spot = self._roots[0] if self._roots else (None, Spot(Place(1, 1)))
        return Placed(data, spot, tuple(problems), frozenset(self._spoiled), is_whole=last is None)

    def build(self, text: str) -> None:
        end = _end_of(text)
        for event in _events(text):
            place = min(_place(event.start_mark), end)  # What stands for nothing may be said to stand behind the end.
            if isinstance(event, yaml.DocumentStartEvent) and self._roots:
                raise _UnreadableError("expected one document, this begins a second one", place)
            if isinstance(event, yaml.NodeEvent):
                self._node(event, place)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._open.pop()

    def _node(self, event: Any, place: Place) -> None:
        parent = self._open[-1] if self._open else None
        if parent is not None and isinstance(parent.data, dict) and parent.key is None:
            self._key(parent, event, place)
            return
        value: Any = None
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, place)
        elif isinstance(event, yaml.CollectionStartEvent):
            value = [] if isinstance(event, yaml.SequenceStartEvent) else {}
        spot = self._add(value, place)
        if self._refuses_references(event, place):
            self._spoiled.add(spot.place)
        if isinstance(event, yaml.CollectionStartEvent):
            if len(self._open) >= _MAX_DEPTH:
                raise _UnreadableError(_TOO_DEEP, place)
            self._open.append(_Open(spot, value))

    def _key(self, parent: _Open, event: Any, place: Place) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            raise _UnreadableError("expected a string as a key", place)
        self._refuses_references(event, place)
        if (other := parent.keys.get(event.value)) is not None:
            self._refuse(f"expected each key once, this one is at {other.line}:{other.column} too", place)
        parent.keys[event.value] = place
        parent.key = event.value

    def _scalar(self, event: Any, place: Place) -> Any:
        if "\0" in event.value:
            self._refuse("expected no NUL character", place)
        if event.implicit[0]:
            for pattern, make in _SCALARS:
                if pattern.fullmatch(event.value):
                    return make(event.value)
        return event.value

    def _refuses_references(self, event: Any, place: Place) -> bool:
        tag = getattr(event, "tag", None)
        refused = [
            message
            for message, there in (
                ("expected no anchors and aliases", event.anchor is not None),
                ("expected no tags", tag is not None and tag != "!"),
            )
            if there
        ]
        for message in refused:
            self._refuse(message, place)
        return bool(refused)

    def _refuse(self, message: str, place: Place) -> None:
        self._problems.append(YamlProblem(place, message))

    def _add(self, value: Any, place: Place) -> Spot:
        """Put a value where it belongs, and say where that is."""
        if not self._open:
            self._roots.append((value, spot := Spot(place)))
            return spot
        parent = self._open[-1]
        parts = parent.spot.parts = {} if parent.spot.parts is None else parent.spot.parts
        if isinstance(parent.data, list):
            step, spot = str(len(parent.data)), Spot(place)
            parent.data.append(value)
        else:
            assert parent.key is not None
            step, spot = parent.key, Spot(parent.keys[parent.key])
            parent.data[step], parent.key = value, None
        parts[step] = spot
        return spot
