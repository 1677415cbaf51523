"""JSON objects as values: canonical text, equality, and invalid values, on both engines."""

import copy
import json
import pickle
from collections import UserDict
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import attrs
import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from cicd_common import ContractError
from cicd_common.converter import ContractConverter
from cicd_common.fields import checked
from cicd_common.testing.strategies.json import EDGE_KEYS, EDGE_NUMBERS, json_objects, plain_objects
from cicd_common.values import MAX_BYTES, MAX_INTEGER, MAX_LEVELS, Environment, JsonObject
from tests.support.contract import ENGINES, name_of, outcome


@attrs.frozen(kw_only=True)
@checked
class Holder:
    """A checked class with all kinds of fields with JSON objects."""

    parameters: JsonObject
    environment: Environment = Environment()
    other: JsonObject | None = None
    more: tuple[JsonObject, ...] = ()


@attrs.frozen
class PlainHolder:
    """An attrs class outside the contract."""

    parameters: JsonObject
    ratio: float = 0.5


def problems_of(make: Callable[..., Any], *args: Any) -> list[tuple[str, str]]:
    with pytest.raises(ContractError) as caught:
        make(*args)
    return [(problem.pointer, problem.code) for problem in caught.value.problems]


def doubles(value: Any) -> Any:
    """JSON data with all numbers as doubles, because the oracle refuses integers above 2^53 - 1."""
    if isinstance(value, Mapping):
        return {key: doubles(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [doubles(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def nested(levels: int) -> dict[str, Any]:
    """An object with this number of levels, objects and lists in turn."""
    value: Any = {}
    for level in range(1, levels):
        value = [value] if level % 2 and level < levels - 1 else {"a": value}
    return value  # type: ignore[no-any-return]


class TestCanonicalText:
    @given(plain_objects())
    @example(dict.fromkeys(EDGE_KEYS, 1))
    @example({"numbers": EDGE_NUMBERS})
    def test_it_is_what_the_oracle_writes(self, plain: dict[str, Any]) -> None:
        """The text equals that of ``rfc8785``, an independent implementation."""
        assert rfc8785.dumps(doubles(plain)).decode() == JsonObject(plain).text

    @pytest.mark.parametrize("engine", ENGINES, ids=name_of)
    @given(plain_objects())
    def test_it_does_not_depend_on_who_reads(self, engine: ContractConverter, plain: dict[str, Any]) -> None:
        """An object that an engine reads has the same text as one constructed from the same data."""
        text = json.dumps(plain)

        assert JsonObject(plain).text == engine.loads(f'{{"parameters":{text}}}', Holder).parameters.text

    @pytest.mark.parametrize("engine", ENGINES, ids=name_of)
    @given(json_objects())
    def test_it_is_read_back(self, engine: ContractConverter, value: JsonObject) -> None:
        """The text is read as an equal object, with the same types of numbers."""
        again = engine.loads(value.text, JsonObject)

        assert repr(value) == repr(again)
        assert value.text == again.text

    @given(json_objects())
    def test_objects_inside_have_theirs(self, value: JsonObject) -> None:
        """The text of an inner object is a part of the outer text."""
        for key, each in value.items():
            if isinstance(each, JsonObject):
                assert JsonObject({key: each}).text in (f"{{{json.dumps(key, ensure_ascii=False)}:{each.text}}}",)


class TestWire:
    @pytest.mark.parametrize("writer", ENGINES, ids=name_of)
    @pytest.mark.parametrize("reader", ENGINES, ids=name_of)
    @given(json_objects(), json_objects(), st.booleans())
    def test_a_class_that_holds_them_travels(
        self, writer: ContractConverter, reader: ContractConverter, first: JsonObject, second: JsonObject, null: bool
    ) -> None:
        """A class with JSON objects is equal after a round trip, with the same canonical bytes on both engines."""
        holder = Holder(parameters=first, other=None if null else second, more=(second, first))
        data = writer.dumps(holder)

        assert data == reader.dumps(holder)
        assert f'{{"parameters":{first.text},"environment":{{}}'.encode() in data
        assert holder == reader.loads(data, Holder)
        assert holder == reader.loads(data, Holder, strict=True)
        assert holder == reader.structure(writer.unstructure(holder), Holder)

    @pytest.mark.parametrize("engine", ENGINES, ids=name_of)
    @given(json_objects(), st.floats(allow_nan=False, allow_infinity=False))
    def test_other_classes_write_them_canonically_too(
        self, engine: ContractConverter, value: JsonObject, ratio: float
    ) -> None:
        """A class outside the contract also writes the canonical text of its JSON objects."""
        data = engine.dumps(PlainHolder(value, ratio))

        assert f'{{"parameters":{value.text},"ratio":'.encode() in data
        assert PlainHolder(value, ratio) == engine.loads(data, PlainHolder)

    @pytest.mark.parametrize(
        "text",
        [
            '{"a":9007199254740993}', '{"a":100000000000000000001}', '{"a":123456789012345678901234567890}',
            '{"a":1e999}',
            '{"a":-1e999}', '{"a":NaN}', '{"a":Infinity}', '{"a":"\\ud800"}', '{"\\ud800":1}', "[]", "1", "null", '"x"',
            f'{{"a":{"1" * 400}}}', f'{{"a":{"1" * 5000}}}', f'{{"a":"{"x" * MAX_BYTES}"}}',
            f'{{"a":"{"é" * (MAX_BYTES // 2)}"}}',
            json.dumps(nested(MAX_LEVELS + 1)), '{"a":' * 500 + "1" + "}" * 500, '{"a":' * 20_000 + "1" + "}" * 20_000,
            f'{{"a":[{",".join(["1"] * MAX_BYTES)}]}}',
        ],
        ids=lambda text: text[:20],
    )  # fmt: skip
    def test_engines_refuse_alike(self, text: str) -> None:
        """Both engines refuse an invalid object with the same problems."""
        documents = [f'{{"parameters":{text}}}', f'{{"parameters":{{}},"more":[{{}},{text}]}}']
        for document in documents:
            results = [outcome(engine.loads, document, Holder) for engine in ENGINES]

            assert results[0] == results[-1]
            assert results[0][0] is None

    @pytest.mark.parametrize(
        ("text", "canonical"),
        [
            ('{"a":1,"a":2}', '{"a":2}'),
            ('{"a":1e20}', '{"a":100000000000000000000}'),
            ('{"a":100000000000000000000}', '{"a":100000000000000000000}'),
            ('{"a":1152921504606846976}', '{"a":1152921504606847000}'),
            ('{"a":1152921504606847000}', '{"a":1152921504606847000}'),
            ('{"a":-0}', '{"a":0}'),
            ('{"a":-0.0}', '{"a":0}'),
            ('{"a":1e-400}', '{"a":0}'),
            ('{"a":9007199254740993.0}', '{"a":9007199254740992}'),
            ('{"\\ud83d\\ude00":1,"\\ue000":2}', '{"\U0001f600":1,"\ue000":2}'),
            (json.dumps(nested(MAX_LEVELS)), None),
            (f'{{"a":"{"x" * (MAX_BYTES - 8)}"}}', None),
            (f'{{"a":"{"é" * (MAX_BYTES // 2 - 4)}"}}', None),
        ],
    )
    def test_engines_accept_alike(self, text: str, canonical: str | None) -> None:
        """Both engines read a valid object with the same canonical text."""
        document = f'{{"parameters":{text}}}'
        expected = canonical or text.replace(" ", "")

        assert [expected] * len(ENGINES) == [engine.loads(document, Holder).parameters.text for engine in ENGINES]

    @pytest.mark.parametrize("engine", ENGINES, ids=name_of)
    def test_an_exact_integer_survives_a_document_of_hopeless_ones(self, engine: ContractConverter) -> None:
        """A number with too many digits for Python in an unknown key does not change how other numbers are read."""
        document = f'{{"parameters":{{"a":{10**22}}},"unknown":{"1" * 5_000}}}'

        assert JsonObject({"a": 1e22}) == engine.loads(document, Holder).parameters

    @pytest.mark.parametrize("engine", ENGINES, ids=name_of)
    def test_all_problems_are_told_from_the_root_of_the_document(self, engine: ContractConverter) -> None:
        """All problems are listed, with pointers from the root of the document."""
        document = {
            "parameters": {"a": [1, 2**53 + 1]},
            "environment": {"A-B": "1", "C": 2, "D": "\0"},
            "more": [{}, 7],
        }

        assert problems_of(engine.loads, json.dumps(document), Holder) == [
            ("/parameters/a/1", "value"),
            ("/environment/A-B", "value"),
            ("/environment/C", "type"),
            ("/environment/D", "value"),
            ("/more/1", "type"),
        ]

    @pytest.mark.parametrize("engine", ENGINES, ids=name_of)
    def test_plain_data_is_not_kept(self, engine: ContractConverter) -> None:
        """Changing data after it was structured does not change the object."""
        plain = {"parameters": {"list": [1]}}
        holder = engine.structure(plain, Holder)
        plain["parameters"]["list"].append(2)

        assert dict(holder.parameters) == {"list": (1,)}

    @pytest.mark.parametrize("engine", ENGINES, ids=name_of)
    def test_keys_of_plain_data_are_strings(self, engine: ContractConverter) -> None:
        """A key that is no string is refused, although JSON encoders would convert it."""
        assert problems_of(engine.structure, {"parameters": {"a": {1: 2}}}, Holder) == [("/parameters/a", "type")]


class TestEquality:
    def test_numbers_are_equal_by_their_value(self) -> None:
        """Numbers are equal if their values are equal. True does not equal 1."""
        assert JsonObject({"a": 1.0, "b": -0.0}) == JsonObject({"b": 0, "a": 1})
        assert hash(JsonObject({"a": 1.0})) == hash(JsonObject({"a": 1}))
        assert JsonObject({"a": True}) != JsonObject({"a": 1})
        assert JsonObject({"a": None}) != JsonObject({})

    @pytest.mark.parametrize("make", [dict, UserDict, MappingProxyType, JsonObject, Environment])
    def test_it_equals_any_mapping_of_the_same_contents(self, make: Any) -> None:
        """An object equals any mapping with the same contents, on either side of ``==``."""
        value = JsonObject({"a": "1"})

        assert value == make({"a": "1"})
        assert make({"a": "1"}) == value
        assert value != make({"a": "2"})

    def test_it_equals_nothing_else(self) -> None:
        """An object does not equal a mapping that is not JSON, its own text, or a list."""
        assert JsonObject({"a": 1}) != {"a": {1}}
        assert JsonObject({"a": 1}) != '{"a":1}'
        assert JsonObject() != []

    @pytest.mark.cover
    @given(json_objects())
    def test_copies_are_equal(self, value: JsonObject) -> None:
        """Pickled and reconstructed objects have the same text, and `copy` returns the same object."""
        again = pickle.loads(pickle.dumps(value))

        assert [value.text] * 4 == [
            each.text for each in (again, JsonObject(value), JsonObject(value.to_plain()), JsonObject(dict(value)))
        ]
        assert copy.copy(value) is copy.deepcopy(value) is value


class TestContents:
    def test_plain_data_has_the_same_numbers(self) -> None:
        """A large integer becomes a float, because its shortest digits can be those of another integer."""
        value = JsonObject({"a": [2**60, 2**53 - 1]})

        assert value.text == '{"a":[1152921504606847000,9007199254740991]}'
        assert tuple(value.to_plain()["a"]) == value["a"] == (2.0**60, 2**53 - 1)
        assert list(map(type, value.to_plain()["a"])) == [float, int]

    def test_they_are_immutable(self) -> None:
        """Inner objects are JsonObjects, lists are tuples, and nothing can be assigned."""
        value = JsonObject({"b": [{"c": [1]}], "a": {"d": 1e20}})

        assert (JsonObject({"c": (1,)}),) == value["b"]
        assert isinstance(value["b"][0], JsonObject)
        assert isinstance(value["a"]["d"], float)
        assert list(value) == ["a", "b"]
        assert len(value) == 2
        assert "a" in value
        assert "c" not in value
        assert value.get("c") is None
        with pytest.raises(AttributeError):
            value.text = "{}"  # type: ignore[misc]
        with pytest.raises(TypeError):
            value["a"] = 1  # type: ignore[index]

    @given(json_objects())
    def test_equal_objects_iterate_alike(self, value: JsonObject) -> None:
        """The keys have the order of the canonical text."""
        assert list(json.loads(value.text)) == list(value)

    def test_what_was_given_is_copied(self) -> None:
        """A later change of the given data does not change the object."""
        given_list = [1]
        value = JsonObject({"a": given_list})
        given_list.append(2)

        assert JsonObject({"a": [1]}) == value

    def test_an_overlay_has_the_keys_of_both(self) -> None:
        """``|`` returns an object of the same class with all keys. Values of the right side win."""
        overlaid = Environment({"A": "1", "B": "1"}) | {"B": "2"}

        assert Environment({"A": "1", "B": "2"}) == overlaid
        assert isinstance(overlaid, Environment)
        with pytest.raises(ContractError):
            Environment() | {"C": 1}
        with pytest.raises(TypeError):
            JsonObject() | []  # type: ignore[operator]

    def test_it_is_shown_as_python_writes_it(self) -> None:
        """The repr is a valid Python expression."""
        assert repr(JsonObject({"a": (1, None, {"b": 2.5})})) == "JsonObject({'a': [1, None, {'b': 2.5}]})"


class Color(StrEnum):
    RED = "red"


class Text(str):
    __slots__ = ()


class TestConstruction:
    @pytest.mark.parametrize(
        ("value", "pointer", "code"),
        [
            ({"a": float("nan")}, "/a", "value"),
            ({"a": [0, float("-inf")]}, "/a/1", "value"),
            ({"a": 2**53 + 1}, "/a", "value"),
            ({"a": 10**400}, "/a", "value"),
            ({"a": "\ud800"}, "/a", "value"),
            ({"a": {"\ud800": 1}}, "/a", "value"),
            ({"a": {1: 1}}, "/a", "type"),
            ({"a/b": {"~": {1}}}, "/a~1b/~0", "type"),
            ({"a": b""}, "/a", "type"),
            ({"a": Color.RED}, "/a", "type"),
            ({"a": object()}, "/a", "type"),
            ([], "", "type"),
            ("{}", "", "type"),
            (None, "", "type"),
            ({"a": "x" * MAX_BYTES}, "", "value"),
        ],
    )
    def test_what_has_no_place_is_refused(self, value: Any, pointer: str, code: str) -> None:
        """An invalid value is refused with a pointer from the object."""
        assert [(pointer, code)] == problems_of(JsonObject, value)

    def test_levels_are_counted_with_the_object_itself(self) -> None:
        """The object itself is the first level, and `MAX_LEVELS` is the limit."""
        assert JsonObject(nested(MAX_LEVELS))
        assert [code for _, code in problems_of(JsonObject, nested(MAX_LEVELS + 1))] == ["value"]

    def test_data_that_shares_its_parts_is_refused_soon(self) -> None:
        """Data that is exponentially large because it shares its parts, as with YAML anchors, is refused quickly."""
        value: list[Any] = ["lol"]
        for _ in range(28):
            value = [value, value]

        assert problems_of(JsonObject, {"a": value}) == [("", "value")]

    def test_data_that_holds_itself_is_refused(self) -> None:
        """Data with a cycle is refused."""
        value: dict[str, Any] = {}
        value["a"] = value

        assert [code for _, code in problems_of(JsonObject, value)] == ["value"]

    def test_instances_of_derived_classes_become_plain(self) -> None:
        """Strings and mappings of derived classes become plain."""
        value = JsonObject({"a": Text("x"), "b": MappingProxyType({"c": UserDict({"d": (True, 1)})})})

        assert value.text == '{"a":"x","b":{"c":{"d":[true,1]}}}'
        assert str is type(value["a"])

    def test_the_largest_integers_are_ints(self) -> None:
        """Integers up to `MAX_INTEGER` stay ints, and larger ones become floats."""
        value = JsonObject({"a": MAX_INTEGER, "b": MAX_INTEGER + 1, "c": -MAX_INTEGER})

        assert [int, float, int] == [type(each) for each in value.values()]

    def test_a_field_takes_the_class_itself(self) -> None:
        """An `Environment` in a field of the type `JsonObject` becomes a `JsonObject`. A dict is refused."""
        assert JsonObject is type(Holder(parameters=Environment({"A": "1"})).parameters)
        assert problems_of(lambda: Holder(parameters={})) == [("/parameters", "type")]  # type: ignore[arg-type]


class TestEnvironment:
    @pytest.mark.parametrize("name", ["", "1A", "A-B", "A=B", "Ä", "A B", "A\n", "\u0661"])
    def test_names_are_those_of_a_shell(self, name: str) -> None:
        """A name of a variable that a shell does not allow is refused."""
        assert [code for _, code in problems_of(Environment, {name: "x"})] == ["value"]

    @pytest.mark.parametrize(("value", "code"), [(1, "type"), (None, "type"), ("a\0b", "value"), ({"B": "x"}, "type")])
    def test_values_are_strings_without_nul(self, value: Any, code: str) -> None:
        """A value that is no string, or that contains NUL, is refused, and the pointer names the variable."""
        assert [("/A", code)] == problems_of(Environment, {"A": value})

    @pytest.mark.parametrize("cls", [JsonObject, Environment])
    def test_a_pointer_shortens_long_keys(self, cls: type[JsonObject]) -> None:
        """A problem of a `JsonObject` or an `Environment` repeats at most 200 characters of a key."""
        assert [(f"/{'K' * 199}…", "type")] == problems_of(cls, {"K" * 1000: object() if cls is JsonObject else 1})

    def test_messages_do_not_repeat_values(self) -> None:
        """An error does not contain the value of a variable, which can be a secret."""
        with pytest.raises(ContractError) as caught:
            Environment({"A": "hunter2\0"})

        assert "hunter2" not in str(caught.value)
