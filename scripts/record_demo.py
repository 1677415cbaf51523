"""Record a command in a terminal as an animated SVG: ``python scripts/record_demo.py FILE COMMAND...``.

``docs/demo.svg`` is made by this, from a real run::

    .venv/bin/python scripts/record_demo.py docs/demo.svg scripts/demo examples/pipelines/failing.yaml

It needs pyte and rich, which the dependency group ``docs`` brings.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shlex
import struct
import sys
import termios
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

COLUMNS, LINES = 100, 36
FEWEST_SECONDS = 0.15  # A frame that is shown for less is left out.
LAST_SECONDS = 8  # How long the last frame is shown.

FRAME = """<style>{styles} #{unique_id} {{ animation: {unique_id} TOTALs steps(1) infinite }}
@keyframes {unique_id} {{ KEYS }}</style>
<g id="{unique_id}" class="frame" font-family="Fira Code, Menlo, Consolas, monospace"
font-size="{char_height}px" transform="translate(9, 41)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
"""
PICTURE = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>.frame {{ visibility: hidden }} .frame:last-of-type {{ visibility: visible }}
@media (prefers-reduced-motion: reduce) {{ .frame {{ animation: none !important }} }}</style>
{chrome}
FRAMES</svg>
"""


def output_of(command: list[str]) -> Iterator[tuple[float, bytes]]:
    """Run a command in a terminal; yield what it prints, each piece with the seconds since the start."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(LINES))
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    start = time.monotonic()
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # The terminal is closed at the end of the command.
            break
        yield time.monotonic() - start, data
    os.waitpid(child, 0)


def shown(screen: pyte.Screen) -> Text:
    """What a screen shows, with its colours."""
    text = Text(no_wrap=True)
    for y in range(screen.lines):
        cells = [screen.buffer[y][x] for x in range(screen.columns)]
        for (fg, bg, bold), run in groupby(cells, key=lambda cell: (cell.fg, cell.bg, cell.bold)):
            text.append("".join(cell.data for cell in run), Style(color=_colour(fg), bgcolor=_colour(bg), bold=bold))
        text.append("\n")
    return text


def _colour(name: str) -> str | None:
    if name == "default":
        return None
    name = {"brown": "yellow"}.get(name, name)
    return f"#{name}" if len(name) == 6 and all(each in "0123456789abcdef" for each in name) else name


def svg(text: Text, template: str, name: str, title: str) -> str:
    """Render text as a part of an SVG."""
    console = Console(record=True, width=COLUMNS, height=LINES, file=io.StringIO(), force_terminal=True)
    console.print(text, end="")
    made = console.export_svg(title=title, code_format=template, unique_id=name)
    return re.sub(r' clip-path="url[^"]*"', "", made)  # Nothing overflows, and the paths make the file twice as large.


def _frame(start: float, end: float, total: float) -> str:
    """The template of a frame that is shown for a part of the time, given as fractions of it."""
    steps = {0.0: "hidden", start: "visible", end: "hidden"} if end < 1 else {0.0: "hidden", start: "visible"}
    keys = " ".join(f"{at:.3%} {{{{ visibility: {state} }}}}" for at, state in steps.items())
    return FRAME.replace("TOTAL", f"{total:.2f}").replace("KEYS", keys)


def record(command: list[str]) -> str:
    """Run a command and return the SVG."""
    title = shlex.join(command)
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    stream.feed(f"$ {title}\r\n".encode())
    frames = [(0.0, shown(screen))]
    for at, data in output_of(command):
        stream.feed(data)
        if at - frames[-1][0] < FEWEST_SECONDS:
            at, _ = frames.pop()  # noqa: PLW2901 - The new frame stands in place of the one that was too short.
        frames.append((at, shown(screen)))
    total = frames[-1][0] + LAST_SECONDS
    ends = [at for at, _ in frames[1:]] + [total]
    parts = [
        svg(text, _frame(at / total, end / total, total), f"frame-{number}", title)
        for number, ((at, text), end) in enumerate(zip(frames, ends, strict=True))
    ]
    picture = svg(frames[-1][1], PICTURE, "picture", title)
    return picture.replace("FRAMES", "".join(parts))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(record(sys.argv[2:]), encoding="utf-8")
