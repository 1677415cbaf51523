"""Finds secrets in text, at a cost that grows with the text and not with the number of secrets.

A fast test comes first: the text is squeezed to its letters and digits and cut into pieces of four bytes, which are
looked up all at once. Any seven bytes in a row contain one such piece. Only a text with a known piece is read byte by
byte, in each of its possible readings.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import compress, count
from typing import TypeVar

from ._forms import Form, squeeze
from ._reader import Reader
from ._spellings import BASE64, FIXED, HEX, TEXT, Family, strip_colors

__all__ = ["Index"]

Key = TypeVar("Key")

_FAMILIES = (TEXT, BASE64, HEX)

# The size of a piece, and the number of bytes in a row that always contain a whole piece.
_GRAM = 4
_COARSE = 7

# How much of a form's piece is considered when a window of it is chosen.
_LONGEST_PIECE = 32

# If candidates have more first bytes than this, every place of a text is tried instead.
_MANY = 32

# How far before the end of a text an incomplete form may begin, whose piece the text does not hold yet.
_REACH, _REACH_OF_BYTE = 160, 24


class _Entry:
    """A form in an index, with the keys by which it is found."""

    __slots__ = ("form", "grams", "head", "uses", "windows")

    def __init__(self, form: Form, windows: list[bytes]) -> None:
        self.uses = 1
        self.form = form
        self.windows = windows
        self.head = form.family, form.plain[:2]
        self.grams = [
            int.from_bytes(window[at : at + _GRAM], sys.byteorder)
            for window in windows
            for at in range(len(window) - _GRAM + 1)
        ]

    @property
    def is_special(self) -> bool:
        """Whether text may write the first byte as an escape."""
        return self.form.family is TEXT and self.form.plain[0] not in FIXED


class Index:
    """An index of the forms of secrets.

    A thread can search while another one adds or discards. Forms that are in the index all the time are found.

    Attributes:
        version: A number that changes with each change of the index.
    """

    def __init__(self) -> None:
        self.version = 0
        self._entries: dict[tuple[Family, bytes], _Entry] = {}
        self._by_window: dict[bytes, tuple[Form, ...]] = {}
        self._without_window: dict[Form, int] = {}
        # The number of forms for each key.
        self._head_users: dict[tuple[Family, bytes], int] = {}
        self._coarse: dict[int, int] = {}
        self._fine: dict[int, int] = {}
        self._heads: dict[bytes | tuple[Family, bytes], int] = {}
        self._special_heads = 0
        self._reach = _REACH
        self._sorted: tuple[int, dict[Family, list[bytes]]] = (0, {family: [] for family in _FAMILIES})

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, form: Form) -> None:
        """Add a form. A form that is added several times must be discarded as often.

        Args:
            form: The form.
        """
        key = form.family, form.plain
        if key in self._entries:
            self._entries[key].uses += 1
            return
        places = self._windows(form)
        entry = self._entries[key] = _Entry(form, [window for window, _ in places])
        for window, end in places:
            self._by_window[window] = (*self._by_window.get(window, ()), form)
            self._reach = max(self._reach, _REACH + _REACH_OF_BYTE * (form.before + end))
        self._count(entry, 1)
        self.version += 1

    def discard(self, form: Form) -> None:
        """Remove a form, unless it was added more often than discarded.

        Args:
            form: A form that was added.
        """
        entry = self._entries[form.family, form.plain]
        entry.uses -= 1
        if entry.uses == 0:
            del self._entries[form.family, form.plain]
            self._count(entry, -1)
            for window in entry.windows:
                left = tuple(other for other in self._by_window.pop(window) if other is not entry.form)
                if left:
                    self._by_window[window] = left
            self.version += 1

    def _windows(self, form: Form) -> list[tuple[bytes, int]]:
        """Return a window of each piece and its end: the first of the windows that fewest other forms have."""
        shortest = min(map(len, form.pieces))
        size = _COARSE if shortest >= _COARSE else _GRAM
        places = (self._rarest(piece, size) for piece in form.pieces if shortest >= _GRAM)
        # A form that repeats itself may have a window twice.
        return list(dict(places).items())

    def _rarest(self, piece: bytes, size: int) -> tuple[bytes, int]:
        if piece[:size] not in self._by_window:
            return piece[:size], size
        ends = range(size, min(len(piece), _LONGEST_PIECE) + 1)
        end = next((end for end in ends if piece[end - size : end] not in self._by_window), None)
        if end is None:
            end = min(ends, key=lambda end: len(self._by_window[piece[end - size : end]]))
        return piece[end - size : end], end

    def _count(self, entry: _Entry, change: int) -> None:
        is_coarse = bool(entry.windows) and len(entry.windows[0]) == _COARSE
        _change(self._coarse if is_coarse else self._fine, entry.grams, change)
        users = self._head_users.get(entry.head, 0)
        _change(self._head_users, (entry.head,), change)
        if users == 0 or users + change == 0:
            _change(self._heads, _heads(*entry.head), change)
        _change(self._without_window, () if entry.windows else (entry.form,), change)
        self._special_heads += change * entry.is_special

    def find(self, data: bytes) -> list[tuple[int, int]]:
        """Find the spans of forms in a text, in order. Spans that overlap or touch are joined.

        Args:
            data: The text.
        """
        if self._holds_none(data):
            return []
        return _merged((start, end) for start, end, _ in self._read_all(data) if end >= 0)

    def search(self, data: bytes) -> tuple[list[tuple[int, int]], int]:
        """Find the spans of forms in the first part of a text, and the place where an incomplete form may begin.

        Args:
            data: The first part of the text.

        Returns:
            The spans; and the first place that must be read again with more of the text.
        """
        found, first = [], len(data)
        for start, end, begun in () if self._holds_none(data) else self._read_all(data):
            if end >= 0:
                found.append((start, end))
            if begun and start < first:
                first = start
        readers = self._readers(data)
        for start in (0, *range(max(1, len(data) - self._reach), len(data))):
            if start >= first:
                break
            # The first test is for speed: few places pass it.
            may_begin = data[start : start + 2] in self._heads or (self._special_heads and data[start] in TEXT.leads)
            if may_begin and any(reader.read(start)[1] for reader in readers if self._may_begin(reader, start)):
                first = start
        return _merged(found), first

    def _holds_none(self, data: bytes) -> bool:
        """Tell whether a text holds no form by a fast test, which nearly all texts without a form pass."""
        if self._without_window or self._fine or b"\\" in data or b"\x1b" in data:
            return False
        view = squeeze(data)
        grams = _cut(view, 0)
        known = self._coarse.keys() & grams
        return not known or not any(window in self._by_window for window in _windows_at(view, grams, known))

    def _readers(self, data: bytes) -> list[Reader]:
        return [Reader(family, data, self._forms(family), self._special_heads > 0) for family in _FAMILIES]

    def _may_begin(self, reader: Reader, at: int) -> bool:
        """Tell whether a form of a secret may begin at a place in the text."""
        family, data = reader.family, reader.data
        is_special = family is TEXT and self._special_heads and data[at] in family.leads
        return bool(is_special) or (family, data[at : at + 2]) in self._heads

    def _read_all(self, data: bytes) -> Iterator[tuple[int, int, bool]]:
        """Read from each place where a candidate may begin: the start, the end or -1, and whether more may follow."""
        candidates = self._candidates(data)
        heads = {(form.family, form.plain[:2]) for form in candidates}
        for reader in self._readers(data) if heads else ():
            starts: Iterable[int]
            if len(heads) > _MANY:
                starts = (start for start in range(len(data)) if self._may_begin(reader, start))
            else:
                finders = [_beginnings(family, head) for family, head in heads if family is reader.family]
                starts = sorted({match.start() for find in finders for match in find(data)})
            for start in starts:
                yield start, *reader.read(start)

    def _candidates(self, data: bytes) -> set[Form]:
        found = set(self._without_window)
        for view in _views(data):
            found.update(self._by_pieces(view))
        return found

    def _by_pieces(self, view: bytes) -> Iterator[Form]:
        grams = _cut(view, 0)
        known = self._coarse.keys() & grams
        # Nearly all texts have no known piece.
        if known:
            for window in _windows_at(view, grams, known):
                yield from self._by_window.get(window, ())
        if self._fine:
            for offset in range(_GRAM):
                for gram in self._fine.keys() & _cut(view, offset):
                    yield from self._by_window.get(gram.to_bytes(_GRAM, sys.byteorder), ())

    def _forms(self, family: Family) -> list[bytes]:
        version, known = self._sorted
        if version != self.version:
            # The version is read first: if a form is added in between, the next call sorts again.
            version = self.version
            known = {kind: sorted(plain for other, plain in list(self._entries) if other is kind) for kind in _FAMILIES}
            self._sorted = version, known
        return known[family]


def _change(counts: dict[Key, int], keys: Iterable[Key], change: int) -> None:
    for key in keys:
        users = counts.get(key, 0) + change
        if users:
            counts[key] = users
        else:
            del counts[key]


@lru_cache(maxsize=8192)
def _heads(family: Family, head: bytes) -> tuple[bytes | tuple[Family, bytes], ...]:
    """Return the first one or two bytes that a form may have in a text, with the family and without."""
    firsts, seconds = (family.written[octet] for octet in head)
    if family.width == 1:
        seconds += bytes(family.leads)
    written = [bytes((first,)) for first in firsts]
    written += [bytes((first, second)) for first in firsts for second in dict.fromkeys(seconds)]
    return (*written, *((family, head) for head in written))


def _views(data: bytes) -> Iterator[bytes]:
    yield _squeezed(data)
    if b"\x1b" in data or b"\\" in data:
        stripped = strip_colors(data)
        if len(stripped) < len(data):
            yield _squeezed(stripped)


def _squeezed(data: bytes) -> bytes:
    if b"\\" in data:
        data = data.replace(b"\\n", b"").replace(b"\\r", b"")
    return squeeze(data)


def _cut(view: bytes, offset: int) -> list[int]:
    size = (len(view) - offset) // _GRAM * _GRAM
    return memoryview(view[offset : offset + max(size, 0)]).cast("I").tolist()


def _windows_at(view: bytes, grams: list[int], known: set[int]) -> Iterator[bytes]:
    """Yield the windows of a squeezed text that contain a known piece."""
    for number in compress(count(), map(known.__contains__, grams)):
        for at in range(max(0, _GRAM * (number - 1) + 1), _GRAM * number + 1):
            yield view[at : at + _COARSE]


@lru_cache(maxsize=1024)
def _beginnings(family: Family, head: bytes) -> Callable[[bytes], Iterator[re.Match[bytes]]]:
    """Make a function that finds the places where a form with the given first two bytes may begin."""
    first, second = (family.written[octet] for octet in head)
    if family is TEXT and head[0] not in FIXED:
        return re.compile(_one_of(first + bytes(TEXT.leads))).finditer
    follows = second if family.width > 1 else second + bytes(family.leads)
    return re.compile(_one_of(first) + b"(?=" + _one_of(follows) + b")").finditer


def _one_of(octets: bytes) -> bytes:
    return b"[" + b"".join(b"\\x%02x" % octet for octet in octets) + b"]"


def _merged(found: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
