"""Reading and writing fields with every kind of annotation."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping, MutableMapping, MutableSequence, MutableSet, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum, auto
from typing import Annotated, Any, Generic, List, Literal, Optional, Tuple, TypedDict, TypeVar, Union  # noqa: UP035 - both
from uuid import UUID

import attrs
import pytest
from cattrs import override
from cattrs.errors import StructureHandlerNotFoundError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cicd_common import ContractError, make_converter
from cicd_common.converter import ContractConverter
from cicd_common.fields import Name, Ordinal, Refusal, Rule
from cicd_common.testing.strategies import names, texts, times, uuids
from cicd_common.values import JsonObject
from tests.support.contract import ENGINES, name_of

every_engine = pytest.mark.parametrize("engine", ENGINES, ids=name_of)


class Colour(Enum):
    RED = "red"
    GREEN = "green"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(Enum):
    TEXT = "1"
    NUMBER = 2
    TRUTH = True
    HALF = 0.5


class Word(StrEnum):
    YES = auto()
    NO = auto()


class Access(Flag):
    READ = auto()
    WRITE = auto()
    RUN = auto()


class Bits(IntFlag):
    ONE = 1
    TWO = 2


@attrs.frozen
class Point:
    x: int
    y: float = 0.0


@dataclasses.dataclass(frozen=True)
class Pair:
    left: int
    right: str = ""


CHOICE = Literal["a", 1, True, Colour.RED]
INT64 = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
MINUTES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# For each leaf, the strategy of its values.
LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    str: texts(),
    int: INT64,
    bool: st.booleans(),
    float: FLOATS,
    UUID: uuids(),
    datetime: times(),
    date: st.dates(),
    time: st.times(),
    timedelta: st.timedeltas() | st.sampled_from([timedelta.min, timedelta.max]),
    bytes: st.binary(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    Colour: st.sampled_from(Colour),
    Level: st.sampled_from(Level),
    Mixed: st.sampled_from(Mixed),
    Word: st.sampled_from(Word),
    Access: st.integers(0, 7).map(Access),
    Bits: st.integers(0, 200).map(Bits),
    Name: names(),
    Ordinal: st.integers(1, 2**63 - 1),
    CHOICE: st.sampled_from(["a", 1, True, Colour.RED]),
}
KINDS: dict[Any, str] = {
    **dict.fromkeys([str, UUID, datetime, date, time, timedelta, bytes, Decimal, Colour, Word, Name], "str"),
    **dict.fromkeys([int, Level, Access, Bits, Ordinal], "int"),
    bool: "bool",
    float: "float",
}
KEYS = [leaf for leaf in LEAVES if leaf not in (CHOICE, Name, Ordinal)]


def collections(item: Any, key: Any) -> list[tuple[Any, Any]]:
    """Annotations of collections, each with a function from strategies of items and keys to a strategy."""

    def of(kind: Any) -> Any:
        return lambda items, _: st.lists(items, max_size=3).map(kind)

    def mapping(kind: Any) -> Any:
        return lambda items, keys: st.dictionaries(keys, items, max_size=3).map(kind)

    return [
        (list[item], of(list)),
        (tuple[item, ...], of(tuple)),
        (deque[item], of(deque)),
        (Sequence[item], of(tuple)),
        (MutableSequence[item], of(list)),
        (tuple[item, item], lambda items, _: st.tuples(items, items)),
        (dict[key, item], mapping(dict)),
        (Mapping[key, item], mapping(dict)),
        (MutableMapping[key, item], mapping(dict)),
        (OrderedDict[key, item], mapping(OrderedDict)),
        (defaultdict[key, item], mapping(lambda items: defaultdict(None, items))),
    ]


SETS = [
    (lambda item: set[item], set),
    (lambda item: frozenset[item], frozenset),
    (lambda item: AbstractSet[item], frozenset),
    (lambda item: MutableSet[item], set),
]


@st.composite
def hints(draw: st.DrawFn, levels: int = 2) -> tuple[Any, st.SearchStrategy[Any]]:
    """An annotation, and the strategy of its values."""
    kind = draw(st.sampled_from(["leaf", "leaf", "collection", "set", "optional", "union", "class", "counter"]))
    leaf = draw(st.sampled_from(list(LEAVES)))
    if kind == "leaf" or levels == 0:
        return leaf, LEAVES[leaf]
    if kind == "union":
        by_kind = {KINDS[each]: each for each in draw(st.permutations(list(KINDS)))}
        chosen = draw(st.lists(st.sampled_from(sorted(by_kind)), min_size=2, max_size=4, unique=True))
        members = [by_kind[each] for each in chosen]
        if draw(st.booleans()):
            return Union[(*members, None)], st.one_of(st.none(), *(LEAVES[each] for each in members))
        return Union[tuple(members)], st.one_of(*(LEAVES[each] for each in members))  # noqa: UP007
    if kind == "class":
        return draw(
            st.sampled_from([(Point, st.builds(Point, INT64, FLOATS)), (Pair, st.builds(Pair, INT64, texts()))])
        )
    key = draw(st.sampled_from(KEYS))
    if kind == "counter":
        return Counter[key], st.dictionaries(LEAVES[key], INT64, max_size=3).map(Counter)
    if kind == "set":
        annotate, make = draw(st.sampled_from(SETS))
        return annotate(key), st.lists(LEAVES[key], max_size=3).map(make)
    inner, values = draw(hints(levels=levels - 1))
    if kind == "optional":
        return Optional[inner], st.none() | values  # noqa: UP045 - made at run time
    annotation, strategy = draw(st.sampled_from(collections(inner, key)))
    return annotation, strategy(values, LEAVES[key])


class TestRoundTrip:
    @settings(max_examples=settings.default.max_examples * 20)
    @given(data=st.data())
    def test_what_is_written_is_read_back(self, data: st.DataObject) -> None:
        """A field with any annotation is equal after a round trip, with equal bytes on both engines."""
        hint, values = data.draw(hints(), label="hint")
        cls = attrs.make_class("Made", {"field": attrs.field(type=hint)}, frozen=True)
        obj = cls(data.draw(values, label="value"))
        texts = {engine.dumps(obj) for engine in ENGINES}
        assert len(texts) == 1
        for engine in ENGINES:
            (text,) = texts
            for read in (engine.loads(text, cls), engine.loads(text, cls, strict=True)):
                assert (read, type(read.field)) == (obj, type(obj.field))
            assert engine.structure(engine.unstructure(obj), cls) == obj

    @every_engine
    @pytest.mark.parametrize("leaf", LEAVES, ids=range(len(LEAVES)))
    def test_of_a_leaf_alone(self, engine: ContractConverter, leaf: Any) -> None:
        """A leaf outside a class is equal after a round trip."""

        @given(LEAVES[leaf])
        def check(value: Any) -> None:
            assert engine.structure(engine.unstructure(value, leaf), leaf) == value

        check()

    @example({"a": [1, 2.5, None, True, {"b": "text"}]})
    @given(
        st.recursive(
            st.none() | st.booleans() | INT64 | FLOATS | texts(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
            max_leaves=8,
        )
    )
    def test_of_anything(self, value: Any) -> None:
        """Plain JSON data in a field of the type Any is equal after a round trip."""
        for engine in ENGINES:
            assert engine.loads(engine.dumps(Anything(value)), Anything) == Anything(value)


@attrs.frozen
class Anything:
    field: Any = None


@attrs.frozen
class Stack:
    """A class with all kinds of recursive fields."""

    child: Stack | None = None
    children: tuple[Stack, ...] = ()
    others: frozenset[Stack] = frozenset()
    named: Mapping[str, Stack] = attrs.field(factory=dict, eq=False)


@every_engine
def test_a_class_that_holds_itself_comes_back(engine: ContractConverter) -> None:
    """A recursive class is equal after a round trip."""
    deep = Stack(child=Stack(children=(Stack(others=frozenset([Stack()])),), named={"a": Stack(child=Stack())}))
    read = engine.loads(engine.dumps(deep), Stack)
    assert read == deep
    assert read.child is not None
    assert read.child.named == {"a": Stack(child=Stack())}


T = TypeVar("T")


@attrs.frozen
class Box(Generic[T]):
    content: T
    more: tuple[T, ...] = ()


@attrs.frozen
class Boxes(Box[int]):
    inner: Box[str] | None = None


class TestGenericClasses:
    @every_engine
    def test_come_back(self, engine: ContractConverter) -> None:
        """Generic classes and their derived classes are equal after a round trip, also if strict."""
        for strict in (False, True):
            plain = engine.unstructure(Box(UUID(int=1)), Box[UUID])
            assert engine.structure(plain, Box[UUID], strict=strict) == Box(UUID(int=1))
            text = engine.dumps(Boxes(1, (2,), Box("a")))
            assert engine.loads(text, Boxes, strict=strict) == Boxes(1, (2,), Box("a"))

    @every_engine
    @pytest.mark.parametrize("strict", [False, True])
    def test_are_refused_with_all_problems(self, engine: ContractConverter, strict: bool) -> None:
        """Fields are checked by the type arguments of the class or of its base, and all problems are listed."""
        with pytest.raises(ContractError) as caught:
            engine.structure({"content": "a", "more": [1, "b"], "inner": {"content": 1}}, Boxes, strict=strict)
        assert str(caught.value).splitlines()[1:] == [
            "  /content: expected an integer",
            "  /more/1: expected an integer",
            "  /inner/content: expected a string",
        ]
        with pytest.raises(ContractError, match="/content: missing: expected a UUID"):
            engine.structure({}, Box[UUID], strict=strict)

    @every_engine
    def test_name_the_place_of_what_is_not_written(self, engine: ContractConverter) -> None:
        """A value of another type than the type argument is not written, and the pointer has its place."""
        with pytest.raises(ContractError, match="Made: /field/content: expected an integer"):
            engine.dumps(made(Box[int])(Box("a")))


@every_engine
@pytest.mark.parametrize(
    ("hint", "value"),
    [(tuple["Stack", ...], (Stack(),)), (Optional["Stack"], Stack()), (dict[str, "Stack"], {"a": Stack()})],
    ids=str,
)
def test_names_of_classes_in_annotations_are_known(engine: ContractConverter, hint: Any, value: Any) -> None:
    """A forward reference inside an annotation is resolved."""
    obj = made(hint)(value)
    assert engine.loads(engine.dumps(obj), type(obj)) == obj


class TestBareCollections:
    """Annotations of collections without item types, which can contain any JSON data."""

    @every_engine
    @pytest.mark.parametrize(
        ("hint", "value"),
        [
            (list, [1, "a", [None], {"b": 1.5}]),
            (List, ["a"]),  # noqa: UP006
            (tuple, (1, "a", [None])),
            (Tuple, ("a",)),  # noqa: UP006
            (set, {"a"}),
            (frozenset, frozenset("a")),
            (deque, deque("ab")),
            (Sequence, ("a", "b")),
            (dict, {"a": [1]}),
            (Mapping, {"a": {"b": 1}}),
            (Counter, Counter("aab")),
            (list | None, ["a"]),
            (list[list], [["a"]]),
        ],
        ids=str,
    )
    def test_come_back(self, engine: ContractConverter, hint: Any, value: Any) -> None:
        """A bare collection is equal after a round trip, with the same type."""
        obj = made(hint)(value)
        read = engine.loads(engine.dumps(obj), type(obj))
        assert (read, type(read.field)) == (obj, type(value))

    @every_engine
    def test_alone_are_written_by_what_is_in_them(self, engine: ContractConverter) -> None:
        """Instances in a list, tuple or dict outside a class are written."""
        expected = {"a": [{"x": 1, "y": 0.0}, ["00000000-0000-0000-0000-000000000001"]]}
        assert engine.unstructure({"a": [Point(1), (UUID(int=1),)]}) == expected
        assert json.loads(engine.dumps({"a": [Point(1), (UUID(int=1),)]})) == expected


@every_engine
@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (None, None),
        (int | list[int] | None, None),
        (Literal["a"] | int, "a"),
        (Literal["a"] | int, 1),
        (float | str, 1.5),
    ],
    ids=str,
)
def test_a_member_of_a_union_comes_back(engine: ContractConverter, hint: Any, value: Any) -> None:
    """A member of a union is recognized by its JSON type."""
    obj = made(hint)(value)
    assert engine.loads(engine.dumps(obj), type(obj)) == obj


class Typed(TypedDict, total=False):
    x: int


@every_engine
def test_a_typed_dict_has_no_hook(engine: ContractConverter) -> None:
    """A TypedDict is refused, with a message that asks for hooks."""
    for make in (engine.get_structure_hook, engine.get_unstructure_hook):
        with pytest.raises(StructureHandlerNotFoundError, match="not the TypedDict Typed; register hooks for it"):
            make(Typed)


def made(hint: Any, **options: Any) -> Any:
    return attrs.make_class("Made", {"field": attrs.field(type=hint, **options)}, frozen=True)


A_UUID = "expected a UUID: 32 hexadecimal digits, with hyphens as 8-4-4-4-12 or without"
A_DURATION = "expected a duration as in RFC 3339, without years and months: P1DT2H30.5S"


class TestRefusals:
    """Problems have a pointer and say what was expected."""

    @every_engine
    @pytest.mark.parametrize(
        ("hint", "value", "pointer", "message"),
        [
            (Literal["a", "b"], "c", "/field", "expected one of a, b"),
            (Literal["a", "b"], 1, "/field", "expected one of a, b"),
            (Literal["a", True] | None, "b", "/field", "expected one of a, true"),
            (list, "ab", "/field", "expected a list"),
            (List, "ab", "/field", "expected a list"),  # noqa: UP006
            (tuple, {"a": 1}, "/field", "expected a list"),
            (set, "ab", "/field", "expected a list"),
            (dict, [1], "/field", "expected an object"),
            (set, [1, [2]], "/field", "expected items that a set can hold, no lists and objects"),
            (frozenset[list[int]], [[2]], "/field", "expected items that a set can hold, no lists and objects"),
            (Mixed, 1, "/field", "expected one of 1, 2, True, 0.5"),
            (Sequence[int], "12", "/field", "expected a list"),
            (Sequence[int], [1, "2", 3, "4"], "/field/1", "expected an integer"),
            (set[int], {"1": 2}, "/field", "expected a list"),
            (frozenset[str], ["a", 1], "/field/1", "expected a string"),
            (AbstractSet[int], 5, "/field", "expected a list"),
            (tuple[int, str], [1], "/field", "expected a list of 2"),
            (tuple[int, str], [1, 2], "/field/1", "expected a string"),
            (Mapping[str, int], [1], "/field", "expected an object"),
            (Mapping[str, int], {"a/b": "1"}, "/field/a~1b", "expected an integer"),
            (dict[int, str], {"1": "a", "x": "b"}, "/field/x", "expected an integer"),
            (dict[int, str], {"1.0": "a"}, "/field/1.0", "expected an integer"),
            (dict[int, str], {"01": "a"}, "/field/01", "expected an integer"),
            (dict[Level, str], {"3": "a"}, "/field/3", "expected one of 1, 2"),
            (int | str, [], "/field", "expected a string or an integer"),
            (int | str | None, [], "/field", "expected a string or an integer or null"),
            (
                UUID | int,
                "x",
                "/field",
                "expected a UUID: 32 hexadecimal digits, with hyphens as 8-4-4-4-12 or without",
            ),
            (list[int] | int, ["x"], "/field/0", "expected an integer"),
            (Access, 8, "/field", "expected a sum of some of 1, 2, 4"),
            (Access, -1, "/field", "expected a sum of some of 1, 2, 4"),
            (Access, "1", "/field", "expected an integer, a sum of some of 1, 2, 4"),
            (type(None), 1, "/field", "expected null"),
            (date, "2026-02-29", "/field", "expected a date as in RFC 3339: 2026-01-31"),
            (date, "20260131", "/field", "expected a date as in RFC 3339: 2026-01-31"),
            (float, 10**400, "/field", "expected a number in the range of a double"),
            (date, 20260131, "/field", "expected a date as a string"),
            (time, "12:00", "/field", "expected a time of day without an offset as in RFC 3339: 23:59:59.5"),
            (time, 12, "/field", "expected a time of day as a string"),
            (timedelta, "P1Y", "/field", A_DURATION),
            (
                timedelta,
                "P999999999W",
                "/field",
                "expected a duration as in RFC 3339, without years and months: P1DT2H30.5S",
            ),
            (timedelta, 1, "/field", "expected a duration as a string"),
            (bytes, "\u00e9", "/field", "expected bytes in base 85, in the alphabet of Python's b85encode"),
            (bytes, [1], "/field", "expected bytes in base 85 as a string"),
            (Decimal, "NaN", "/field", "expected a decimal number: -12.50"),
            (Decimal, "1_0", "/field", "expected a decimal number: -12.50"),
            (Decimal, "x", "/field", "expected a decimal number: -12.50"),
            (Decimal, 1.5, "/field", "expected a decimal number as a string"),
            (Point, [], "/field", "expected a Point as an object"),
            (Pair, [], "/field", "expected a Pair as an object"),
            (Pair, {}, "/field/left", "missing: expected an integer"),
            (Pair | None, {"left": "1"}, "/field/left", "expected an integer"),
            (dict[str, list[Pair]], {"a": [{"left": 1}, {}]}, "/field/a/1/left", "missing: expected an integer"),
        ],
    )
    def test_say_what_was_expected(
        self, engine: ContractConverter, hint: Any, value: Any, pointer: str, message: str
    ) -> None:
        """The first problem has the pointer and the message of the wrong part."""
        for strict in (False, True):
            with pytest.raises(ContractError) as caught:
                engine.structure({"field": value}, made(hint), strict=strict)
            assert (caught.value.problems[0].pointer, caught.value.problems[0].message) == (pointer, message)

    @every_engine
    @pytest.mark.parametrize(
        ("text", "pointer", "message"),
        [
            ("1e999", "/field", "expected a number in the range of a double"),
            ('{"a":[1,-1e999]}', "/field/a/1", "expected a number in the range of a double"),
            ("9223372036854775808", "/field", "expected an integer of at most 64 bits"),
            ("[" + "9" * 5_000 + "]", "/field/0", "expected an integer of at most 64 bits"),
        ],
    )
    def test_anything_is_in_range(self, engine: ContractConverter, text: str, pointer: str, message: str) -> None:
        """A field of the type Any refuses numbers that cannot be written."""
        with pytest.raises(ContractError) as caught:
            engine.loads(f'{{"field":{text}}}', Anything)
        assert [(each.pointer, each.message) for each in caught.value.problems] == [(pointer, message)]

    @every_engine
    def test_list_every_problem(self, engine: ContractConverter) -> None:
        """The problems of all items are listed, in every kind of container."""
        cls = attrs.make_class(
            "Made",
            {
                "items": attrs.field(type=set[int]),
                "pair": attrs.field(type=tuple[int, str]),
                "mapping": attrs.field(type=dict[int, Name]),
                "union": attrs.field(type=list[int] | int),
                "optional": attrs.field(type=list[int] | None),
            },
        )
        plain = {
            "items": ["1", 2, "3"],
            "pair": ["1", 2],
            "mapping": {"x": " ", "1": ""},
            "union": ["1", 2, None],
            "optional": [None, "1"],
        }
        with pytest.raises(ContractError) as caught:
            engine.structure(plain, cls)
        assert [each.pointer for each in caught.value.problems] == [
            *["/items/0", "/items/2", "/pair/0", "/pair/1", "/mapping/x", "/mapping/x", "/mapping/1"],
            *["/union/0", "/union/2", "/optional/0", "/optional/1"],
        ]


class Own:
    """A class that needs hooks."""


class TestWriting:
    @every_engine
    @pytest.mark.parametrize(
        ("hint", "value", "message"),
        [
            (int, 2**63, "/field: expected an integer of at most 64 bits"),
            (int, True, "/field: expected an integer"),
            (int, "1", "/field: expected an integer"),
            (str, Colour.RED, None),
            (float, float("nan"), "/field: expected a number in the range of a double"),
            (time, time(12, tzinfo=UTC), "/field: expected a time of day without an offset"),
            (datetime, datetime(2026, 1, 31), "/field: expected a time with an offset"),
            (date, datetime(2026, 1, 31, tzinfo=UTC), "/field: expected a date"),
            (Decimal, Decimal("inf"), "/field: expected a finite decimal number"),
            (Any, UUID(int=1), "/field: expected plain JSON data"),
            (Any, {"a": [1, (2,)]}, "/field/a/1: expected plain JSON data"),
            (Any, {1: 2}, "/field: expected strings as keys"),
            (list, [UUID(int=1)], "/field/0: expected plain JSON data"),
            (tuple, [1], "/field: expected a tuple"),
            (dict, {1: 2}, "/field: expected a string"),
            (dict[Any, int], {1: 2}, "/field: expected a string"),
            (Any, 2**63, "/field: expected an integer of at most 64 bits"),
            (Any, "\ud83d", "/field: expected a text without lone surrogates"),
            (Literal["a", 1], True, "/field: expected one of 1, a"),
            (Colour, Level.LOW, "/field: expected one of red, green"),
            (Sequence[int], [1], "/field: expected a tuple, which is what a list is read as"),
            (list[int], [1, 2**63], "/field/1: expected an integer of at most 64 bits"),
            (tuple[int, str], (1,), "/field: expected a tuple of 2"),
            (tuple[int, str], (1, 2), "/field/1: expected a string"),
            (dict[str, int], {"a": 2**63}, "/field/a: expected an integer of at most 64 bits"),
            (int | str, 1.5, "/field: expected a string or an integer"),
            (int | None, "x", "/field: expected an integer"),
            (type(None), 1, "/field: expected None"),
            (Name, " ", "/field: expected a name"),
            (Point, attrs.make_class("Derived", {}, bases=(Point,))(1), "/field: expected a Point itself"),
        ],
    )
    def test_what_could_not_be_read_back_is_refused(
        self, engine: ContractConverter, hint: Any, value: Any, message: str | None
    ) -> None:
        """A value that does not fit its annotation is refused with its place."""
        obj = made(hint)(value)
        if message is None:
            assert engine.loads(engine.dumps(obj), made(hint)).field == value.value
            return
        for write in (engine.dumps, engine.unstructure):
            with pytest.raises(ContractError) as caught:
                write(obj)
            assert str(caught.value).startswith(f"Made: {message}")

    @every_engine
    @pytest.mark.parametrize(
        "hint",
        [
            UUID | str,
            int | Level,
            list[int] | tuple[int, ...],
            dict[str, int] | Point,
            Literal["a"] | str,  # noqa: PYI051 - it is refused
            int | Own,
            dict[tuple[int, ...], int],
            dict[int | str, int],
            dict[int | None, int],
            dict[Point, int],
            Literal["red", Colour.RED],
            Enum("Odd", {"A": (1, 2)}),
            dict[Enum("Alike", {"A": "1", "B": 1}), int],  # type: ignore[misc]
        ],
        ids=lambda hint: getattr(hint, "__name__", str(hint)),
    )
    def test_what_json_cannot_tell_apart_has_no_hook(self, engine: ContractConverter, hint: Any) -> None:
        """An annotation whose values JSON cannot distinguish is refused for reading and writing."""
        for make in (engine.get_structure_hook, engine.get_unstructure_hook):
            with pytest.raises(StructureHandlerNotFoundError, match="register hooks for"):
                make(hint)
        with pytest.raises(StructureHandlerNotFoundError, match="register hooks for"):
            engine.structure({"field": 1}, made(hint))

    @every_engine
    def test_sets_have_one_order(self, engine: ContractConverter) -> None:
        """Equal sets are written as the same bytes."""
        many = [f"{number}" for number in range(100)]
        assert engine.dumps(made(set[str])(set(many))) == engine.dumps(made(set[str])({*reversed(many)}))

    @every_engine
    def test_plain_forms(self, engine: ContractConverter) -> None:
        """Values of the standard library are written as in RFC 3339 or as cattrs writes them."""
        values = [
            (date(2026, 1, 31), "2026-01-31"),
            (time(1, 2, 3, 500_000), "01:02:03.500000"),
            (timedelta(days=1, seconds=5, microseconds=250_000), "P1DT5.25S"),
            (-timedelta(seconds=1), "-PT1S"),
            (timedelta(), "P0D"),
            (timedelta(days=-2), "-P2D"),
            (b"bytes", "VQg?hZ2"),
            (Decimal("-12.50"), "-12.50"),
            (Access.READ | Access.RUN, 5),
        ]
        for value, plain in values:
            if type(value) is not bytes:
                assert engine.unstructure(made(type(value))(value)) == {"field": plain}
            assert engine.structure(engine.unstructure(value), type(value)) == value

    @pytest.mark.parametrize(
        ("text", "duration"),
        [
            ("P2W", timedelta(weeks=2)),
            ("P1DT1H1M1.5S", timedelta(days=1, hours=1, minutes=1, seconds=1.5)),
            ("-PT1M", -timedelta(minutes=1)),
            ("P", None),
            ("PT", None),
            ("P1DT", None),
            ("1D", None),
            ("PT1.S", None),
        ],
    )
    def test_durations_are_read_as_in_rfc_3339(self, text: str, duration: timedelta | None) -> None:
        """A duration has at least one of weeks, days, hours, minutes and seconds."""
        if duration is None:
            with pytest.raises(ContractError):
                ENGINES[0].structure(text, timedelta)
        else:
            assert ENGINES[0].structure(text, timedelta) == duration


class TestHooksOfOthers:
    @every_engine
    @pytest.mark.parametrize("error", [KeyError, AttributeError, ZeroDivisionError, LookupError, OSError])
    @pytest.mark.parametrize("strict", [False, True])
    def test_a_bug_comes_out_as_it_is(self, engine: ContractConverter, error: type[Exception], strict: bool) -> None:
        """An error of a hook other than ValueError and TypeError is raised unchanged."""
        own = make_converter(engine.engine)

        def read(_: Any, __: Any) -> Any:
            raise error("bug")

        own.register_structure_hook(Own, read)
        with pytest.raises(error, match="bug"):
            own.loads(b'{"field":1}', made(Own), strict=strict)

    @every_engine
    @pytest.mark.parametrize("error", [ValueError, TypeError])
    def test_a_refusal_is_a_problem(self, engine: ContractConverter, error: type[Exception]) -> None:
        """A ValueError or TypeError of a hook becomes a problem, without its message."""
        own = make_converter(engine.engine)

        def read(_: Any, __: Any) -> Any:
            raise error("secret")

        own.register_structure_hook(Own, read)
        with pytest.raises(ContractError) as caught:
            own.loads(b'{"field":1}', made(Own))
        assert str(caught.value) == "Made: /field: expected a Own"

    @every_engine
    def test_for_types_of_the_contract_count(self, engine: ContractConverter) -> None:
        """A hook for UUID is used for types of the contract, too, even if registered after the first use."""
        own = make_converter(engine.engine)
        obj = made(UUID)(UUID(int=1))
        assert own.dumps(obj) == b'{"field":"00000000-0000-0000-0000-000000000001"}'
        own.register_unstructure_hook(UUID, lambda value: value.hex)
        own.register_structure_hook(UUID, lambda value, _: UUID(value[::-1]))
        assert own.dumps(obj) == b'{"field":"00000000000000000000000000000001"}'
        assert own.loads(b'{"field":"10000000000000000000000000000000"}', type(obj)).field == UUID(int=1)
        from cicd_common.api.response import JobExecutionResponse
        from cicd_common.enums import ExecutionStatus

        response = JobExecutionResponse(job_execution_id=UUID(int=1), status=ExecutionStatus.RUNNING)
        text = own.dumps(response)
        assert text.startswith(b'{"job_execution_id":"00000000000000000000000000000001"')
        assert own.loads(text, JobExecutionResponse).job_execution_id == UUID(int=1 << 124)

    @every_engine
    def test_read_the_union_that_they_are_for(self, engine: ContractConverter) -> None:
        """A registered hook for a union replaces that of this package, also in a copy."""
        own = make_converter(engine.engine)
        union = int | Own
        own.register_structure_hook(union, lambda value, _: value + 1)
        assert own.structure(1, union) == own.copy().structure(1, union) == 2


@every_engine
def test_a_missing_null_is_told(engine: ContractConverter) -> None:
    """A field of the type None without a default is required."""
    with pytest.raises(ContractError, match="/field: missing: expected null"):
        engine.structure({}, made(type(None)))


class TestKeysOfOthers:
    """Keys of a type with hooks that this package does not know."""

    @every_engine
    def test_come_back_as_text(self, engine: ContractConverter) -> None:
        """A key is written and read with the hooks of its type."""
        own = make_converter(engine.engine)
        own.register_unstructure_hook(complex, str)
        own.register_structure_hook(complex, lambda value, _: complex(value))
        assert own.loads(own.dumps(made(dict[complex, int])({1j: 2})), made(dict[complex, int])).field == {1j: 2}

    @every_engine
    @pytest.mark.parametrize(
        ("written", "message"),
        [("same", "expected keys that JSON tells apart"), ([1], "expected a key that JSON carries as text")],
    )
    def test_are_refused_if_json_does_not_carry_them(
        self, engine: ContractConverter, written: Any, message: str
    ) -> None:
        """Keys are not written if the hook gives two keys the same text, or no text."""
        own = make_converter(engine.engine)
        own.register_unstructure_hook(complex, lambda _: written)
        own.register_structure_hook(complex, lambda value, _: complex(value))
        with pytest.raises(ContractError, match=f"/field: {message}"):
            own.dumps(made(dict[complex, int])({1j: 1, 2j: 2}))


@every_engine
def test_a_refusal_by_an_override_has_no_place(engine: ContractConverter) -> None:
    """A refusal in an override is a problem of the object, without a pointer to a field."""

    def refuse(_: Any) -> Any:
        raise Refusal("value", "expected something else")

    own = make_converter(engine.engine).copy(type_overrides={int: override(unstruct_hook=refuse)})
    with pytest.raises(ContractError, match="Made: expected something else"):
        own.dumps(made(int)(1))


Port = Annotated[int, Rule("a port", lambda value: 0 < value < 2**16)]


@every_engine
def test_rules_of_ones_own_hold_in_any_class(engine: ContractConverter) -> None:
    """A rule in an annotation is checked when reading and when writing."""
    assert engine.loads(b'{"field":80}', made(Port)).field == 80
    with pytest.raises(ContractError, match="/field: expected a port"):
        engine.loads(b'{"field":0}', made(Port))
    with pytest.raises(ContractError, match="/field: expected a port"):
        engine.dumps(made(Port)(0))


@every_engine
def test_a_json_object_stands_in_any_class(engine: ContractConverter) -> None:
    """A JsonObject in a class outside the contract is equal after a round trip."""
    obj = made(JsonObject)(JsonObject({"a": 1}))
    assert engine.loads(engine.dumps(obj), type(obj)) == obj


@every_engine
@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (dict[bool, int], {True: 1, False: 2}),
        (dict[float, int], {1.5: 1, 2.0: 2, 1e300: 3}),
        (dict[int, int], {-1: 1, 2**62: 2}),
        (dict[Level, int], {Level.LOW: 1}),
        (dict[UUID, int], {UUID(int=1): 1}),
        (OrderedDict[str, int], OrderedDict(b=1, a=2)),
        (defaultdict[str, list[int]], defaultdict(list, a=[1])),
        (defaultdict[str, int], defaultdict(int, a=1)),
        (Counter[str], Counter("aab")),
    ],
    ids=str,
)
def test_mappings_come_back(engine: ContractConverter, hint: Any, value: Any) -> None:
    """All kinds of mappings and keys are equal after a round trip, and a `defaultdict` has its factory again."""
    read = engine.loads(engine.dumps(made(hint)(value)), made(hint)).field

    assert read == value
    assert type(read) is type(value)
    assert getattr(read, "default_factory", None) == getattr(value, "default_factory", None)
