"""What nests deeper than the interpreter can follow is read as all else is, up to one bound."""

import json
import sys
from typing import Any

import pytest
from contract import ENGINES, name_of, outcome
from documents import BLANKS, TOKENS, arbitrary_text, documents
from golden_files import full
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cicd_common import ContractError
from cicd_common._deep import MOST_LEVELS, parse_deep
from cicd_common._rules import Refusal
from cicd_common.api.request import JobStatusUpdate
from cicd_common.converter import ContractConverter
from cicd_common.model import Pipeline

UPDATE = full(JobStatusUpdate)
TOO_DEEP = "expected JSON that nests at most 10,000 levels deep"
every_engine = pytest.mark.parametrize("engine", ENGINES, ids=name_of)


def refuse_constant(name: str) -> Any:
    raise Refusal("syntax", name)


decoder = json.JSONDecoder(parse_constant=refuse_constant, parse_int=float)


def ending(read: Any, text: str) -> Any:
    """The exact text of what was read, or what stands before the place where it breaks, or what was refused."""
    try:
        return repr(read(text))
    except json.JSONDecodeError as error:
        return text[: error.pos].rstrip(", \t\n\r")  # Of a comma with nothing behind it, Python 3.13 tells the place.
    except Refusal as refusal:
        return refusal.message


def deep(text: str) -> Any:
    return parse_deep(text, decoder.scan_once)


def document(levels: int, opener: str = "[", closer: str = "]", inside: str = "1") -> str:
    """A `JobStatusUpdate` of so many levels, under a key that no one knows."""
    nested = opener * (levels - 1) + inside + closer * (levels - 1)
    return ENGINES[0].dumps(UPDATE).decode().replace("{", f'{{"unknown":{nested},', 1)


def problems(read: Any, *args: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(ContractError) as caught:
        read(*args)
    return [(problem.pointer, problem.code, problem.message) for problem in caught.value.problems]


def far_up(calls: int, read: Any, *args: Any) -> Any:
    """What reading ends in where the interpreter follows so many more calls, and no more."""
    frame, depth = sys._getframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1  # type: ignore[assignment]

    def call(more: int) -> Any:
        return call(more - 1) if more else outcome(read, *args)

    return call(sys.getrecursionlimit() - depth - calls)


class TestParseDeep:
    @pytest.mark.parametrize("blank", dict.fromkeys(BLANKS))
    @pytest.mark.parametrize("form", ["{0}", "[{0}]", "[1,{0}]", '{{"a":{0}}}', '{{"a":1,{0}:1}}', "[[],{{}},{0}"])
    def test_reads_every_token_as_json_does(self, form: str, blank: str) -> None:
        """In every place."""
        for token in TOKENS:
            text = blank + form.format(f"{blank}{token}{blank}") + blank
            assert ending(decoder.decode, text) == ending(deep, text)

    @settings(max_examples=settings.default.max_examples * 12)
    @given(data=st.one_of(arbitrary_text(), documents(Pipeline), documents(JobStatusUpdate)))
    @example(b'{"a":1,"b":[2,{"a":3,"a":4},[],{}],"c":{"d":{"e":[[null]]}}}')
    @example(b'{"a" 1}')
    @example(b'{"a":1 "b":2}')
    @example(b"{,}")
    @example(b"[1 2]")
    @example(b"[1}")
    @example(b'{"a":1]')
    def test_reads_every_text_as_json_does(self, data: bytes) -> None:
        """And breaks off where it does."""
        text = data.decode("utf-8", "replace")
        assert ending(decoder.decode, text) == ending(deep, text)

    def test_tells_where_a_text_breaks(self) -> None:
        """On the line and in the column."""
        text = "[\n" * 5_000 + "  x"
        with pytest.raises(ContractError) as caught:
            ENGINES[0].loads(text, JobStatusUpdate)
        assert "the text breaks at line 5001, column 3" in str(caught.value)


class TestBound:
    @every_engine
    @pytest.mark.parametrize(("opener", "closer"), [("[", "]"), ('{"a":', "}"), ('[1,{"a":"]", "b" : ', "} , [] ]")])
    def test_is_the_same_for_every_document(self, engine: ContractConverter, opener: str, closer: str) -> None:
        """Wherever the decoders of this interpreter give up."""
        opened = opener.count("[") + opener.count("{")
        for levels in (100, 900, *range(980, 1_001), *range(1_490, 1_501), *range(9_990, 10_001, 2)):
            text = document((levels - 1) // opened + 1, opener, closer)
            assert UPDATE == engine.loads(text, JobStatusUpdate) == engine.loads(text.encode(), JobStatusUpdate)
        for more in (1, 2, 10, 90_000):
            text = document((MOST_LEVELS - 1) // opened + 1 + more, opener, closer)
            assert problems(engine.loads, text, JobStatusUpdate) == [("", "syntax", TOO_DEEP)]

    @every_engine
    def test_is_one_of_ten_thousand_levels(self, engine: ContractConverter) -> None:
        """The object of the document is the first."""
        assert engine.loads(document(10_000), JobStatusUpdate) == UPDATE
        assert problems(engine.loads, document(10_001), JobStatusUpdate) == [("", "syntax", TOO_DEEP)]

    @every_engine
    def test_counts_no_brackets_in_texts(self, engine: ContractConverter) -> None:
        """Nor those that were closed."""
        for inside in ('"%s"' % ("[{" * 20_000), '"%s"' % ('\\"[' * 20_000), '"\\\\",%s1' % ("[],{}," * 20_000)):
            for levels in (2, 5_000, 9_999):
                assert engine.loads(document(levels, inside=inside), JobStatusUpdate) == UPDATE

    @every_engine
    def test_what_is_deep_is_looked_at(self, engine: ContractConverter) -> None:
        """It is JSON, or refused."""
        for inside in ("NaN", "1,", "01", '"\n"', "]", "[}", '{"a":1,"a"}', "", '"\\ud83d"'):
            for levels in (2, 5_000, 10_000):
                (found,) = problems(engine.loads, document(levels, inside=inside or "["), JobStatusUpdate)
                assert found[:2] == ("", "syntax")
        for inside in ("9" * 5_000, "1e999", '{"a":1,"a":2}', '"\\ud83d\\ude00"', " 1 "):
            assert engine.loads(document(5_000, inside=inside), JobStatusUpdate) == UPDATE

    @every_engine
    def test_what_the_types_hold_is_read_beside_it(self, engine: ContractConverter) -> None:
        """And what is wrong there is told as ever."""
        text = document(5_000).replace('"sequence":42', '"sequence":[]')
        for strict in (False, True):
            with pytest.raises(ContractError) as caught:
                engine.loads(text, JobStatusUpdate, strict=strict)
            pointers = [problem.pointer for problem in caught.value.problems]
            assert pointers == ["/sequence", "/unknown"][: 1 + strict]

    @every_engine
    def test_is_no_bound_of_plain_data(self, engine: ContractConverter) -> None:
        """What no one looks at may be anything."""
        nested: list[Any] = []
        for _ in range(20_000):
            nested = [nested]
        plain = engine.unstructure(UPDATE) | {"unknown": nested}
        assert engine.structure(plain, JobStatusUpdate) == UPDATE
        assert problems(lambda: engine.structure(plain, JobStatusUpdate, strict=True)) == [
            ("/unknown", "unknown", "expected no key of this name")
        ]


class TestStack:
    """How deep the caller's own calls are does not matter, as long as there is room for a few more."""

    @every_engine
    @pytest.mark.parametrize("levels", [1, 10, 100, 990, 10_000])
    def test_reading_ends_alike(self, engine: ContractConverter, levels: int) -> None:
        """Where thirty more calls can be made, with any document."""
        text = document(levels)
        for calls in (30, 31, 50, 100, 200):
            assert outcome(engine.loads, text, JobStatusUpdate) == far_up(calls, engine.loads, text, JobStatusUpdate)

    @every_engine
    @pytest.mark.parametrize("levels", [1, 10_000])
    def test_without_room_nothing_else_is_read(self, engine: ContractConverter, levels: int) -> None:
        """It ends as it should, or says that it can't."""
        text = document(levels)
        for calls in range(3, 30):
            try:
                found, _ = far_up(calls, engine.loads, text, JobStatusUpdate)
            except RecursionError:
                continue
            assert found in (UPDATE, None)

    def test_what_can_not_even_be_begun_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As one problem."""

        def no_room(*_: Any) -> None:
            raise RecursionError

        monkeypatch.setattr("cicd_common._wire.parse_deep", no_room)
        text = document(10_000, inside="[1]")
        assert problems(ENGINES[0].loads, text, JobStatusUpdate) == [
            ("", "syntax", "expected JSON that nests less deeply")
        ]
