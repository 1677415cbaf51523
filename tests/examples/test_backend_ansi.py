"""The output of jobs as HTML: colours become classes, everything else is text, and the pieces may end anywhere."""

import re
from html import unescape
from itertools import pairwise

import pytest
from cicd_system.backend.ansi import MOST_LINES, START, Position, render, skip
from hypothesis import example, given
from hypothesis import strategies as st

_COLOURS = ["\x1b[31m", "\x1b[0m", "\x1b[1;44m", "\x1b[38;5;208m", "\x1b[3", "8m"]
_OTHERS = ["a", "<b>", "&", "\n", "\r\n", "\r", "\x1b[2K", "\x1b]0;title\x07", "\x1b", "\x00", "\t", "\u2603", "\x9b"]
OUTPUT = st.lists(st.sampled_from([*_COLOURS, *_OTHERS]), max_size=30).map("".join)


def lines_of(text):
    return list(render([(1, text)], START).lines)


def shown(pieces):
    """The lines that a browser shows after these pieces: each extends its last line or replaces it."""
    lines = {}
    for piece in pieces:
        for number, html in enumerate(piece.lines, piece.line):
            goes_on = number == piece.line and not piece.is_anew
            lines[number] = lines.get(number, "") + html if goes_on else html
    return {number: re.sub(r'</span><span class="[^"]*">', "", html) for number, html in lines.items() if html}


class TestRender:
    @pytest.mark.parametrize(
        ("text", "html"),
        [
            ("plain", "plain"),
            ("<script>&", "&lt;script&gt;&amp;"),
            ("\x1b[31mred\x1b[0m", '<span class="fg1">red</span>'),
            ("\x1b[1;31mx\x1b[22my\x1b[39mz", '<span class="bold fg1">x</span><span class="fg1">y</span>z'),
            ("\x1b[97;104mx", '<span class="bg12 fg15">x</span>'),
            ("\x1b[38;5;9mx", '<span class="fg9">x</span>'),
            ("\x1b[38;5;196mx", '<span class="fg1">x</span>'),
            ("\x1b[38;5;244mx", '<span class="fg7">x</span>'),
            ("\x1b[48;2;0;128;0mx", '<span class="bg2">x</span>'),
            ("\x1b[38mx\x1b[38;2mx\x1b[999mx", "xxx"),
            ("\x1b[38:5:9mx\x1b[" + "1;" * 99 + "mx", '<span class="fg9">x</span><span class="fg9">x</span>'),
            ("\x1b[4mx\x1b[mx", '<span class="underline">x</span>x'),
            ("a\x1b[2K\x1b[1Ab\x1b(B", "ab"),
            ("\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x1b\\", "link"),
            ("10%\r50%\rdone\r", "done"),
            ("\x1b[31mno\rred", '<span class="fg1">red</span>'),
            ("a\x00b\x7f\x9bc\td", "a\u2400b\u2421\ufffdc\td"),
        ],
    )
    def test_a_line(self, text, html):
        assert lines_of(f"{text}\n") == [html, ""]

    def test_colours_go_on_in_the_next_line(self):
        assert lines_of("\x1b[32ma\r\n\nb") == ['<span class="fg2">a</span>', "", '<span class="fg2">b</span>']

    @given(OUTPUT)
    def test_nothing_is_markup_but_spans_with_known_classes(self, text):
        for line in lines_of(text):
            left = re.sub(r'<span class="(fg1|bg4 bold|bg4 bold fg1|fg\d+|bg4 bold fg\d+)">|</span>', "", line)
            assert "<" not in left
            assert not [each for each in unescape(left) if ord(each) < 32 and each != "\t"]

    @given(OUTPUT, st.lists(st.integers(0, 60), max_size=8))
    @example("over\r\x1b[31m", [6])
    def test_pieces_show_what_the_whole_does(self, text, cuts):
        """A piece may end within a line, an escape sequence or a line end."""
        text += "\n"
        places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
        chunks = [(number, text[a:b]) for number, (a, b) in enumerate(pairwise(places), 1)]
        at, pieces = START, []
        for count in range(1, len(chunks) + 1):
            pieces.append(render(chunks[at.sequence : count], at))
            at = Position.parse(str(pieces[-1].end))
        assert shown(pieces) == shown([render(chunks, START)])
        assert (at.sequence, at.offset) == (len(chunks), 0)

    def test_of_many_lines_the_last_are_shown(self):
        """They keep their numbers and their colours."""
        text = "\x1b[31m" + "line\n" * (MOST_LINES + 9)
        piece = render([(1, text)], START)
        assert (piece.line, len(piece.lines), piece.is_anew) == (11, MOST_LINES, True)
        assert piece.lines[0] == '<span class="fg1">line</span>'
        assert piece.end == Position(1, 0, MOST_LINES + 10, 0, "31")

    def test_a_line_without_end_is_cut(self):
        """It is cut once, also if it arrives in pieces."""
        first = render([(1, "x" * 9_999)], START)
        second = render([(2, "yz")], first.end)
        third = render([(3, "more\nnext")], second.end)
        assert [*second.lines, *third.lines] == ["y…", "", "next"]

    def test_half_an_escape_sequence_is_text_if_it_grows_too_long(self):
        assert lines_of("\x1b]" + "x" * 300)[0].endswith("x" * 300)

    @given(OUTPUT)
    def test_what_is_skipped_is_counted(self, text):
        """The output after it is rendered as after the whole output."""
        text += "\n"
        assert render([(2, "x\n")], skip([(1, text)], START)).lines == render([(1, text), (2, "x\n")], START).lines[-2:]
        assert skip([(1, text)], START).line == text.count("\n") + 1


class TestPosition:
    @pytest.mark.parametrize(
        "text", ["", "1", "1.0.0.0.", "-1.0.1.0.", "1.0.1.0.evil", "1.0.1.0.31 x", "1.0.1.0.\n", "٣.0.1.0.", "9" * 30]
    )
    def test_what_is_none_is_refused(self, text):
        assert Position.parse(text) is None

    def test_what_is_one_is_read(self):
        position = Position(3, 2, 7, 4, "1;31")
        assert str(position) == "3.2.7.4.1;31"
        assert Position.parse(str(position)) == position
