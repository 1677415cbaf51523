"""YAML as plain data, with the place of each value. What could do harm, or mean something else, is refused.

Values are those of the core schema of YAML 1.2 (section 10.3.2) and JSON: ``yes`` and ``2026-11-24`` are strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml
from attrs import frozen

__all__ = ["MAX_SIZE", "Document", "FileProblem", "Place", "read_yaml"]

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
class FileProblem:
    """Something that is wrong with a file.

    Attributes:
        place: Where.
        message: What was expected, after the JSON pointer of the value if it is about one.
    """

    place: Place
    message: str


@frozen
class Document:
    """Plain data, and where it stands.

    Attributes:
        data: Dicts, lists, strings, numbers, booleans and none; none as well where the text could not be read.
        problems: What is wrong with the text, in the order of the text.
        is_read: Whether the text could be read; there may be problems all the same.
    """

    data: Any
    problems: tuple[FileProblem, ...]
    is_read: bool
    _root: Any
    _end: Place

    def at(self, pointer: str) -> Place:
        """The place of a value, or of its key; where there is none, of what it would be in.

        Args:
            pointer: A JSON pointer (RFC 6901).
        """
        node = self._root
        place = Place(1, 1) if node is None else _place(node, self._end)
        for step in pointer.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = [(key, value) for key, value in _parts(node) if key == name or getattr(key, "value", None) == name]
            if not found:
                break
            key, node = found[-1]
            place = _place(node if key == name else key, self._end)
        return place


def _parts(node: Any) -> Iterable[tuple[Any, Any]]:
    """What is in a node, behind the nodes of keys or the numbers of places."""
    if isinstance(node, yaml.SequenceNode):
        return ((str(number), each) for number, each in enumerate(node.value))
    return node.value if isinstance(node, yaml.MappingNode) else ()


class _UnreadableError(Exception):
    """From here on the text cannot be read."""

    def __init__(self, message: str, place: Place) -> None:
        self.problem = FileProblem(place, message)
        super().__init__(message, place)


def read_yaml(content: bytes) -> Document:
    """Read one document. Nothing is ever raised, whatever it holds, and it takes time in proportion to its size.

    Args:
        content: The document, in UTF-8.
    """
    problems: list[FileProblem] = []
    try:
        text = _text(content)
        end = _end_of(text)
        problems += _refused(text, end)
        if not problems:  # Now it is known not to be deep, and to have no reference to itself.
            root = yaml.compose(text, Loader=_Loader)
            data = None if root is None else _plain(root, problems, end)
            return Document(data, tuple(problems), True, root, end)
    except _UnreadableError as error:
        problems.append(error.problem)
    return Document(None, tuple(problems), False, None, Place(1, 1))


def _refused(text: str, end: Place) -> Iterator[FileProblem]:
    """What is YAML and refused all the same."""
    depth = documents = 0
    for event in _events(text, end):
        place = _place(event, end)
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            raise _UnreadableError("expected one document, this begins a second one", place)
        if depth > _MAX_DEPTH:
            raise _UnreadableError(_TOO_DEEP, place)
        if getattr(event, "anchor", None) is not None:
            yield FileProblem(place, "expected no anchors and aliases")
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) not in (None, "!"):
            yield FileProblem(place, "expected no tags")
        if "\0" in (getattr(event, "value", None) or ""):
            yield FileProblem(place, "expected no NUL character")


def _plain(node: Any, problems: list[FileProblem], end: Place) -> Any:
    """A node as plain data. What is wrong is added to the problems."""
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.style else _scalar(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(each, problems, end) for each in node.value]
    data: dict[str, Any] = {}
    places: dict[str, Place] = {}
    for key, value in node.value:
        place = _place(key, end)
        if not isinstance(key, yaml.ScalarNode):
            raise _UnreadableError("expected a string as a key", place)
        if (other := places.get(key.value)) is not None:
            message = f"expected each key once, this one is at {other.line}:{other.column} too"
            problems.append(FileProblem(place, message))
        places[key.value] = place
        data[key.value] = _plain(value, problems, end)
    return data


def _scalar(text: str) -> Any:
    return next((make(text) for pattern, make in _SCALARS if pattern.fullmatch(text)), text)


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


def _events(text: str, end: Place) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _UnreadableError(_said(error), Place(1, 1) if mark is None else _place_of(mark, end)) from None
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


def _place(part: Any, end: Place) -> Place:
    """Where an event or a node begins."""
    return _place_of(part.start_mark, end)


def _place_of(mark: Any, end: Place) -> Place:
    return min(
        Place(mark.line + 1, mark.column + 1), end
    )  # What stands for nothing may be said to stand behind the end.
