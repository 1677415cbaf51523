"""The spellings of other programs are masked, and other text is not."""

from __future__ import annotations

import base64
import html
import json
import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cicd_common.logging import MaskingStream, SecretMasker
from cicd_common.logging import _reader as reader_module
from cicd_common.logging._reader import Reader
from cicd_common.logging._spellings import BASE64, HEX, TEXT, Rule
from tests.support.logging_strategies import secrets, texts

SECRET = 'pä\'ss "w/rd"+<x>&\\y\n%zé?~😀 and hunter2hunter2'
WORD = "hunter2hunter2"


def masker_of(*known: str) -> SecretMasker:
    masker = SecretMasker()
    for secret in known:
        masker.add(secret)
    return masker


def through(masker: SecretMasker, text: str, size: int) -> str:
    """Return the output of a stream for a text in chunks."""
    seen: list[str] = []
    with MaskingStream(seen.append, masker) as stream:
        for at in range(0, len(text), size):
            stream.write(text[at : at + size])
    return "".join(seen)


def go_json(secret: str) -> str:
    written = json.dumps(secret, ensure_ascii=False)[1:-1]
    return written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def surround(text: str, code: str = "\x1b[01;31m\x1b[K", end: str = "\x1b[m\x1b[K") -> str:
    return text[:9] + code + text[9:12] + end + text[12:]


def base64_core(secret: str) -> str:
    octets = secret.encode()
    return base64.b64encode(b"123" + octets).decode()[4 : 4 + 8 * len(octets) // 6]


def dump(line: int, template: str, text: Callable[[str], str]) -> Callable[[str], str]:
    """Return the hex dump of some bytes."""

    def write(secret: str) -> str:
        octets = b"123" + secret.encode()
        lines = [octets[at : at + line] for at in range(0, len(octets), line)]
        shown = ["".join(chr(o) if 32 <= o < 127 else "." for o in part) for part in lines]
        return "".join(
            f"{number * line:08x}{template}{part.hex(' ')}  {text(beside)}\n"
            for number, (part, beside) in enumerate(zip(lines, shown, strict=True))
        )

    return write


# How other tools write a secret, by the rules that are needed to read it.
WRITTEN: dict[tuple[str, str], Callable[[str], str]] = {
    ("TEXT/backslash", "json of PHP"): lambda secret: json.dumps(secret)[1:-1].replace("/", "\\/"),
    ("TEXT/letter", "json"): lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    ("TEXT/u", "json of Go"): go_json,
    ("TEXT/u pair", "json, ASCII"): lambda secret: json.dumps(secret)[1:-1],
    ("TEXT/u in braces", "JavaScript"): lambda secret: "".join(f"\\u{{{ord(c):x}}}" if c > "~" else c for c in secret),
    ("TEXT/backslashes", "json, UTF-8"): lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    ("TEXT/backslashes in JSON in JSON", "json in json"): lambda secret: json.dumps(json.dumps(secret))[3:-3],
    ("TEXT/U", "ascii"): lambda secret: ascii(secret)[1:-1],
    ("TEXT/x", "repr of bytes"): lambda secret: repr(secret.encode())[2:-1],
    ("TEXT/octal", "git"): lambda secret: "".join(
        chr(o) if o < 127 and chr(o) not in '"\\\n' else f"\\{o:03o}" for o in secret.encode()
    ),
    ("TEXT/percent", "percent, lower case"): lambda secret: "".join(
        chr(o) if chr(o).isalnum() and o < 127 else f"%{o:02x}" for o in secret.encode()
    ),
    ("TEXT/plus", "form"): lambda secret: secret.replace(" ", "+"),
    ("TEXT/HTML name", "html"): html.escape,
    ("TEXT/HTML number", "markupsafe"): lambda secret: (
        html.escape(secret).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    ),
    ("TEXT/HTML hex", "html, hex"): lambda secret: html.escape(secret).replace("&amp;", "&#x26;"),
    ("TEXT/shell quote", "set -x"): lambda secret: secret.replace("'", "'\\''"),
    ("TEXT/shell quote in double quotes", "shlex"): lambda secret: secret.replace("'", "'\"'\"'"),
    ("TEXT/shell dollar", "printf of coreutils"): lambda secret: secret.replace("\n", "'$'\\n''"),
    ("TEXT/two quotes", "PowerShell"): lambda secret: secret.replace("'", "''"),
    ("TEXT/two double quotes", "CSV"): lambda secret: secret.replace('"', '""'),
    ("TEXT/colour code", "grep --color"): surround,
    ("TEXT/escaped colour code", "json of colours"): lambda secret: json.dumps(surround(secret))[1:-1],
    ("BASE64/break", "base64"): lambda secret: base64.encodebytes(b"123" + secret.encode() * 2).decode()[4:-12],
    ("BASE64/escaped break", "base64 in json"): lambda secret: json.dumps(
        base64.encodebytes(b"123" + secret.encode() * 2).decode()
    )[5:-14],
    ("BASE64/slash", "base64 of PHP"): lambda _: json.dumps(
        base64.b64encode(b"123" + SECRET.encode()).decode()
    ).replace("/", "\\/")[5:-2],
    ("BASE64/colour code", "base64, colours"): lambda secret: surround(base64_core(secret)),
    ("BASE64/escaped colour code", "base64, colours in json"): lambda secret: json.dumps(surround(base64_core(secret)))[
        1:-1
    ],
    ("HEX/separator", "hex with colons"): lambda secret: secret.encode().hex(":"),
    ("HEX/break", "xxd -p"): lambda secret: "\r\n".join(
        secret.encode().hex()[at : at + 60] for at in range(0, 2 * len(secret.encode()), 60)
    ),
    ("HEX/escaped break", "xxd -p in json"): lambda secret: "\\n".join(
        secret.encode().hex()[at : at + 60] for at in range(0, 2 * len(secret.encode()), 60)
    ),
    ("HEX/line of a dump", "xxd"): dump(16, ": ", str),
    ("HEX/line of a dump", "hexdump -C"): dump(16, "  ", lambda text: f"|{text}|"),
    ("HEX/line of a dump", "dump of eight"): dump(8, ": ", str),
    ("HEX/colour code", "hex, colours"): lambda secret: "\x1b[1m".join(
        secret.encode().hex()[at : at + 20] for at in range(0, 2 * len(secret.encode()), 20)
    ),
    ("HEX/escaped colour code", "hex, colours in json"): lambda secret: "\\u001b[1m".join(
        secret.encode().hex()[at : at + 20] for at in range(0, 2 * len(secret.encode()), 20)
    ),
}
FAMILIES = {"TEXT": TEXT, "BASE64": BASE64, "HEX": HEX}


def leftovers(masked: str) -> list[str]:
    """Return the parts of the secret that a masked text still has."""
    return [word for word in ("hunter2h", "2hunter2", 'ss "w', "nter2", "aHVudGVy", "68756e746572") if word in masked]


class TestOtherTools:
    """The spellings of many tools are masked."""

    @pytest.mark.parametrize("way", WRITTEN, ids=str)
    @pytest.mark.parametrize("size", [None, 1, 7])
    def test_masked(self, way: tuple[str, str], size: int | None) -> None:
        """The output of a tool is masked, as a whole and in chunks."""
        masker, text = masker_of(SECRET), f"x {WRITTEN[way](SECRET)} y\n"
        masked = masker.mask(text) if size is None else through(masker, text, size)
        assert leftovers(masked) == []
        assert masker.mask(text) == masked
        assert masked.startswith(("x ***", "x 0000"))

    @pytest.mark.parametrize("way", WRITTEN, ids=str)
    def test_each_rule_is_needed(self, way: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        """Without a rule the output of its tool is not masked."""
        name, rule = way[0].split("/")
        family = FAMILIES[name]
        fewer: dict[int, list[Rule]] = {
            lead: [one for one in rules if one is not family.rules[rule]] for lead, rules in family._by_lead.items()
        }
        monkeypatch.setattr(family, "_by_lead", fewer)
        text = WRITTEN[way](SECRET)
        assert not masker_of(SECRET).mask(f"x {text} y\n").startswith("x *** y")

    def test_each_rule_is_tested(self) -> None:
        """Every rule has a test."""
        rules = {f"{name}/{rule}" for name, family in FAMILIES.items() for rule in family.rules}
        assert rules == {rule for rule, _ in WRITTEN}

    @pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("size", [None, 1, 5])
    def test_line_ends(self, line_end: str, size: int | None) -> None:
        """A secret of several lines is found with the line ends of a terminal."""
        masker, text = masker_of("abc\ndefg\nhij\n"), line_end.join(["x abc", "defg", "hij", "y"])
        masked = masker.mask(text) if size is None else through(masker, text, size)
        assert masked == "x ***y"

    @pytest.mark.no_cover
    @pytest.mark.parametrize("columns", [64, 76])
    @pytest.mark.parametrize("offset", range(3))
    @pytest.mark.parametrize("line_end", ["\n", "\r\n", "\n    "])
    @pytest.mark.parametrize("secret", [WORD, "8 bytes.", "pässwörd" * 40])
    def test_base64_in_lines(self, columns: int, offset: int, line_end: str, secret: str) -> None:
        """The secret is found wherever it begins in the data, and wherever the line break is."""
        masker = masker_of(secret)
        for before in (offset, columns // 3 * 3 + offset, *range(columns * 3 // 4 - 16 + offset, columns * 3 // 4, 3)):
            octets = b"\xff" * before + secret.encode()
            digits = base64.b64encode(octets).decode()
            text = line_end.join(digits[at : at + columns] for at in range(0, len(digits), columns))
            kept = masker.mask(text).partition("***")
            assert len(kept[0].replace(line_end, "")) <= 8 * before // 6 + 2
            assert len(kept[2]) <= 4
            assert through(masker, text, 11) == "".join(kept)

    @pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
    @pytest.mark.parametrize(
        "command",
        ['printf "%q" "$S"', 'echo "${S@Q}"', 'set -x; : "$S"', "export -p", "declare -p S"],
    )
    @pytest.mark.parametrize("secret", ["it's $HOME `x` \"\\ and more", "two\nlines and a\ttab", "pässwörd € x"])
    @pytest.mark.parametrize("language", ["C", "C.UTF-8"])
    def test_bash(self, command: str, secret: str, language: str) -> None:
        """The output of a real shell is masked."""
        environment = {"S": secret, "LC_ALL": language, "PATH": "/usr/bin:/bin"}
        done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, check=True)
        masked = masker_of(secret).mask((done.stdout + done.stderr).decode("utf-8", "replace"))
        assert "***" in masked
        assert not [word for word in ("HOME `x", "lines and", "sswö", "more", "tab") if word in masked]

    @given(secrets, st.lists(st.booleans(), min_size=1), texts)
    @example("pä'ss\"word", [True, False], "")
    def test_percent_in_any_case(self, secret: str, cases: list[bool], after: str) -> None:
        """Percent-encoding in any mix of cases is masked."""
        octets = secret.encode()
        digits = [f"%{octet:02X}" if cases[n % len(cases)] else f"%{octet:02x}" for n, octet in enumerate(octets)]
        plain = [chr(octet) if (octet < 127 and chr(octet).isalnum()) or octet in b"-_." else None for octet in octets]
        text = "".join(a or b for a, b in zip(plain, digits, strict=True))
        assert not masker_of(secret).mask(f"{text} {after}").startswith(text)


class TestOtherText:
    """Text without secrets is not changed."""

    @pytest.mark.parametrize("count", [10, 3000])
    def test_looks_like_encodings(self, count: int) -> None:
        """Base64, hex dumps, escapes and colours without a secret are not changed."""
        masker = masker_of(*(f"{number:05}-hunter2-{number}" for number in range(count)))
        octets = bytes(number * 7919 % 256 for number in range(6000))
        for text in (
            base64.encodebytes(octets).decode(),
            octets.hex(" "),
            dump(16, ": ", str)(octets.decode("latin-1")),
            json.dumps(json.dumps(octets.decode("latin-1"))),
            "\x1b[1m%41\\x41\\101&#65;'\\''\r\n" * 500,
        ):
            assert masker.mask(text) is text
            assert through(masker, text, 97) == text

    @given(st.lists(st.text("hunter2-\\n\r\x1b[0m%&'\"", max_size=20)), st.lists(st.integers(0, 200)))
    def test_any_cut(self, parts: list[str], places: list[int]) -> None:
        """A stream gives the same result for any text, however it is cut."""
        text = WORD[:7].join(parts)
        masker = masker_of(WORD, 'n\\"\nter2h', "68756e7465722d")
        seen: list[str] = []
        with MaskingStream(seen.append, masker) as stream:
            for start, end in pairwise([0, *sorted(places), len(text)]):
                stream.write(text[start:end])
        assert "".join(seen) == masker.mask(text)


class TestMany:
    """The cost does not grow with the number of secrets."""

    @pytest.mark.parametrize("template", ["{:05}-hunter2-word", "prefix-of-all-{}-x", "{} pässwörd's", "\"'{:08}<>"])
    def test_same_as_few(self, template: str) -> None:
        """Each of many secrets is masked, and other text is not."""
        known = [template.format(number) for number in range(300)]
        masker = masker_of(*known)
        assert {masker.mask(f"x {secret} y") for secret in known} == {"x *** y"}
        assert {through(masker, f"x {secret} y", 1) for secret in known[:20]} == {"x *** y"}
        assert masker.mask("x hunter2 prefix-of-all y") == "x hunter2 prefix-of-all y"

    def test_reads_few_places(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With 3,000 secrets as many places of a text are read as with ten."""
        counts = []
        for count in (10, 3000):
            masker, places = masker_of(*(f"{n:05}-{n * 7919:x}-token" for n in range(count))), []
            read = Reader.read

            def counted(self: Reader, start: int, places: Any = places, read: Any = read) -> Any:
                places.append(start)
                return read(self, start)

            monkeypatch.setattr(Reader, "read", counted)
            masker.mask("the token 00007-d88f-token, given at 2026-01-02T12:04:05 to worker 7")
            monkeypatch.setattr(Reader, "read", read)
            counts.append(len(places))
        assert counts[1] <= 3 * counts[0]

    @pytest.mark.parametrize("character", ["\\", "'", '"', "%", "&", "+"])
    def test_reads_few_ways(self, character: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """If each character may begin many escapes, the cost grows linearly with the text."""
        secret, looked_up, counts = character.encode() * 20, [], []
        look_up = reader_module.bisect_left
        monkeypatch.setattr(reader_module, "bisect_left", lambda *given: looked_up.append(1) or look_up(*given))
        for size in (500, 1000):
            looked_up.clear()
            reader = Reader(TEXT, character.encode() * size, [secret], may_begin_special=True)
            ends = {reader.read(start)[0] for start in range(size)}
            assert max(ends) == size
            assert len(reader.states) <= len(secret) * size
            counts.append(len(looked_up))
        assert counts[1] <= 2.5 * counts[0]

    @pytest.mark.parametrize("size", [None, 7])
    def test_in_a_long_run_of_escapes(self, size: int | None) -> None:
        """A secret at the end of a long run of its first character is found in every spelling."""
        secret = "\\" * 20 + "'" * 5 + "x"
        masker = masker_of(secret)
        for run in ("\\" * 60, "\\" * 61, "'" * 60):
            for written in (secret, json.dumps(secret)[1:-1], secret.replace("'", "'\\''"), secret.replace("'", "''")):
                text = f"{run}{written} y"
                masked = masker.mask(text) if size is None else through(masker, text, size)
                assert masked.endswith("*** y")
                assert "x" not in masked

    def test_a_later_start_passes_over_less(self) -> None:
        """A secret behind too many empty quotes for an earlier start is found from a later one."""
        masker = masker_of(f"'''{WORD}")
        # Of the last 40 quotes, six stand for three. 17 pairs are passed over, five of them before the colour code.
        assert masker.mask("'" * 60 + f"\x1b[m{WORD} y") == "'" * 20 + "*** y"
