"""JSON that nests deeper than the interpreter can follow, read with a stack of its own.

How deep the decoders of ``json`` and ``msgspec`` can follow depends on the decoder, on the version of Python and on how
deep the caller's own stack is. What they cannot follow is read here, up to one bound that depends on nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from json import JSONDecodeError
from typing import Any, NoReturn

import attrs

from ._rules import Refusal

__all__ = ["MOST_LEVELS", "parse_deep"]

# More than any decoder can follow, or else it would accept what is refused here: 9,998 levels, in CPython 3.13.
MOST_LEVELS = 10_000

_blanks = re.compile(r"[ \t\n\r]*").match
_CLOSERS = {"[": "]", "{": "}"}


def parse_deep(text: str, scan: Callable[[str, int], tuple[Any, int]]) -> Any:
    """Read JSON text, in time that grows with its length alone.

    Args:
        text: The text.
        scan: Reads a string, a number or a constant at a place, as `json.JSONDecoder.scan_once` does.

    Raises:
        JSONDecodeError: It is not JSON.
        Refusal: It nests deeper than `MOST_LEVELS`, or what ``scan`` refuses.
    """
    return _Text(text, scan).read()


@attrs.define
class _Text:
    """A text that is being read.

    Attributes:
        at: How far it has been read.
        open: The arrays and objects that have begun and not ended: what ends each, and its items so far; those of an
            object are keys and values in turn. The first of all is what the whole text is in.
    """

    text: str
    scan: Callable[[str, int], tuple[Any, int]]
    at: int = 0
    open: list[tuple[str, list[Any]]] = attrs.field(factory=lambda: [("", [])])

    def read(self) -> Any:
        self.read_value()
        while len(self.open) > 1:
            closer, items = self.open[-1]
            if self.next() == closer:
                self.at += 1
                self.open.pop()
                self.put(items if closer == "]" else dict(zip(items[::2], items[1::2], strict=True)))
                continue
            if items:
                self.skip(",")
            if closer == "}":
                self.read_key()
            self.read_value()
        if self.next():
            self.fail()
        return self.open[0][1][0]

    def read_value(self) -> None:
        """Read a value, or, of an array or an object, the beginning."""
        opener = self.next()
        if opener not in _CLOSERS:
            self.put(self.read_leaf())
            return
        if len(self.open) > MOST_LEVELS:
            raise Refusal("syntax", f"expected JSON that nests at most {MOST_LEVELS:,} levels deep")
        self.at += 1
        self.open.append((_CLOSERS[opener], []))

    def read_key(self) -> None:
        if self.next() != '"':
            self.fail()
        self.put(self.read_leaf())
        self.skip(":")

    def read_leaf(self) -> Any:
        try:
            value, self.at = self.scan(self.text, self.at)
        except StopIteration:
            self.fail()
        return value

    def put(self, value: Any) -> None:
        self.open[-1][1].append(value)

    def next(self) -> str:
        """The next character that is no blank, or nothing at the end."""
        self.at = _blanks(self.text, self.at).end()  # type: ignore[union-attr]  # it matches anywhere
        return self.text[self.at : self.at + 1]

    def skip(self, expected: str) -> None:
        if self.next() != expected:
            self.fail()
        self.at += 1

    def fail(self) -> NoReturn:
        raise JSONDecodeError("Expecting something else", self.text, self.at) from None
