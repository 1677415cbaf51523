"""JSON Schema of the contract's classes, and of users' classes with any annotation that the converter reads."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, IntEnum
from types import NoneType
from typing import Annotated, Any, Generic, Literal, NewType, TypeVar
from uuid import UUID, uuid4

import attrs
import pytest

from cicd_common import ContractError
from cicd_common.fields import SOME, Between, Name, Rule, checked
from cicd_common.kinds import ScriptParameters
from cicd_common.model import Job
from cicd_common.schema import contract_types, schema
from cicd_common.values import JsonObject
from tests.support.contract import ENGINES, TYPES
from tests.support.schemas import validator

T = TypeVar("T")


class TestContract:
    def test_has_every_type(self) -> None:
        """The schema has every message, record and model, and their enums and values."""
        assert set(contract_types()) == set(TYPES)
        parts = {"EndReason", "Environment", "ExecutionStatus", "JsonObject"}
        assert set(schema()["$defs"]) == {cls.__name__ for cls in TYPES} | parts

    def test_is_in_order(self) -> None:
        """Definitions are sorted, so that two versions are easy to compare."""
        made = schema()
        assert list(made["$defs"]) == sorted(made["$defs"])
        assert list(made) == ["$schema", "title", "$comment", "$defs"]

    def test_is_new_all_through(self) -> None:
        """Each call returns a new schema that shares nothing with others."""
        before = json.dumps(schema())
        made = schema()
        for node in made["$defs"].values():
            for part in node.get("properties", {}).values():
                part.get("not", {}).clear()
                part.clear()
        assert json.dumps(schema()) == before

    def test_is_plain_json(self) -> None:
        """The schema is equal after a round trip through JSON text."""
        assert json.loads(json.dumps(schema(), allow_nan=False)) == schema()

    def test_has_required_keys_and_defaults(self) -> None:
        """Fields without a default are required, and constant defaults are in the schema."""
        for cls in TYPES:
            made = schema()["$defs"][cls.__name__]
            fields = attrs.fields_dict(cls)
            assert list(made["properties"]) == list(fields)
            assert made["required"] == [name for name, each in fields.items() if each.default is attrs.NOTHING]
            for name, each in fields.items():
                is_constant = each.default is not attrs.NOTHING and not isinstance(each.default, attrs.Factory)  # type: ignore[arg-type]
                assert ("default" in made["properties"][name]) is is_constant

    def test_describes_every_field(self) -> None:
        """Every field and every definition has a description."""
        for made in schema()["$defs"].values():
            assert made["description"]
            assert all(each["description"] for each in made.get("properties", {}).values())

    def test_one_type_has_what_it_refers_to(self) -> None:
        """The schema of one type has only the definitions that it refers to."""
        made = schema(Job)
        assert made["$ref"] == "#/$defs/Job"
        assert set(made["$defs"]) == {"Environment", "Job", "JsonObject"}
        assert made["$defs"]["Job"] == schema()["$defs"]["Job"]


class Colour(Enum):
    RED = "red"
    ONE = 1


class Level(IntEnum):
    """An enum of integers."""

    LOW = 1


@attrs.frozen
class Box(Generic[T]):
    """A generic class."""

    content: T
    more: list[T] = attrs.Factory(list)


class Token(str):
    __slots__ = ()


class Small(int):
    pass


UserId = NewType("UserId", Token)


@attrs.frozen
class Node:
    """A class that contains instances of itself."""

    children: tuple[Node, ...] = ()
    parent: Node | None = None


@dataclass
class Data:
    """A dataclass with defaults."""

    count: int = 3
    names: list[str] = field(default_factory=list)
    made: str = field(default_factory=lambda: "x")
    hidden: int = field(default=1, init=False)


HINTS: list[tuple[Any, Any, list[Any], list[Any]]] = [
    (Any, {}, [1, None, {"a": []}], []),
    (Any | None, {}, [1, None], []),
    (NoneType, {"type": "null"}, [None], [0]),
    (bool, {"type": "boolean"}, [True], [1, None]),
    (float, {"type": "number"}, [1, 1.5], ["1", True]),
    (list, {"type": "array", "items": {}}, [[], [1, "a"]], [{}, "a"]),
    (tuple, {"type": "array", "items": {}}, [[], [1, "a"]], [{}, "a"]),
    (dict, None, [{}, {"a": 1}], [[], "a"]),
    (list[bool], {"type": "array", "items": {"type": "boolean"}}, [[], [True]], [[1], {}]),
    (Sequence[bool], {"type": "array", "items": {"type": "boolean"}}, [[]], ["ab"]),
    (set[bool], {"type": "array", "items": {"type": "boolean"}}, [[True, True]], [[1]]),
    (deque[bool], {"type": "array", "items": {"type": "boolean"}}, [[]], [None]),
    (tuple[()], {"type": "array", "minItems": 0, "maxItems": 0}, [[]], [[1]]),
    (
        tuple[bool, float],
        {"type": "array", "prefixItems": [{"type": "boolean"}, {"type": "number"}], "minItems": 2, "maxItems": 2},
        [[True, 1]],
        [[True], [1, 1], [True, 1, 1], None],
    ),
    (Literal["a", 1, None], {"enum": ["a", 1, None]}, ["a", 1, None], ["b", 2, True, []]),  # noqa: PYI061 - a literal of null
    (Literal[Colour.RED], {"enum": ["red"]}, ["red"], ["blue"]),
    (bool | str, {"anyOf": [{"type": "boolean"}, {"type": "string"}]}, [True, "a"], [1, None]),
    (
        bool | str | None,
        {"anyOf": [{"type": "boolean"}, {"type": "string"}, {"type": "null"}]},
        [True, "a", None],
        [1, []],
    ),
    (dict[str, bool], None, [{}, {"": True}], [{"a": 1}, []]),
    (dict[Any, bool], None, [{"a": True}], [{"a": 1}]),
    (dict[UserId, bool], None, [{"a": True}], [{"a": 1}]),
    (Mapping[Name, bool], None, [{"a": True}], [{" ": True}, {"": True}]),
    (OrderedDict[UUID, bool], None, [{str(uuid4()): True}], [{"a": True}]),
    (dict[int, bool], None, [{"1": True, "-20": False}], [{"1.0": True}, {"01": True}, {"a": True}, {"1\n": True}]),
    (dict[float, bool], None, [{"1": True, "-2.5e+3": False}], [{".5": True}, {"a": True}]),
    (dict[bool, bool], None, [{"true": True}], [{"True": True}, {"1": True}]),
    (dict[bool | int, bool], None, [{"true": True, "1": True}], [{"1.5": True}]),
    (dict[Colour, bool], None, [{"red": True, "1": True}], [{"blue": True}]),
    (dict[Literal["a"], bool], None, [{"a": True}], [{"b": True}]),
    (Counter[str], None, [{"a": 1}], [{"a": "1"}, {"a": None}]),
    (Colour, None, ["red", 1], ["RED", "1", 2, None, [], True]),
    (Level, None, [1], [2, "1"]),
    (Token, None, ["", "a"], [1]),
    (Small, None, [1], ["1", 2**63, True]),
    (UserId, None, ["a"], [1]),
    (Annotated[list[bool], SOME, "note"], None, [[True]], [[]]),
    (Annotated[Name, Rule("short", lambda value: len(value) < 3, {"maxLength": 2})], None, ["ab"], ["abc", "", " "]),
    (Annotated[int, Rule("a port", Between(1, 65535), {"minimum": 1, "maximum": 65535})], None, [80], [0, 65536]),
    (Node, None, [{}, {"children": [{"children": []}], "parent": {}}], [{"children": [1]}, {"parent": {"x": 1}}, []]),
    (Box[int], None, [{"content": 1}, {"content": 1, "more": [2]}], [{"content": "a"}, {"content": 1, "more": ["a"]}]),
    (tuple[Box[str], ...], None, [[{"content": "a"}]], [[{"content": 1}], [{"content": "a", "x": 1}], {}]),
    (Data, None, [{}, {"count": 1, "names": ["a"], "made": "y"}], [{"hidden": 1}, {"names": [1]}, []]),
    (ScriptParameters, None, [{}, {"shell": "bash"}], [{"shell": "zsh"}]),
    (tuple[Job, ...], None, [[]], [[{}], {}]),
]


class TestAnnotations:
    @pytest.mark.parametrize(("hint", "expected", "right", "wrong"), HINTS, ids=lambda _: "")
    def test_what_is_valid_is_read(self, hint: Any, expected: Any, right: list[Any], wrong: list[Any]) -> None:
        """A document is valid exactly if the converter reads it."""
        made = schema(hint)
        root = {key: each for key, each in made.items() if key not in ("$schema", "$comment", "$defs")}
        assert expected in (None, root)
        for value in right:
            assert validator(hint).is_valid(value)
            ENGINES[0].loads(json.dumps(value), hint, strict=True)
        for value in wrong:
            assert not validator(hint).is_valid(value)
            with pytest.raises(ContractError):
                ENGINES[0].loads(json.dumps(value), hint, strict=True)

    def test_a_literal_of_one_does_not_accept_true(self) -> None:
        """A literal of 1 accepts 1 and refuses true, although both are equal in Python."""
        assert validator(Literal[1]).is_valid(1)
        assert not validator(Literal[1]).is_valid(True)

    def test_rules_of_others_hold_beside_those_of_the_type(self) -> None:
        """If two rules have the same keyword, the schema has both."""
        made = schema(Annotated[datetime, Rule("a day", bool, {"pattern": "^2026", "allOf": [{"minLength": 1}]})])
        assert made["pattern"] != "^2026"
        assert made["allOf"] == [{"pattern": "^2026", "allOf": [{"minLength": 1}]}]

    @pytest.mark.parametrize(
        "hint",
        [object, complex, defaultdict, T, type, bool | str | UUID, dict[int | str, bool], Enum("Odd", {"A": (1, 2)})],
    )
    def test_what_the_converter_does_not_read_has_none(self, hint: Any) -> None:
        """A schema of a hint that the converter cannot read is refused, and the error names the class and the field."""
        holder = attrs.frozen(type("Holder", (), {"__annotations__": {"odd": hint}}))
        with pytest.raises(TypeError, match=r"^Holder\.odd: expected .* and not "):
            schema(holder)


class TestDefaults:
    def test_are_written_as_documents_are(self) -> None:
        """Constant defaults are in the schema as the converter writes them, and defaults of factories are not."""

        @attrs.frozen
        class Settings:
            since: datetime = datetime(2026, 1, 31, tzinfo=UTC)
            level: Level = Level.LOW
            tags: tuple[str, ...] = ("a",)
            some: JsonObject = JsonObject({"a": 1})
            nothing: int | None = None
            items: list[int] = attrs.Factory(list)
            new: UUID = attrs.Factory(uuid4)
            own: int = attrs.Factory(lambda _: 1, takes_self=True)
            wrong: int = None  # type: ignore[assignment]
            hidden: int = attrs.field(default=1, init=False)
            _renamed: int = 1

        properties = schema(Settings)["$defs"]["Settings"]["properties"]
        assert {name: each["default"] for name, each in properties.items() if "default" in each} == {
            "since": "2026-01-31T00:00:00Z",
            "level": 1,
            "tags": ["a"],
            "some": {"a": 1},
            "nothing": None,
            "items": [],
            "_renamed": 1,
        }
        assert set(properties) - {"since", "level", "tags", "some", "nothing", "items", "_renamed"} == {
            "new",
            "own",
            "wrong",
        }
        assert "required" not in schema(Settings)["$defs"]["Settings"]

    def test_of_dataclasses(self) -> None:
        """Constant defaults of dataclasses are in the schema."""
        properties = schema(Data)["$defs"]["Data"]["properties"]
        assert {name: each.get("default") for name, each in properties.items()} == {
            "count": 3,
            "names": [],
            "made": None,
        }


class TestNames:
    def test_classes_of_one_name_are_told_apart(self) -> None:
        """Classes with the same name have definitions with the module in their names, and a number if necessary."""

        def job() -> Any:
            return attrs.frozen(type("Job", (), {"__annotations__": {"x": int}}))

        first, second = job(), job()

        @checked
        class Holder:
            __annotations__ = {"a": Job, "b": first, "c": second, "d": first}

        made = schema(attrs.frozen(Holder))
        names = ["Job", "tests.schema.test_build.Job", "tests.schema.test_build.Job_2", "tests.schema.test_build.Job"]
        [holder] = [each for name, each in made["$defs"].items() if name.endswith("Holder")]
        references = [each["$ref"] for each in holder["properties"].values()]
        assert references == [f"#/$defs/{name}" for name in names]
        assert all(name in made["$defs"] for name in names)

    def test_have_only_characters_of_identifiers(self) -> None:
        """Names of definitions have only characters that OpenAPI allows."""

        def made(name: str) -> Any:
            return attrs.frozen(type(name, (), {"__annotations__": {}, "__qualname__": f"f.<locals>.{name}"}))

        names = list(schema(tuple[made("A"), made("A")])["$defs"])
        assert names == ["A", "tests.schema.test_build.f._locals_.A"]


def test_needs_no_docstrings() -> None:
    """A Python without docstrings makes the same schema without descriptions."""
    code = "import json; from cicd_common.schema import schema; print(json.dumps(schema()))"
    done = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=True)
    made, expected = json.loads(done.stdout), schema()

    def bare(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: bare(each) for key, each in node.items() if key != "description" or not isinstance(each, str)}
        return [bare(each) for each in node] if isinstance(node, list) else node

    assert bare(made) == bare(expected)
    assert made != expected
