"""Render the output of a job as HTML: colours become classes, and everything else is text.

Output arrives in pieces that may end within a line or within an escape sequence. So rendering continues from a
`Position`, which is short enough to be the id of an event.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from attrs import evolve, frozen
from markupsafe import escape
from rich.ansi import AnsiDecoder
from rich.color import ColorSystem

__all__ = ["START", "Chunks", "Piece", "Position", "render", "skip"]

MOST_LINES = 5_000
"""The most lines of a piece; earlier lines are only counted."""

_MOST_COLUMNS = 10_000  # Characters of a line that are shown.
_HELD_BACK = 256  # Characters that are held back for the end of an escape sequence.

_ESCAPE = re.compile(
    r"\x1b\[(?P<codes>[0-9;:]{0,64})m"  # colours
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # other control sequences, such as those that move the cursor
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # strings, such as the titles of windows
    r"|\x1b[ -/]*[0-~]"
)
# An unfinished end that the next piece may complete. A carriage return may be half of a line end.
_UNFINISHED = re.compile(r"\r*(?:\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\n]*\x1b?|[ -/]*)?)?\Z")
_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) != "\t"} | {127: 0x2421}
_CONTROLS |= dict.fromkeys(range(128, 160), 0xFFFD)
_RESETS = ("\x1b[0m", "\x1b[m")

# The classes of the codes that `_style_after` returns.
_CLASSES = {"1": "bold", "2": "dim", "3": "italic", "4": "underline", "7": "inverse", "9": "struck"}
_CLASSES |= {
    str(base + number): f"{ground}{first + number}"
    for ground, first, base in (("fg", 0, 30), ("fg", 8, 90), ("bg", 0, 40), ("bg", 8, 100))
    for number in range(8)
}
_POSITION = re.compile(r"(\d{1,18})\.(\d{1,9})\.([1-9]\d{0,17})\.(\d{1,9})\.([0-9;]{0,64})", re.ASCII)

Chunks = Sequence[tuple[int, str]]
"""Consecutive chunks of the output, with their sequences."""


@frozen
class Position:
    """The place in the output where rendering continues.

    Attributes:
        sequence: The last chunk of the output that was rendered completely.
        offset: The number of characters after this chunk that were rendered.
        line: The number of the current line, from 1.
        column: The number of characters of this line that were rendered.
        style: The codes of the current colours, such as ``1;31``.
    """

    sequence: int = 0
    offset: int = 0
    line: int = 1
    column: int = 0
    style: str = ""

    def __str__(self) -> str:
        return f"{self.sequence}.{self.offset}.{self.line}.{self.column}.{self.style}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """Read a position that a browser has sent; None if it is not a position."""
        match = _POSITION.fullmatch(text)
        return None if match is None else cls(int(match[1]), int(match[2]), int(match[3]), int(match[4]), match[5])


START = Position()
"""The beginning of all output."""


@frozen
class Piece:
    """Lines of output.

    Attributes:
        line: The number of the first line.
        is_anew: Whether the first line replaces what the page shows of it; otherwise it is appended.
        lines: The lines as HTML. The last one may be incomplete, or empty after a line end.
        end: Where the next piece begins.
    """

    line: int
    is_anew: bool
    lines: Sequence[str]
    end: Position


def render(chunks: Chunks, begin: Position) -> Piece:
    """Render the output that follows a position, without an unfinished escape sequence or line end at its end."""
    text = "".join(text for _, text in chunks)[begin.offset :]
    unfinished = _UNFINISHED.search(text, max(len(text) - _HELD_BACK, 0))
    lines = text[: unfinished and unfinished.start()].split("\n")
    length = sum(map(len, lines)) + len(lines) - 1
    at = begin
    if surplus := lines[:-MOST_LINES]:
        at = _past("\n".join([*surplus, ""]), at)
        lines = lines[-MOST_LINES:]
    first, is_anew = at.line, at.column == 0 or "\r" in lines[0].rstrip("\r")
    html = []
    for number, line in enumerate(lines, first):
        shown, at = _render_line(line.rstrip("\r"), at if number == first else evolve(at, line=number, column=0))
        html.append(shown)
    sequence, offset = begin.sequence, begin.offset + length
    for number, text in chunks:
        if offset < len(text):
            break
        sequence, offset = number, offset - len(text)
    return Piece(first, is_anew, html, evolve(at, sequence=sequence, offset=offset))


def skip(chunks: Chunks, begin: Position) -> Position:
    """The position after chunks that are not shown; there is at least one."""
    text = "".join(text for _, text in chunks)[begin.offset :]
    return evolve(_past(text, begin), sequence=chunks[-1][0], offset=0)


def _past(text: str, at: Position) -> Position:
    """The line, column and style after text that is not shown."""
    column = len(text) - text.rfind("\n") - 1
    return evolve(
        at,
        line=at.line + text.count("\n"),
        column=column if "\n" in text else at.column + column,
        style=_style_at_end(text, at.style),
    )


def _render_line(line: str, at: Position) -> tuple[str, Position]:
    """A line as HTML, without text that a carriage return overwrites."""
    column, style = at.column, at.style
    overwritten, is_overwritten, line = line.rpartition("\r")
    if is_overwritten:
        column, style = 0, _style_at_end(overwritten, style)
    html = []
    end = style
    for text, end in _spans(line, style):
        room = max(_MOST_COLUMNS - column, 0)
        column = min(column + len(text), _MOST_COLUMNS)
        if text and room:
            safe = escape(text[:room].translate(_CONTROLS)) + ("…" if len(text) > room else "")
            classes = _classes(end)
            html.append(f'<span class="{classes}">{safe}</span>' if classes else safe)
    return "".join(html), evolve(at, column=column, style=end)


def _spans(text: str, style: str) -> Iterator[tuple[str, str]]:
    """The texts between escape sequences, each with its style; the last text may be empty."""
    begin = 0
    for match in _ESCAPE.finditer(text):
        yield text[begin : match.start()], style
        begin = match.end()
        style = _style_after(match["codes"], style)
    yield text[begin:], style


def _style_at_end(text: str, style: str) -> str:
    if "\x1b" not in text:
        return style
    text = text[max(0, *map(text.rfind, _RESETS)) :]  # What is before a reset does not count.
    for match in _ESCAPE.finditer(text):
        style = _style_after(match["codes"], style)
    return style


@lru_cache(4096)
def _style_after(codes: str | None, style: str) -> str:
    """The style after an escape sequence, in the 16 colours; its codes are None if it does not set colours."""
    if codes is None:
        return style
    spans = AnsiDecoder().decode_line(f"\x1b[{style}m\x1b[{codes.replace(':', ';')}mx").spans
    if not spans or isinstance(spans[0].style, str):
        return ""
    rendered = spans[0].style.render("x", color_system=ColorSystem.STANDARD)
    return rendered.removeprefix("\x1b[").partition("m")[0] if "\x1b" in rendered else ""


@lru_cache(1024)
def _classes(style: str) -> str:
    return " ".join(sorted(_CLASSES[code] for code in style.split(";") if code in _CLASSES))
