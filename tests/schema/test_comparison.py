"""The changes between two schemas and their effects, for each row of the table in the contract, in every nesting."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cicd_common import ContractError
from cicd_common.fields import SOME, Between, Name, Rule
from cicd_common.schema import Change, ChangeKind, Effect, compare, schema
from cicd_common.values import Environment, JsonObject
from tests.support.contract import ENGINES

WRITERS, READERS, LOST, MEANING = Effect


def record(name: str, **fields: Any) -> Any:
    """Make an attrs class. A field is an annotation, or an annotation and a default."""
    annotations = {key: each[0] if isinstance(each, tuple) else each for key, each in fields.items()}
    defaults = {key: each[1] for key, each in fields.items() if isinstance(each, tuple)}
    # With a docstring, the schema does not search the source, which is slow.
    text = "A record.\n\nAttributes:\n" + "".join(f"    {name}: A field.\n" for name in fields)
    return attrs.frozen(kw_only=True)(type(name, (), {"__doc__": text, "__annotations__": annotations, **defaults}))


class OpenEnum(Enum):
    """An enum that reads unknown values as its first one."""

    @classmethod
    def _missing_(cls, _: object) -> OpenEnum:
        return next(iter(cls))


def choice(*values: Any, is_open: bool = False) -> Any:
    """Make an enum of some values."""
    return (OpenEnum if is_open else Enum)("Choice", {f"M{value}": value for value in values})


def number(low: int, high: int) -> Any:
    return Annotated[int, Rule("a number", Between(low, high), {"minimum": low, "maximum": high})]


def pattern(text: str) -> Any:
    return Annotated[str, Rule(text, bool, {"pattern": text})]


Make = Callable[[Any], Any]
NESTINGS: dict[str, tuple[Make, str]] = {
    "a field": (lambda hint: record("Outer", x=hint), "/$defs/Outer/properties/x"),
    "a tuple": (lambda hint: record("Outer", x=tuple[hint, ...]), "/$defs/Outer/properties/x/items"),
    "a tuple in a tuple": (
        lambda hint: record("Outer", x=tuple[tuple[hint, ...], ...]),
        "/$defs/Outer/properties/x/items/items",
    ),
    "a tuple of two": (lambda hint: record("Outer", x=tuple[int, hint]), "/$defs/Outer/properties/x/prefixItems/1"),
    "an optional tuple": (lambda hint: record("Outer", x=tuple[hint, ...] | None), "/$defs/Outer/properties/x/items"),
    "a mapping": (lambda hint: record("Outer", x=dict[str, hint]), "/$defs/Outer/properties/x/additionalProperties"),
    "a union": (lambda hint: record("Outer", x=hint | tuple[int, ...]), "/$defs/Outer/properties/x"),
    "an optional field": (lambda hint: record("Outer", x=hint | None), "/$defs/Outer/properties/x"),
    "a shared type": (
        lambda hint: record("Outer", x=(part := record("Part", x=hint)), y=tuple[part, ...], z=part | None),
        "/$defs/Part/properties/x",
    ),
    "a root": (lambda hint: tuple[hint, ...], "/items"),
    "a root that may be null": (lambda hint: hint | None, ""),
}
every_nesting = pytest.mark.parametrize("nesting", NESTINGS)

TYPES: list[tuple[Any, Any, ChangeKind, str]] = [
    (number(1, 9), number(2, 9), ChangeKind.RULE_TIGHTENED, "minimum was 1 and is 2"),
    (number(1, 9), number(1, 8), ChangeKind.RULE_TIGHTENED, "maximum was 9 and is 8"),
    (number(1, 9), number(0, 9), ChangeKind.RULE_LOOSENED, "minimum was 1 and is 0"),
    (number(1, 9), number(1, 10), ChangeKind.RULE_LOOSENED, "maximum was 9 and is 10"),
    (str, pattern("a"), ChangeKind.RULE_TIGHTENED, "pattern"),
    (pattern("a"), str, ChangeKind.RULE_LOOSENED, "pattern"),
    (pattern("a"), pattern("b"), ChangeKind.RULE_CHANGED, "pattern"),
    (dict[str, str], dict[Name, str], ChangeKind.RULE_TIGHTENED, "minLength was not there and is 1"),
    (
        JsonObject,
        Annotated[JsonObject, Rule("", bool, {"minProperties": 1})],
        ChangeKind.RULE_TIGHTENED,
        "minProperties",
    ),
    (str, int, ChangeKind.TYPE_CHANGED, ""),
    (int, float, ChangeKind.TYPE_CHANGED, ""),
    (str, dict[str, str], ChangeKind.TYPE_CHANGED, ""),
    (str, record("Other"), ChangeKind.TYPE_CHANGED, ""),
    (record("Other"), dict[str, str], ChangeKind.TYPE_CHANGED, ""),
    (JsonObject, Environment, ChangeKind.RULE_TIGHTENED, "propertyNames"),
    (Environment, JsonObject, ChangeKind.RULE_LOOSENED, "propertyNames"),
]
NULLS = [(str, str | None, ChangeKind.NULL_ALLOWED), (str | None, str, ChangeKind.NULL_REFUSED)]
ENUMS: list[tuple[Any, Any, ChangeKind, str]] = [
    (choice("a"), choice("a", "b"), ChangeKind.VALUE_ADDED, '"b"'),
    (choice("a", "b"), choice("a"), ChangeKind.VALUE_REMOVED, '"b"'),
    (choice("a", is_open=True), choice("a", "b", is_open=True), ChangeKind.OPEN_VALUE_ADDED, '"b"'),
    (choice("a", "b", is_open=True), choice("a", is_open=True), ChangeKind.OPEN_VALUE_REMOVED, '"b"'),
    (choice("a"), choice("a", is_open=True), ChangeKind.RULE_LOOSENED, "values of an enum"),
    (choice("a", is_open=True), choice("a"), ChangeKind.RULE_TIGHTENED, "values of an enum"),
    (choice("a"), choice(1), ChangeKind.TYPE_CHANGED, ""),
]
FIELDS: list[tuple[Any, Any, ChangeKind]] = [
    ({}, {"f": (int, 0)}, ChangeKind.DEFAULT_FIELD_ADDED),
    ({}, {"f": (int | None, None)}, ChangeKind.DEFAULT_FIELD_ADDED),
    ({}, {"f": int}, ChangeKind.REQUIRED_FIELD_ADDED),
    ({"f": (int, 0)}, {"f": int}, ChangeKind.FIELD_BECAME_REQUIRED),
    ({"f": int}, {"f": (int, 0)}, ChangeKind.FIELD_BECAME_OPTIONAL),
    ({"f": (int, 0)}, {}, ChangeKind.DEFAULT_FIELD_REMOVED),
    ({"f": int}, {}, ChangeKind.REQUIRED_FIELD_REMOVED),
    ({"f": (int, 0)}, {"f": (int, 1)}, ChangeKind.DEFAULT_CHANGED),
    ({"f": (int, 0)}, {"f": (int, attrs.Factory(int))}, ChangeKind.DEFAULT_CHANGED),
    ({"f": (tuple[int, ...], ())}, {"f": (tuple[int, ...], (1,))}, ChangeKind.DEFAULT_CHANGED),
]


def changes(nesting: str, old: Any, new: Any) -> list[Change]:
    make, _ = NESTINGS[nesting]
    return compare(schema(make(old)), schema(make(new)))


class TestTable:
    """The effects of each kind of change, as in the last table of the contract."""

    @pytest.mark.parametrize(
        ("kind", "effects"),
        [
            (ChangeKind.DEFAULT_FIELD_ADDED, (LOST,)),
            (ChangeKind.REQUIRED_FIELD_ADDED, (WRITERS,)),
            (ChangeKind.FIELD_BECAME_REQUIRED, (WRITERS,)),
            (ChangeKind.FIELD_BECAME_OPTIONAL, (READERS,)),
            (ChangeKind.DEFAULT_FIELD_REMOVED, (LOST,)),
            (ChangeKind.REQUIRED_FIELD_REMOVED, (LOST, READERS)),
            (ChangeKind.RULE_TIGHTENED, (WRITERS,)),
            (ChangeKind.RULE_LOOSENED, (READERS,)),
            (ChangeKind.RULE_CHANGED, (WRITERS, READERS)),
            (ChangeKind.VALUE_ADDED, (READERS,)),
            (ChangeKind.VALUE_REMOVED, (WRITERS,)),
            (ChangeKind.OPEN_VALUE_ADDED, (MEANING,)),
            (ChangeKind.OPEN_VALUE_REMOVED, (MEANING,)),
            (ChangeKind.NULL_ALLOWED, (READERS,)),
            (ChangeKind.NULL_REFUSED, (WRITERS,)),
            (ChangeKind.ALTERNATIVE_ADDED, (READERS,)),
            (ChangeKind.ALTERNATIVE_REMOVED, (WRITERS,)),
            (ChangeKind.TYPE_CHANGED, (WRITERS, READERS)),
            (ChangeKind.DEFAULT_CHANGED, (MEANING,)),
            (ChangeKind.TYPE_ADDED, ()),
            (ChangeKind.TYPE_REMOVED, (WRITERS,)),
        ],
    )
    def test_effects(self, kind: ChangeKind, effects: tuple[Effect, ...]) -> None:
        """A change has the effects that its row names."""
        change = Change("/x", kind)

        assert change.effects == effects
        assert change.breaks == tuple(effect for effect in effects if effect in (WRITERS, READERS))

    def test_every_kind_is_in_it(self) -> None:
        """Every kind of change has a row in the test above."""
        [mark] = TestTable.test_effects.pytestmark  # type: ignore[attr-defined]
        assert {row[0] for row in mark.args[1]} == set(ChangeKind)

    def test_changes_are_said_in_words(self) -> None:
        """The text of a change has its pointer and its detail."""
        assert str(Change("/x", ChangeKind.NULL_ALLOWED)) == "/x: null is now allowed"
        assert str(Change("/x", ChangeKind.VALUE_ADDED, '"b"')) == '/x: a value of an enum was added: "b"'


@every_nesting
class TestNestings:
    @pytest.mark.parametrize(("old", "new", "kind", "detail"), TYPES)
    def test_types_and_rules(self, nesting: str, old: Any, new: Any, kind: ChangeKind, detail: str) -> None:
        """A change is listed with its pointer and its detail."""
        place = NESTINGS[nesting][1]
        found = [change for change in changes(nesting, old, new) if change.kind is kind]

        if nesting == "a union" and (kind is ChangeKind.TYPE_CHANGED or detail == "propertyNames"):
            # Types of a union are matched by JSON type and name.
            found = [Change(place, each) for each in (ChangeKind.ALTERNATIVE_REMOVED, ChangeKind.ALTERNATIVE_ADDED)]
            assert [change for change in changes(nesting, old, new) if "defs/Outer" in change.pointer] == found
            return
        assert any(change.pointer.startswith(place) and change.detail.startswith(detail) for change in found)

    @pytest.mark.parametrize(("old", "new", "kind"), NULLS)
    def test_null(self, nesting: str, old: Any, new: Any, kind: ChangeKind) -> None:
        """A change of null is listed unless the nesting allows null already."""
        is_allowed = nesting in ("an optional field", "a root that may be null")
        expected = [] if is_allowed else [Change(NESTINGS[nesting][1], kind)]
        assert changes(nesting, old, new) == expected

    @pytest.mark.parametrize(("old", "new", "kind", "detail"), ENUMS)
    def test_enums(self, nesting: str, old: Any, new: Any, kind: ChangeKind, detail: str) -> None:
        """Changes of an enum are listed at its definition."""
        found = changes(nesting, old, new)
        assert Change("/$defs/Choice", kind, detail) in found
        # A changed type in a union is also listed at the union.
        assert len(found) == 1 or kind is ChangeKind.TYPE_CHANGED

    @pytest.mark.parametrize(("old", "new", "kind"), FIELDS)
    def test_fields(self, nesting: str, old: Any, new: Any, kind: ChangeKind) -> None:
        """Changes of a class are listed once, at its definition."""
        found = changes(nesting, record("Inner", **old), record("Inner", **new))
        assert [(change.pointer, change.kind) for change in found] == [("/$defs/Inner/properties/f", kind)]

    def test_nothing_changed(self, nesting: str) -> None:
        """A comparison of a schema with itself finds no changes."""
        for hint in (
            str,
            choice("a"),
            choice("a", is_open=True),
            record("Inner", f=(int, 1)),
            JsonObject,
            number(1, 2),
        ):
            assert changes(nesting, hint, hint) == []


class TestAlternatives:
    @pytest.mark.parametrize(
        ("old", "new", "kinds"),
        [
            (int, int | str, [ChangeKind.ALTERNATIVE_ADDED]),
            (int | str, str, [ChangeKind.ALTERNATIVE_REMOVED]),
            (int | str, bool | str, [ChangeKind.ALTERNATIVE_REMOVED, ChangeKind.ALTERNATIVE_ADDED]),
            (int | str, bool | None, [ChangeKind.NULL_ALLOWED, ChangeKind.TYPE_CHANGED]),
            (int | str, bool | float, [ChangeKind.TYPE_CHANGED]),
            (int | str, number(1, 9) | str, [ChangeKind.RULE_TIGHTENED, ChangeKind.RULE_TIGHTENED]),
            (int | str, str | int, []),
            (Any, Any, []),
            (Any, str, [ChangeKind.NULL_REFUSED, ChangeKind.TYPE_CHANGED]),
            (Any, str | None, [ChangeKind.TYPE_CHANGED]),
            (str | None, Any, [ChangeKind.TYPE_CHANGED]),
            (None, None, []),
            (None, str | None, [ChangeKind.TYPE_CHANGED]),
            (tuple[int, str], tuple[int], [ChangeKind.TYPE_CHANGED]),
            (tuple[()], tuple[()], []),
        ],
    )
    def test_of_a_union(self, old: Any, new: Any, kinds: list[ChangeKind]) -> None:
        """Alternatives are matched by their JSON types, in any order."""
        found = compare(schema(record("Outer", x=old)), schema(record("Outer", x=new)))
        assert [change.kind for change in found] == kinds

    def test_of_classes(self) -> None:
        """Alternative classes are matched by their names."""
        first, second, third = record("First", a=int), record("Second", b=int), record("Third", c=int)
        found = compare(schema(record("Outer", x=first | second)), schema(record("Outer", x=third | second)))
        assert {str(change) for change in found} == {
            "/$defs/First: a type was removed",
            "/$defs/Outer/properties/x: another type is now allowed",
            "/$defs/Outer/properties/x: one of the types is no longer allowed",
            "/$defs/Third: a type was added",
        }

    def test_null_among_literals(self) -> None:
        """Null among literals is compared like null anywhere."""
        literal = {"$defs": {}, "enum": ["a", None]}
        assert compare(literal, {"$defs": {}, "enum": ["a"]}) == [Change("", ChangeKind.NULL_REFUSED)]


class TestDefinitions:
    def test_a_type_that_is_new_or_gone(self) -> None:
        """A new or removed type is listed by its name."""
        found = compare(schema(record("Old")), schema(record("New")))
        assert [str(change) for change in found] == ["/$defs/New: a type was added", "/$defs/Old: a type was removed"]

    def test_another_name_is_no_change_where_it_is_used(self) -> None:
        """A renamed type is compared with the old one, because documents do not contain names of types."""
        old, new = record("Old", f=int, g=int, again=Any), record("New", f=int, again=Any)
        for hint in (old, new):
            hint.__annotations__["again"] = tuple[hint, ...]
        found = compare(schema(record("Outer", x=old, y=old)), schema(record("Outer", x=new, y=new)))
        assert [str(change) for change in found if "$defs/Outer" in change.pointer] == [
            "/$defs/Outer/properties/x/properties/g: a required field was removed"
        ]

    def test_a_schema_without_a_root_has_none_to_compare(self) -> None:
        """A schema that has only definitions has no root to compare."""
        part = schema(record("Outer", x=int))
        assert compare({"$defs": part["$defs"]}, part) == []

    def test_descriptions_and_formats_do_not_count(self) -> None:
        """Changes of descriptions and formats are not listed, because they make no document invalid."""
        node = {"type": "string", "description": "a", "title": "a", "format": "a", "$comment": "a"}
        assert compare({**node, "$defs": {}}, {"type": "string", "$defs": {}}) == []

    @pytest.mark.parametrize(
        "wrong", [None, [], 1, {}, {"$defs": []}, {"$defs": {"A": 1}}, {"$ref": "#/$defs/A", "$defs": {}}]
    )
    def test_what_is_no_schema_is_refused(self, wrong: Any) -> None:
        """An old or new schema that is no schema is refused."""
        right = {"$ref": "#/$defs/A", "$defs": {"A": {"type": "string"}}}
        for pair in ((wrong, right), (right, wrong)):
            with pytest.raises(ValueError, match=r"expected JSON Schemas as cicd_common\.schema\.schema makes them"):
                compare(*pair)


# --- random versions -----------------------------------------------------------------------------------------------

HINTS: list[tuple[Any, list[Any]]] = [
    (int, [-1, 0, 5, 9]),
    (number(0, 5), [0, 5]),
    (str, ["", "a", "x"]),
    (Name, ["a", "x"]),
    (choice("a", "x"), ["a", "x"]),
    (choice("a", "b", is_open=True), ["a", "b"]),
    (bool, [True]),
    (int | None, [None, 1]),
    (int | str, [1, "a"]),
    (tuple[int, ...], [[], [1]]),
    (Annotated[tuple[int, ...], SOME], [[1]]),
    (tuple[int, str], [[1, "a"]]),
    (dict[str, int], [{}, {"a": 1}]),
    (JsonObject, [{}, {"a": 1}, {"A": ""}]),
    (Environment, [{}, {"A": ""}]),
    (record("Part", f=int), [{"f": 1}]),
    (record("Part", f=int, g=(int, 0)), [{"f": 1, "g": 1}]),
    (record("Part", f=int | None), [{"f": None}]),
]
PARTS = st.sampled_from(HINTS)
DEFAULTS = st.booleans()


@st.composite
def versions(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    """A version of a class, with a document that it writes."""
    names = draw(st.sets(st.sampled_from(["x", "y"])))
    drawn = {name: (draw(PARTS), draw(DEFAULTS)) for name in sorted(names)}
    fields = {name: (hint, attrs.Factory(object)) if has else hint for name, ((hint, _), has) in drawn.items()}
    return record("Outer", **fields), {name: draw(st.sampled_from(values)) for name, ((_, values), _) in drawn.items()}


def reads(cls: Any, document: dict[str, Any]) -> bool:
    try:
        ENGINES[0].loads(json.dumps(document), cls)
    except ContractError:
        return False
    return True


@pytest.mark.no_cover
@settings(max_examples=settings.default.max_examples * 20)
@given(versions(), versions())
def test_what_is_not_told_to_break_reads(old: Any, new: Any) -> None:
    """Without a breaking change, each version reads the documents of the other."""
    assume(reads(*old))
    assume(reads(*new))
    breaks = {effect for change in compare(schema(old[0]), schema(new[0])) for effect in change.breaks}

    assert WRITERS in breaks or reads(new[0], old[1])
    assert READERS in breaks or reads(old[0], new[1])
