"""What a masker knows at one moment, as a value: all forms of all secrets, and what stands in their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring

from ._encodings import SHORTEST, forms
from .values import one_line, scrub

__all__ = ["Needles", "spans"]

# The first that serves is used; the others are for secrets that end like it. ASCII, so that any stream can write it.
_MASKS = ("***", "[masked]", "<masked>", "(masked)", "{masked}", "#masked#")

# From so many needles on it is faster to look up every place of a text than to look for every needle in it.
MANY = 400


class Needles:
    """All forms of some secrets. Never changed: to know one more secret is another value.

    Attributes:
        secrets: The secrets.
        texts: What to mask in a text.
        lines: What must not be in a line of JSON: the texts, and what they become within a JSON string.
        octets: What to mask in bytes, each byte as the character of its number.
        heads: The first characters of all of them.
        mask: What stands in the place of a secret. It shares no end with any form of one, so that nothing put beside
            it is a secret again.
    """

    __slots__ = ("heads", "lines", "mask", "octets", "secrets", "texts")

    def __init__(self) -> None:
        self.secrets: frozenset[str] = frozenset()
        self.texts: tuple[str, ...] = ()
        self.lines: tuple[str, ...] = ()
        self.octets: tuple[str, ...] = ()
        self.heads: frozenset[str] = frozenset()
        self.mask = _MASKS[0]

    def plus(self, secret: str) -> Needles:
        """The needles of these secrets and one more.

        Args:
            secret: The secret.
        """
        found = forms(secret)
        texts = {*found, *map(scrub, found)}.difference(self.texts)
        lines = {*texts, *(one_line(encode_basestring(text)[1:-1]) for text in texts)}.difference(self.lines)
        more = Needles()
        more.secrets = self.secrets | {secret}
        more.texts = (*self.texts, *texts)
        more.lines = (*self.lines, *lines)
        more.octets = tuple(text.encode("utf-8", "surrogatepass").decode("latin-1") for text in more.texts)
        more.heads = self.heads.union(needle[:SHORTEST] for needle in lines)
        more.mask = self.mask if not _joins(self.mask, lines) else more._other_mask()
        return more

    def may_be_in(self, text: str) -> bool:
        """Whether it is worth to look for needles in a text.

        Args:
            text: Any text.
        """
        if len(self.lines) < MANY:
            return bool(self.lines)
        return not self.heads.isdisjoint([text[at : at + SHORTEST] for at in range(len(text) - SHORTEST + 1)])

    def _other_mask(self) -> str:
        return next((mask for mask in _MASKS if not _joins(mask, self.lines)), _MASKS[0])


def _joins(mask: str, needles: Iterable[str]) -> bool:
    """Whether a mask holds a part of a needle which text beside it could complete."""
    heads = tuple(mask[:at] for at in range(1, len(mask)))
    tails = tuple(mask[at:] for at in range(1, len(mask)))
    return any(mask in needle or needle.startswith(tails) or needle.endswith(heads) for needle in needles)


def spans(text: str, needles: Iterable[str]) -> list[tuple[int, int]]:
    """Where needles are in a text, in order. What overlaps or touches is one span."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(_occurrences(text, needles)):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _occurrences(text: str, needles: Iterable[str]) -> Iterator[tuple[int, int]]:
    for needle in needles:
        start = text.find(needle)
        while start >= 0:
            yield start, start + len(needle)
            start = text.find(needle, start + 1)
