"""Reads a text in each of its possible readings, for as long as a form of a secret begins like it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence

from ._spellings import HEX, TEXT, Family

__all__ = ["Reader"]

# How many skipped pieces may follow each other, such as colour codes and line ends.
_MOST_SKIPPED = 6

# The rest of a line of a hex dump: more digits, and the text next to them.
_REST_OF_DUMP = re.compile(rb"(?:[0-9a-fA-F]{2})?(?: {1,2}[0-9a-fA-F]{2,4}){0,32} {2,60}[^\r\n]{1,40}(?=[\r\n])")
_MAY_BE_IN_DUMP = re.compile(rb"[0-9a-fA-F]{0,2}(?: {1,2}[0-9a-fA-F]{1,4}){0,32} {0,60}[^\r\n]{0,40}\Z")

_LETTERS_AND_DIGITS = re.compile(rb"[0-9A-Za-z]+")


class Reader:
    """Reads one text from one start after the other.

    A place in the text and the bytes read before it decide what can follow. Each such state belongs to the first start
    that reaches it: a span that a later start finds from there is a part of one that the first start has found. So
    the number of states is bounded by the length of the text times that of the forms, even if the text is all escapes.

    Args:
        family: The spellings that the text may have for the forms.
        data: The text.
        forms: The plain bytes of the forms, sorted.
        may_begin_special: Whether a form may begin with an escape.

    Attributes:
        family: As given.
        data: As given.
        states: The states that were reached (the place, the first form that begins with the bytes read, and the number
            of these bytes), and the least number of pieces that were skipped just before.
    """

    __slots__ = ("_forms", "_may_begin_special", "_steps", "data", "family", "states")

    def __init__(self, family: Family, data: bytes, forms: Sequence[bytes], may_begin_special: bool) -> None:
        self.family = family
        self.data = data
        self.states: dict[tuple[int, int, int], int] = {}
        self._forms = forms
        self._may_begin_special = family is TEXT and may_begin_special
        self._steps: dict[int, tuple[list[tuple[bytes, int]], bool]] = {}

    def read(self, start: int) -> tuple[int, bool]:
        """Read from a start.

        Args:
            start: The place to start at, never before that of an earlier call.

        Returns:
            The end of the longest form that begins there, or -1; and whether more text could change that. A form that
            an earlier start has found may be left out.
        """
        family, data, forms, states = self.family, self.data, self._forms, self.states
        last, begun, size = -1, False, len(data)
        paths = [(start, b"", 0, len(forms), 0)]
        while paths:
            at, prefix, low, high, skipped = paths.pop()
            if at == size:
                begun = True
                continue
            if data[at] in family.leads and len(prefix) % family.width == 0:
                steps, more = self._steps_at(at)
                begun = begun or (more and (bool(prefix) or self._may_begin_special))
            elif high - low == 1:
                steps = _run(family, data, at, forms[low][len(prefix) :])
            else:
                steps = [(family.plain[data[at]], at + 1)]
            for plain, end in steps:
                if not plain:
                    state = end, low, len(prefix)
                    if prefix and skipped + 1 < states.get(state, _MOST_SKIPPED + 1):
                        states[state] = skipped + 1
                        paths.append((end, prefix, low, high, skipped + 1))
                    continue
                longer = prefix + plain
                first = bisect_left(forms, longer, low, high)
                if first == high or not forms[first].startswith(longer):
                    continue
                if forms[first] == longer:
                    first += 1
                    stop, more = _end(family, data, start, end)
                    last, begun = max(last, stop), begun or more
                beyond = bisect_left(forms, _after(longer), first, high) if high - first > 1 else high
                state = end, first, len(longer)
                if first < beyond and states.get(state, 1) > 0:
                    states[state] = 0
                    paths.append((end, longer, first, beyond, 0))
        return last, begun

    def _steps_at(self, at: int) -> tuple[list[tuple[bytes, int]], bool]:
        known = self._steps.get(at)
        if known is None:
            known = self._steps[at] = self.family.steps(self.data, at)
        return known


def _run(family: Family, data: bytes, at: int, rest: bytes) -> list[tuple[bytes, int]]:
    """Read several letters and digits at once, if only one form is left."""
    match = _LETTERS_AND_DIGITS.match(data, at, at + len(rest))
    if match is None:
        return [(family.plain[data[at]], at + 1)]
    run = match[0].lower() if family is HEX else match[0]
    return [(run, match.end())] if rest.startswith(run) else []


def _end(family: Family, data: bytes, start: int, end: int) -> tuple[int, bool]:
    """Return the end of a span. A line of a hex dump also has the dumped text, so the span takes the whole line."""
    if family is not HEX or b" " not in data[start:end]:
        return end, False
    rest = _REST_OF_DUMP.match(data, end)
    return (rest.end(), False) if rest else (end, _MAY_BE_IN_DUMP.match(data, end) is not None)


def _after(prefix: bytes) -> bytes:
    """Return the first byte string that sorts after those with a prefix."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else b"\xff" * (len(prefix) + 1)
