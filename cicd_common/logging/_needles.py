"""What a masker knows at one moment, as a value: all forms of all secrets, and what stands in their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring

from ._encodings import forms
from .values import one_line, scrub

__all__ = ["Needles", "spans"]

# The first that serves is used; the others are for secrets that end like it. ASCII, so that any stream can write it.
_MASKS = ("***", "[masked]", "<masked>", "(masked)", "{masked}", "#masked#")


class Needles:
    """All forms of some secrets. Never changed: to know one more secret is another value.

    Args:
        secrets: The secrets.

    Attributes:
        secrets: As given.
        texts: What to mask in a text.
        lines: What must not be in a line of JSON: the texts, and what they become within a JSON string.
        octets: What to mask in bytes, each byte as the character of its number.
        mask: What stands in the place of a secret. It shares no end with any form of one, so that nothing put beside
            it is a secret again.
    """

    __slots__ = ("lines", "mask", "octets", "secrets", "texts")

    def __init__(self, secrets: frozenset[str] = frozenset()) -> None:
        every = {form for secret in secrets for form in forms(secret)}
        found = every | set(map(scrub, every))
        self.secrets = secrets
        self.texts = tuple(sorted(found))
        self.lines = tuple(sorted(found | {one_line(encode_basestring(form)[1:-1]) for form in found}))
        self.octets = tuple(form.encode("utf-8", "surrogatepass").decode("latin-1") for form in self.texts)
        self.mask = next((mask for mask in _MASKS if not _joins(mask, {*found, *self.octets})), _MASKS[0])


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
