"""Read a YAML file as plain data with the place of each value. What could do harm or mislead is refused.

Values are those of the core schema of YAML 1.2 (section 10.3.2) and JSON: ``yes`` and ``2026-11-24`` are strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from attrs import define, evolve, frozen

__all__ = ["MAX_SIZE", "FileError", "FileProblem", "Node", "read_yaml"]

MAX_SIZE = 1024 * 1024
"""How many bytes a file may have."""
_MAX_DEPTH = 32
_MAX_SHOWN = 100  # Problems; the contract reports no more at a time, either.

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# The core schema: what a plain scalar stands for, if it is not a string.
_SCALARS: list[tuple[re.Pattern[str], Any]] = [
    (re.compile(r"|~|null|Null|NULL"), lambda _: None),
    (re.compile(r"true|True|TRUE"), lambda _: True),
    (re.compile(r"false|False|FALSE"), lambda _: False),
    (re.compile(r"[-+]?[0-9]{1,4000}"), int),  # More digits are no number for a contract, and none for Python.
    (re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+"), lambda text: int(text, 0)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), lambda text: float(text.replace(".", ""))),
]
# Control characters, and what stands for bytes that are no UTF-8.
_UNPRINTABLE = re.compile(r"[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffc\U00010000-\U0010ffff]")


@define
class FileProblem(Exception):
    """Something that is wrong with a file, at a line and a column, both from 1."""

    line: int
    column: int
    message: str

    @classmethod
    def at(cls, mark: Any, message: str) -> FileProblem:
        """A problem at a mark of the parser."""
        return cls(mark.line + 1, mark.column + 1, message) if mark else cls(1, 1, message)


class FileError(Exception):
    """A file is not a valid definition. The text has a line for each problem, like those of compilers.

    Attributes:
        problems: The problems, in the order of the file.
    """

    def __init__(self, path: Path, problems: Iterable[FileProblem]) -> None:
        self.problems = sorted(problems, key=lambda each: (each.line, each.column, each.message))
        lines = [f"{path}:{each.line}:{each.column}: {each.message}" for each in self.problems[:_MAX_SHOWN]]
        if len(self.problems) >= _MAX_SHOWN:
            lines.append(f"{path}: there may be more problems")
        # The name of the file or a key may contain a line break.
        super().__init__("\n".join(line.replace("\n", "\\n") for line in lines))


@frozen
class Node:
    """A value in a file.

    Attributes:
        line: The line of its key, or else of the value itself, from 1.
        column: The column there, from 1.
        data: A dict, list, string, number, boolean or None.
        parts: The values in a mapping by their keys, and those in a list by their numbers.
    """

    line: int
    column: int
    data: Any
    parts: dict[str, Node]

    def at(self, pointer: str) -> Node:
        """The value at a JSON pointer (RFC 6901); if there is none, the value that it would be in."""
        node = self
        for step in pointer.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if name not in node.parts:
                break
            node = node.parts[name]
        return node


def read_yaml(path: Path) -> Node:
    """Read a YAML file of one document.

    Raises:
        FileError: It is not YAML, or it contains something that is refused.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(MAX_SIZE + 1)
    problems: list[FileProblem] = []
    try:
        node = _Reader(_decoded(content), problems).document()
    except FileProblem as problem:
        problems.append(problem)
    except yaml.MarkedYAMLError as error:
        needs_quotes = "scanning an a" in str(error.context) or "cannot start any token" in str(error.problem)
        hint = "; what begins with this character needs quotes" if needs_quotes else ""
        problems.append(FileProblem.at(error.problem_mark, f"expected YAML: {error.problem}{hint}"))
    except (yaml.YAMLError, ValueError, OverflowError):
        # The parser that is written in Python raises these for an escaped character that does not exist.
        problems.append(FileProblem(1, 1, "expected YAML"))
    if problems:
        raise FileError(path, problems)
    return node


def _decoded(content: bytes) -> str:
    if len(content) > MAX_SIZE:
        raise FileProblem(1, 1, f"expected at most {MAX_SIZE} bytes")
    text = content.decode(errors="replace")
    # The parsers would give its place in other units than lines and columns.
    if found := _UNPRINTABLE.search(text):
        before = text[: found.start()]
        place = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise FileProblem(*place, "expected UTF-8 without control characters")
    return text


class _Reader:
    """Makes nodes of the events of a parser. The depth is checked on the way, so that no recursion is too deep."""

    def __init__(self, text: str, problems: list[FileProblem]) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=_Loader)
        self._problems = problems

    def document(self) -> Node:
        node = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if node is not None:
                    raise FileProblem.at(event.start_mark, "expected one document, this begins a second one")
                node = self._node(next(self._events), 0)
        return node or Node(1, 1, None, {})

    def _node(self, event: Any, depth: int) -> Node:
        place = event.start_mark.line + 1, event.start_mark.column + 1
        if event.anchor is not None:
            self._refuse(event, "expected no anchors and aliases")
        if getattr(event, "tag", None) is not None:
            self._refuse(event, "expected no tags")
        if isinstance(event, yaml.CollectionStartEvent) and depth == _MAX_DEPTH:
            raise FileProblem.at(event.start_mark, f"expected a nesting of at most {_MAX_DEPTH} levels")
        if isinstance(event, yaml.SequenceStartEvent):
            parts = {str(number): self._node(each, depth + 1) for number, each in enumerate(self._up_to_end())}
            return Node(*place, [part.data for part in parts.values()], parts)
        if isinstance(event, yaml.MappingStartEvent):
            parts = self._mapping(depth + 1)
            return Node(*place, {key: part.data for key, part in parts.items()}, parts)
        return Node(*place, self._scalar(event), {})

    def _mapping(self, depth: int) -> dict[str, Node]:
        parts: dict[str, Node] = {}
        for key in self._up_to_end():
            if not isinstance(key, yaml.ScalarEvent):
                raise FileProblem.at(key.start_mark, "expected a string as a key")
            place = self._node(key, depth)
            if (other := parts.get(key.value)) is not None:
                self._refuse(key, f"expected each key once, this one is at {other.line}:{other.column} too")
            value = self._node(next(self._events), depth)
            parts[key.value] = evolve(value, line=place.line, column=place.column)
        return parts

    def _up_to_end(self) -> Iterator[Any]:
        """The events up to the end of the list or mapping. The caller takes those within each element."""
        while not isinstance(event := next(self._events), yaml.CollectionEndEvent):
            yield event

    def _scalar(self, event: Any) -> Any:
        if not isinstance(event, yaml.ScalarEvent):  # An alias, which is refused.
            return None
        if "\0" in event.value:
            self._refuse(event, "expected no NUL character")
        if event.style not in (None, ""):  # It has quotes, or is a block.
            return event.value
        return next((make(event.value) for pattern, make in _SCALARS if pattern.fullmatch(event.value)), event.value)

    def _refuse(self, event: Any, message: str) -> None:
        self._problems.append(FileProblem.at(event.start_mark, message))
