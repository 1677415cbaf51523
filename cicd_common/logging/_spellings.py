"""How text may write a character of a secret: the escapes of many tools, as tables of rules.

Rules look forward only, so the result does not depend on how the text is cut into chunks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

__all__ = ["BASE64", "FIXED", "HEX", "TEXT", "Family", "Rule", "strip_colors"]

# Every tool writes these characters as they are. No rule stands for one of them, so an index can look for them.
FIXED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")

# Returns the alternatives that a match may stand for; b"" is skipped.
Decode = Callable[["re.Match[bytes]"], tuple[bytes, ...]]

# JSON in JSON in JSON has seven backslashes before a quote.
_SLASHES = rb"\\{1,7}"
_HEX = rb"[0-9a-fA-F]"
_BLANKS = rb"[ \t]{0,32}"
_LETTERS = dict(zip(b"abtnvfreE", (b"\a", b"\b", b"\t", b"\n", b"\v", b"\f", b"\r", b"\x1b", b"\x1b"), strict=True))
_NAMES = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}


class Rule:
    """One way to write a character, or a piece to skip.

    Args:
        lead: The first bytes that a piece may have.
        decode: Returns what a match stands for.
        tokens: Regular expressions that follow each other; ``(`` and ``)`` enclose a group.

    Attributes:
        lead: As given.
        decode: As given.
    """

    __slots__ = ("_begun", "_compiled", "_tokens", "decode", "lead")

    def __init__(self, lead: bytes, decode: Decode, *tokens: bytes) -> None:
        self.lead = lead
        self.decode = decode
        self._tokens = tokens
        # Compiled on first use: all programs import this module, and few write a secret.
        self._compiled: re.Pattern[bytes] | None = None
        self._begun: re.Pattern[bytes] | None = None

    def match(self, data: bytes, at: int) -> re.Match[bytes] | None:
        """Match a whole piece at a place."""
        if self._compiled is None:
            self._compiled = re.compile(b"".join(self._tokens))
        return self._compiled.match(data, at)

    def may_begin(self, data: bytes, at: int) -> bool:
        """Tell whether the text ends within a piece that begins at a place."""
        if self._begun is None:
            begun = b""
            for token in reversed([token for token in self._tokens if token not in (b"(", b")")][:-1]):
                begun = token + (b"(?:" + begun + b")?" if begun else b"")
            self._begun = re.compile(begun + rb"\Z" if begun else rb"(?!)")
        return self._begun.match(data, at) is not None


def _constant(*plain: bytes) -> Decode:
    return lambda _: plain


def _character(number: int) -> tuple[bytes, ...]:
    return (chr(number).encode("utf-8", "surrogatepass"),) if number <= 0x10FFFF else ()


def _of_hex(found: re.Match[bytes]) -> tuple[bytes, ...]:
    return _character(int(found[1], 16))


def _of_pair(found: re.Match[bytes]) -> tuple[bytes, ...]:
    high, low = int(found[1], 16), int(found[2], 16)
    return _character(0x10000 + ((high & 0x3FF) << 10 | low & 0x3FF))


def _of_byte(found: re.Match[bytes]) -> tuple[bytes, ...]:
    return (bytes([int(found[1], 16)]),)


def _of_byte_or_character(found: re.Match[bytes]) -> tuple[bytes, ...]:
    # The repr of bytes writes bytes in this way, and that of text writes characters.
    number = int(found[1], 16)
    return (bytes([number]), *_character(number)) if number >= 0x80 else (bytes([number]),)


_SKIP = _constant(b"")
# Escapes for ESC, or their beginnings at the end of the text.
_ESCAPE = rb"(?:u(?:\Z|0(?:\Z|0(?:\Z|1(?:\Z|[bB]))))|x(?:\Z|1(?:\Z|[bB]))|0(?:\Z|3(?:\Z|3))|[eE])"
_PARAMETERS = rb"[0-9;:?]{0,24}"

COLORS: dict[str, Rule] = {
    "colour code": Rule(b"\x1b", _SKIP, rb"\x1b", rb"\[", _PARAMETERS, rb"[mK]"),
    "escaped colour code": Rule(b"\\", _SKIP, _SLASHES, _ESCAPE, rb"\[", _PARAMETERS, rb"[mK]"),
}
TEXT_RULES: dict[str, Rule] = {
    **COLORS,
    "backslashes": Rule(b"\\", _constant(b"\\"), rb"\\", rb"\\"),
    "backslashes in JSON in JSON": Rule(b"\\", _constant(b"\\"), rb"\\", rb"\\", rb"\\", rb"\\"),
    "backslash": Rule(b"\\", lambda found: (found[1],), _SLASHES, b"(", rb"[\x00-/:-@\[\]-`{-\x7f]", b")"),
    "letter": Rule(b"\\", lambda found: (_LETTERS[found[1][0]],), _SLASHES, b"(", rb"[abtnvfreE]", b")"),
    "u": Rule(b"\\", _of_hex, _SLASHES, b"u", b"(", _HEX, _HEX, _HEX, _HEX, b")"),
    "u pair": Rule(
        b"\\",
        _of_pair,
        *(_SLASHES, b"u", b"(", b"[dD]", b"[89abAB]", _HEX, _HEX, b")"),
        *(_SLASHES, b"u", b"(", b"[dD]", b"[c-fC-F]", _HEX, _HEX, b")"),
    ),
    "u in braces": Rule(b"\\", _of_hex, _SLASHES, b"u", rb"\{", b"(", _HEX + b"{1,6}", b")", rb"\}"),
    "U": Rule(b"\\", _of_hex, _SLASHES, b"U", b"(", *[_HEX] * 8, b")"),
    "x": Rule(b"\\", _of_byte_or_character, _SLASHES, b"x", b"(", _HEX, _HEX, b")"),
    "octal": Rule(
        b"\\", lambda found: (bytes([int(found[1], 8)]),), _SLASHES, b"(", b"[0-3]", b"[0-7]", b"[0-7]", b")"
    ),
    "percent": Rule(b"%", _of_byte, b"%", b"(", _HEX, _HEX, b")"),
    "plus": Rule(b"+", _constant(b" "), rb"\+"),
    "HTML name": Rule(
        b"&", lambda found: (_NAMES[found[1]],) if found[1] in _NAMES else (), b"&", b"(", b"[a-z]{1,4}", b")", b";"
    ),
    "HTML number": Rule(b"&", lambda found: _character(int(found[1])), b"&", b"#", b"(", b"[0-9]{1,7}", b")", b";"),
    "HTML hex": Rule(b"&", _of_hex, b"&", b"#", b"[xX]", b"(", _HEX + b"{1,6}", b")", b";"),
    "shell quote": Rule(b"'", _constant(b"'"), b"'", _SLASHES, b"'", b"'"),
    "shell quote in double quotes": Rule(b"'", _constant(b"'"), b"'", rb"\\{0,7}", b'"', b"'", rb"\\{0,7}", b'"', b"'"),
    "shell dollar": Rule(b"'", _SKIP, b"'", rb"\$", b"'"),
    "two quotes": Rule(b"'", _constant(b"'", b""), b"'", b"'"),
    "two double quotes": Rule(b'"', _constant(b'"'), b'"', b'"'),
}
BASE64_RULES: dict[str, Rule] = {
    **COLORS,
    "break": Rule(b"\r\n", _SKIP, rb"[\r\n]", _BLANKS),
    "escaped break": Rule(b"\\", _SKIP, _SLASHES, b"[rn]", _BLANKS),
    "slash": Rule(b"\\", _constant(b"/"), _SLASHES, b"/"),
}
HEX_RULES: dict[str, Rule] = {
    **COLORS,
    "break": BASE64_RULES["break"],
    "escaped break": BASE64_RULES["escaped break"],
    "separator": Rule(b" \t:,.%-", _SKIP, rb"[ \t:,.%-]{1,3}"),
    # The text next to the digits, and the address of the next line.
    "line of a dump": Rule(
        b" \t\r\n",
        _SKIP,
        *(rb"(?:[ \t]{2,60}[^\r\n]{0,40})?", rb"\r?", rb"\n", *[_HEX] * 4, _HEX + rb"{0,12}", rb":?", rb"[ \t]{1,4}"),
    ),
}


class Family:
    """The spellings of text, base64 or hex.

    Args:
        rules: The rules by name.
        alias: The bytes that stand for another byte, with that byte.
        width: Rules apply only after a multiple of this number of plain bytes.
    """

    def __init__(self, rules: Mapping[str, Rule], alias: Mapping[bytes, bytes], width: int = 1) -> None:
        self.rules = rules
        self.width = width
        self.plain = [alias.get(bytes([number]), bytes([number])) for number in range(256)]
        # For each byte the bytes that stand for it, with the byte itself.
        self.written = [b""] * 256
        for number, plain in enumerate(self.plain):
            self.written[plain[0]] += bytes([number])
        self._by_lead: dict[int, list[Rule]] = {}
        for rule in rules.values():
            for number in rule.lead:
                self._by_lead.setdefault(number, []).append(rule)
        self.leads = frozenset(self._by_lead)

    def steps(self, data: bytes, at: int) -> tuple[list[tuple[bytes, int]], bool]:
        """Return the possible readings of the piece at a place.

        Args:
            data: A text.
            at: The place, where a rule may begin.

        Returns:
            Plain bytes and where the next piece begins, for each way to read it; whether more text could change that.
        """
        found = [(self.plain[data[at]], at + 1)]
        begun = False
        for rule in self._by_lead.get(data[at], ()):
            match = rule.match(data, at)
            if match is not None:
                # No rule may stand for a character of `FIXED`, which the index looks for as it is.
                found += [(plain, match.end()) for plain in rule.decode(match) if not FIXED.issuperset(plain or b" ")]
                found += [(plain, match.end()) for plain in rule.decode(match) if not plain]
            begun = begun or rule.may_begin(data, at)
        return found, begun


class _Text(Family):
    """Text: each of the usual line ends stands for a line feed."""

    def __init__(self, rules: Mapping[str, Rule], alias: Mapping[bytes, bytes]) -> None:
        super().__init__(rules, alias)
        self.leads |= frozenset(b"\r")

    def steps(self, data: bytes, at: int) -> tuple[list[tuple[bytes, int]], bool]:
        found, begun = super().steps(data, at)
        for _, end in [step for step in found if step[0] == b"\r"]:
            found.append((b"\n", end))
            if end == len(data):
                begun = True
            elif data[end] in b"\n\\%&":
                after, begun_after = super().steps(data, end)
                begun = begun or begun_after
                found += [step for step in after if step[0] == b"\n"]
        return found, begun


_LOWER = {bytes([upper]): bytes([upper]).lower() for upper in b"ABCDEF"}
TEXT = _Text(TEXT_RULES, {})
BASE64 = Family(BASE64_RULES, {b"-": b"+", b"_": b"/"})
HEX = Family(HEX_RULES, _LOWER, width=2)

_find_colors = re.compile(rb"(?:\x1b|\\{1,7}(?:u001[bB]|x1[bB]|033|[eE]))\[" + _PARAMETERS + rb"[mK]")


def strip_colors(data: bytes) -> bytes:
    """Remove the colour codes of a text."""
    return _find_colors.sub(b"", data)
