"""The limit of nested levels, which is the same for every Python, engine and stack size."""

import sys
import threading
from typing import Any

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cicd_common import ContractError
from cicd_common._wire.depth import MAX_LEVELS, is_deep, is_deep_data
from cicd_common.api.request import JobStatusUpdate
from cicd_common.converter import ContractConverter
from tests.support.contract import ENGINES, name_of, outcome
from tests.support.golden_files import full

UPDATE = full(JobStatusUpdate)
TOO_DEEP = "expected JSON that nests at most 100 levels deep"
FORMS = [("[", "]"), ('{"a":', "}"), ('[1,{"a":"]", "b\\"}" : ', "} , [] ]"), ('[[],{"[":1,"a":', "}]")]
every_engine = pytest.mark.parametrize("engine", ENGINES, ids=name_of)
every_form = pytest.mark.parametrize(("opener", "closer"), FORMS)


def document(levels: int, opener: str = "[", closer: str = "]", inside: str = "1") -> str:
    """A `JobStatusUpdate` with this number of levels, in an unknown key."""
    nested = opener * (levels - 1) + inside + closer * (levels - 1)
    return ENGINES[0].dumps(UPDATE).decode().replace("{", f'{{"unknown":{nested},', 1)


def problems(read: Any, *args: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(ContractError) as caught:
        read(*args)
    return [(problem.pointer, problem.code, problem.message) for problem in caught.value.problems]


def levels_of(text: str) -> int:
    """The number of levels of a JSON text, counted character by character."""
    deepest = level = 0
    is_inside = is_escaped = False
    for character in text:
        if is_inside:
            is_inside = is_escaped or character != '"'
            is_escaped = not is_escaped and character == "\\"
        elif character == '"':
            is_inside = True
        elif character in "[{":
            level += 1
            deepest = max(deepest, level)
        elif character in "]}":
            level -= 1
    return deepest


def in_a_thread(stack: int, call: Any) -> Any:
    """The result of a function in a thread with this stack size in bytes."""
    found: list[Any] = []
    before = threading.stack_size(stack)
    try:
        thread = threading.Thread(target=lambda: found.append(call()))
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    return found[0]


texts = st.text('ab[]{}"\\,:🚀', max_size=10).map(lambda text: text.replace("\\", "\\\\").replace('"', '\\"'))
values = st.recursive(
    st.one_of(texts.map(lambda text: f'"{text}"'), st.just("1")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(texts, inner), max_size=3).map(
            lambda items: "{" + ",".join(f'"{key}" : {value}' for key, value in items) + "}"
        ),
        st.tuples(st.integers(1, 120), inner).map(lambda pair: "[" * pair[0] + pair[1] + "]" * pair[0]),
    ),
    max_leaves=20,
)


class TestIsDeep:
    @settings(max_examples=settings.default.max_examples * 8)
    @given(text=values)
    def test_counts_as_one_character_after_the_other_does(self, text: str) -> None:
        """`is_deep` agrees with a count character by character, also with brackets in texts and escaped quotes."""
        assert is_deep(text.encode()) == (levels_of(text) > MAX_LEVELS)

    @every_form
    @pytest.mark.parametrize("levels", [1, 8, 9, 99, 100, 101, 102, 1_000])
    def test_is_exact_around_the_bound(self, opener: str, closer: str, levels: int) -> None:
        """Every form of nesting is deep from level 101 on."""
        text = opener * levels + "1" + closer * levels
        assert is_deep(text.encode()) == (levels_of(text) > MAX_LEVELS)

    @pytest.mark.parametrize("text", ["[" * 100, "]" * 500, "[]" * 500, "[}" * 500, '"' * 500, '"' + "[" * 500])
    def test_what_is_no_json_is_not_deep(self, text: str) -> None:
        """A text that is not JSON is not deep, because a decoder stops at its syntax error."""
        assert not is_deep(text.encode())

    @example(b"[" * 300)
    @given(data=st.binary(max_size=400))
    def test_looks_at_any_bytes(self, data: bytes) -> None:
        """`is_deep` accepts any bytes without an error."""
        assert is_deep(data) in (True, False)


class TestBound:
    @every_engine
    @every_form
    def test_is_the_same_for_every_document(self, engine: ContractConverter, opener: str, closer: str) -> None:
        """Every form of nesting is read up to 100 levels, and refused beyond them, as text and as bytes."""
        opened = levels_of(opener)
        for levels in (1, 2, 50, 99, 100):
            text = document((levels - 1) // opened + 1, opener, closer)
            assert UPDATE == engine.loads(text, JobStatusUpdate) == engine.loads(text.encode(), JobStatusUpdate)
        for more in (1, 2, 10, 9_900, 90_000):
            text = document((MAX_LEVELS - 1) // opened + 1 + more, opener, closer)
            for data in (text, text.encode(), bytearray(text.encode()), memoryview(text.encode())):
                assert problems(engine.loads, data, JobStatusUpdate) == [("", "syntax", TOO_DEEP)]

    @every_engine
    def test_counts_no_brackets_in_texts(self, engine: ContractConverter) -> None:
        """Brackets in texts and closed brackets do not count as levels."""
        for inside in ('"%s"' % ("[{" * 20_000), '"%s"' % ('\\"[' * 20_000), '"\\\\",%s1' % ("[],{}," * 20_000)):
            for levels in (2, 50, 99):
                assert engine.loads(document(levels, inside=inside), JobStatusUpdate) == UPDATE

    @every_engine
    def test_what_is_deep_is_looked_at(self, engine: ContractConverter) -> None:
        """The value of an unknown key must be valid JSON, at any depth."""
        for inside in ("NaN", "1,", "01", '"\n"', "]", "[}", '{"a":1,"a"}', "", '"\\ud83d"'):
            for levels in (2, 50, 100):
                (found,) = problems(engine.loads, document(levels, inside=inside or "["), JobStatusUpdate)
                assert found[:2] == ("", "syntax")
        for inside in ("9" * 5_000, "1e999", '{"a":1,"a":2}', '"\\ud83d\\ude00"', " 1 "):
            assert engine.loads(document(99, inside=inside), JobStatusUpdate) == UPDATE

    @every_engine
    def test_what_the_types_hold_is_read_beside_it(self, engine: ContractConverter) -> None:
        """Problems of other fields are found in a document with a deep value."""
        text = document(100).replace('"sequence":42', '"sequence":[]')
        for strict in (False, True):
            with pytest.raises(ContractError) as caught:
                engine.loads(text, JobStatusUpdate, strict=strict)
            pointers = [problem.pointer for problem in caught.value.problems]
            assert pointers == ["/sequence", "/unknown"][: 1 + strict]

    @every_engine
    def test_tells_where_a_text_breaks(self, engine: ContractConverter) -> None:
        """A syntax error after 100 levels is reported with its line and column."""
        with pytest.raises(ContractError) as caught:
            engine.loads("[\n" * 100 + "  x", JobStatusUpdate)
        assert "the text breaks at line 101, column 3" in str(caught.value)


def nested(levels: int, kind: Any = list) -> Any:
    """Plain data with this number of levels."""
    data: Any = kind()
    for _ in range(levels - 1):
        data = [data] if kind is list else {"a": data}
    return data


class TestPlainData:
    @every_engine
    @pytest.mark.parametrize("kind", [list, dict])
    def test_has_the_same_bound(self, engine: ContractConverter, kind: Any) -> None:
        """Plain data has the same limit of 100 levels, also in an unknown key."""
        plain = engine.unstructure(UPDATE)
        assert engine.structure(plain | {"unknown": nested(99, kind)}, JobStatusUpdate) == UPDATE
        for levels in (100, 101, 20_000):
            deep = plain | {"unknown": nested(levels, kind)}
            assert problems(engine.structure, deep, JobStatusUpdate) == [("", "syntax", TOO_DEEP)]

    def test_that_holds_itself_is_refused(self) -> None:
        """Data with a cycle is deep."""
        data: list[Any] = []
        data += [data, data]
        assert is_deep_data(data)

    def test_that_shares_its_parts_is_looked_at_once_a_level(self) -> None:
        """Data with 2^100 paths through shared parts is checked quickly."""
        data: Any = 1
        for _ in range(MAX_LEVELS):
            data = [data, data]
        assert not is_deep_data(data)
        assert is_deep_data([data])

    @pytest.mark.parametrize("data", [None, 1, "text", [], {}, [[1], {"a": [2]}]])
    def test_that_is_shallow_passes(self, data: Any) -> None:
        """Data with few or no levels is not deep."""
        assert not is_deep_data(data)


@attrs.frozen
class Tree:
    """A recursive class."""

    branch: "list[Tree]" = attrs.field(factory=list)


attrs.resolve_types(Tree)


def tree(levels: int) -> Tree:
    """A tree whose JSON has this number of levels: an object and a list for each branch."""
    made = Tree()
    for _ in range(levels // 2 - 1):
        made = Tree(branch=[made])
    return made


class TestWriting:
    @every_engine
    def test_what_could_not_be_read_is_not_written(self, engine: ContractConverter) -> None:
        """A recursive object with more than 100 levels is not written."""
        assert engine.loads(engine.dumps(tree(100)), Tree) == tree(100)
        assert problems(engine.dumps, tree(102)) == [("", "value", TOO_DEEP)]


class TestStack:
    """Reading does not depend on the stack size or on the depth of the calls before it."""

    @every_engine
    @pytest.mark.parametrize("levels", [1, 10, 100, 101, 10_000, 100_000])
    def test_a_small_stack_is_enough(self, engine: ContractConverter, levels: int) -> None:
        """A thread with a stack of 256 KiB reads and refuses the same documents."""
        text = document(levels)
        for data in (text, text.encode()):
            expected = outcome(engine.loads, data, JobStatusUpdate)
            assert in_a_thread(256 * 1024, lambda data=data: outcome(engine.loads, data, JobStatusUpdate)) == expected

    @every_engine
    @pytest.mark.parametrize("levels", [99, 101, 10_000])
    def test_a_small_stack_is_enough_for_plain_data(self, engine: ContractConverter, levels: int) -> None:
        """A thread with a stack of 256 KiB has the same results with plain data."""
        plain = engine.unstructure(UPDATE) | {"unknown": nested(levels)}
        expected = outcome(engine.structure, plain, JobStatusUpdate)
        assert in_a_thread(256 * 1024, lambda: outcome(engine.structure, plain, JobStatusUpdate)) == expected

    @every_engine
    def test_a_small_stack_is_enough_for_a_class_that_holds_itself(self, engine: ContractConverter) -> None:
        """A thread with a stack of 256 KiB reads and writes 100 levels of a recursive class."""
        data = engine.dumps(tree(100))
        assert in_a_thread(256 * 1024, lambda: engine.dumps(engine.loads(data, Tree))) == data

    @every_engine
    @pytest.mark.parametrize("levels", [1, 10, 100, 101, 10_000])
    def test_few_calls_are_enough(self, engine: ContractConverter, levels: int) -> None:
        """Reading has the same result with only 150 calls left before the recursion limit."""
        text = document(levels)
        expected = outcome(engine.loads, text, JobStatusUpdate)
        for calls in (150, 200, 300):
            assert expected == far_up(calls, engine.loads, text, JobStatusUpdate)


def far_up(calls: int, read: Any, *args: Any) -> Any:
    """The outcome of reading with this number of calls left before the recursion limit."""
    frame, depth = sys._getframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1  # type: ignore[assignment]

    def call(more: int) -> Any:
        return call(more - 1) if more else outcome(read, *args)

    return call(sys.getrecursionlimit() - depth - calls)
