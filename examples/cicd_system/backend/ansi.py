"""Render the output of a job as HTML: colours become classes, and everything else is text.

Output arrives in pieces that may end within a line or within an escape sequence. So rendering continues from a
`Position`, which is short enough to be the id of an event.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from attrs import evolve, frozen
from markupsafe import escape

__all__ = ["START", "Piece", "Position", "render", "skip"]

MOST_LINES = 5_000
"""The most lines of a piece; earlier lines are only counted."""

_MOST_COLUMNS = 10_000  # Characters of a line that are shown.
_HELD_BACK = 256  # Characters that are held back for the end of an escape sequence.

_ESCAPE = re.compile(
    r"\x1b\[(?P<codes>[0-9;:]*)m"  # colours
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # other control sequences, as those that move the cursor
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # strings, as the titles of windows
    r"|\x1b[ -/]*[0-~]"
)
# An unfinished end that the next piece may complete. A carriage return may be half of a line end.
_UNFINISHED = re.compile(r"(?:\r|\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\n]*\x1b?|[ -/]*)?)\Z")
_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t"} | {127: 0x2421}
_CONTROLS |= dict.fromkeys(range(128, 160), 0xFFFD)

_RESETS = ("\x1b[0m", "\x1b[m")

# The classes that codes switch on and off, and the base colours.
_ON = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "struck"}
_OFF = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("inverse",), 29: ("struck",)}
_BASES = {30: ("fg", 0), 90: ("fg", 8), 40: ("bg", 0), 100: ("bg", 8)}
_CLASSES = frozenset(_ON.values()) | {f"{ground}{number}" for ground in ("fg", "bg") for number in range(16)}
_PATTERN = re.compile(r"(\d{1,18})\.(\d{1,9})\.(\d{1,18})\.(\d{1,9})\.([a-z0-9-]{0,80})", re.ASCII)

Style = frozenset[str]


@frozen
class Position:
    """The place in the output where rendering continues.

    Attributes:
        sequence: The last chunk of the output that was rendered completely.
        offset: The number of characters after this chunk that were rendered.
        line: The number of the current line, from 1.
        column: The number of characters of this line that were rendered.
        style: The current classes.
    """

    sequence: int = 0
    offset: int = 0
    line: int = 1
    column: int = 0
    style: Style = frozenset()

    def __str__(self) -> str:
        numbers = (self.sequence, self.offset, self.line, self.column)
        return ".".join([*map(str, numbers), "-".join(sorted(self.style))])

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """Read a position that a browser has sent. None if the text is not a position.

        Args:
            text: The text.
        """
        match = _PATTERN.fullmatch(text)
        style = frozenset(filter(None, match[5].split("-"))) if match else frozenset()
        if match is None or not style <= _CLASSES or match[3] == "0":
            return None
        sequence, offset, line, column = map(int, match.groups()[:4])
        return cls(sequence, offset, line, column, style)


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


def render(chunks: Iterable[tuple[int, str]], begin: Position) -> Piece:
    """Render output.

    Args:
        chunks: The chunks that follow, with their sequences.
        begin: Where to begin in them.
    """
    chunks = tuple(chunks)
    text = _text(chunks, begin)
    *passed, last = text.split("\n")
    lines = [*passed, last]
    surplus = max(len(lines) - MOST_LINES, 0)
    at = begin
    for line in lines[:surplus]:
        at = evolve(at, style=_style_after(line, at.style), line=at.line + 1, column=0)
    first = at.line
    is_anew = at.column == 0 or "\r" in lines[surplus].rstrip("\r")
    rendered = []
    for number, line in enumerate(lines[surplus:]):
        if number:
            at = evolve(at, line=at.line + 1, column=0)
        shown, at = _render_line(line.rstrip("\r"), at)
        rendered.append(shown)
    return Piece(first, is_anew, rendered, _moved(at, chunks, begin.offset + len(text)))


def skip(chunks: Iterable[tuple[int, str]], begin: Position) -> Position:
    """The position after chunks that are not shown.

    Args:
        chunks: The chunks that follow, with their sequences; at least one.
        begin: Where to begin in them.
    """
    chunks = tuple(chunks)
    text = "".join(text for _, text in chunks)[begin.offset :]
    column = len(text) - text.rfind("\n") - 1
    return Position(
        sequence=chunks[-1][0],
        line=begin.line + text.count("\n"),
        column=column if "\n" in text else begin.column + column,
        style=_style_after(text, begin.style),
    )


def _text(chunks: Sequence[tuple[int, str]], begin: Position) -> str:
    """The text to render, without an unfinished escape sequence or line end."""
    text = "".join(text for _, text in chunks)[begin.offset :]
    unfinished = _UNFINISHED.search(text, max(len(text) - _HELD_BACK, 0))
    return text if unfinished is None else text[: unfinished.start()]


def _moved(at: Position, chunks: Sequence[tuple[int, str]], offset: int) -> Position:
    sequence = at.sequence
    for number, text in chunks:
        if offset < len(text):
            break
        sequence, offset = number, offset - len(text)
    return evolve(at, sequence=sequence, offset=offset)


def _render_line(line: str, at: Position) -> tuple[str, Position]:
    """A line as HTML, without text that a carriage return overwrites."""
    *overwritten, shown = line.split("\r")
    if overwritten:
        at = evolve(at, column=0, style=_style_after("".join(overwritten), at.style))
    html = []
    for text, style in _spans(shown, at.style):
        room = max(_MOST_COLUMNS - at.column, 0)
        if text and room:
            safe = escape(text[:room].translate(_CONTROLS)) + ("…" if len(text) > room else "")
            html.append(f'<span class="{" ".join(sorted(style))}">{safe}</span>' if style else str(safe))
        at = evolve(at, column=min(at.column + len(text), _MOST_COLUMNS), style=style)
    return "".join(html), at


def _spans(text: str, style: Style) -> Iterator[tuple[str, Style]]:
    """The texts between escape sequences, each with its style; the last text may be empty."""
    begin = 0
    for match in _ESCAPE.finditer(text):
        yield text[begin : match.start()], style
        begin = match.end()
        style = _styled(match["codes"], style)
    yield text[begin:], style


def _style_after(text: str, style: Style) -> Style:
    end = max(text.rfind(reset) for reset in _RESETS)
    if end >= 0:
        text, style = text[end:], frozenset()
    for match in _ESCAPE.finditer(text) if "\x1b" in text else ():
        style = _styled(match["codes"], style)
    return style


def _styled(codes: str | None, style: Style) -> Style:
    """The style after an escape sequence. Its codes are None if it does not set colours."""
    if codes is None:
        return style
    numbers = iter([int(code[:9] or "0") for code in re.split("[;:]", codes)])
    for number in numbers:
        ground, base = _BASES.get(number - number % 10, ("", 0))
        if number == 0:
            style = frozenset()
        elif number in _ON:
            style |= {_ON[number]}
        elif number in _OFF:
            style -= set(_OFF[number])
        elif number in (38, 48):
            style = _coloured(style, ground, _extended(numbers))
        elif ground and number % 10 < 8:
            style = _coloured(style, ground, base + number % 10)
        elif number in (39, 49):
            style = _coloured(style, ground, None)
    return style


def _coloured(style: Style, ground: str, colour: int | None) -> Style:
    others = {each for each in style if not each.startswith(ground)}
    return frozenset(others if colour is None else {*others, f"{ground}{colour}"})


def _extended(numbers: Iterator[int]) -> int | None:
    """The closest of the 16 colours to one of 256 colours, or to a colour of red, green and blue."""
    kind = next(numbers, None)
    if kind == 2:
        return _closest([min(each, 255) for each in (next(numbers, 0), next(numbers, 0), next(numbers, 0))])
    if kind != 5:
        return None
    colour = min(next(numbers, 0), 255)
    if colour < 16:
        return colour
    if colour >= 232:
        return _closest([(colour - 232) * 10 + 8] * 3)
    return _closest([0 if level == 0 else level * 40 + 55 for level in _cube(colour - 16)])


def _cube(number: int) -> tuple[int, int, int]:
    return number // 36, number // 6 % 6, number % 6


def _closest(rgb: Sequence[int]) -> int:
    """The colour of 16 with the same dominant parts of red, green and blue; a bright one if they are bright."""
    top = max(rgb)
    if top < 64:
        return 0
    bits = sum(1 << place for place, level in enumerate(rgb) if level > top // 2)
    if bits == 7:
        return 8 if top < 128 else 7 if top < 224 else 15
    return bits + (8 if top > 200 else 0)
