"""Tests that every type of the contract passes. A search of the package finds the types."""

import copy
import inspect
import json
import pickle
import re
from collections.abc import Callable
from typing import Any, get_type_hints

import attrs
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

import cicd_common
from cicd_common.testing.strategies.types import from_type, values
from cicd_common.values import with_canonical_exponents
from tests.support.contract import ENGINES, TYPES, exported, modules, name_of, outcome
from tests.support.golden_files import full, least

every_type = pytest.mark.parametrize("cls", TYPES, ids=name_of)


def doc_of(cls: type) -> str:
    """The docstring without indentation, which Python before 3.13 keeps."""
    return inspect.cleandoc(cls.__doc__ or "")


def documented_fields(cls: type) -> list[str]:
    """The names in the Attributes section of a docstring."""
    section = re.search(r"\nAttributes:\n(.*?)(?:\n\n|\Z)", doc_of(cls), re.DOTALL)
    assert section is not None, f"{cls.__name__} documents no field"
    return re.findall(r"^    (\w+): \S", section[1], re.MULTILINE)


def leak(thing: Any) -> str | None:
    """The first part of a value that is not plain JSON data, or None."""
    if type(thing) is dict:
        wrong = [repr(key) for key in thing if type(key) is not str]
        return wrong[0] if wrong else next(filter(None, map(leak, thing.values())), None)
    if type(thing) is list:
        return next(filter(None, map(leak, thing)), None)
    return None if type(thing) in (str, int, float, bool, type(None)) else repr(type(thing))


def field_names(cls: type) -> list[str]:
    return [field.name for field in attrs.fields(cls)]


class TestEnumeration:
    def test_finds_types_in_every_module(self) -> None:
        """The search finds types in each module of the contract."""
        found = {cls.__module__.removeprefix(f"{cicd_common.__name__}.") for cls in TYPES}

        assert found >= {"api.request", "api.response", "dto", "model.definition", "model.execution", "model.log"}

    def test_no_message_escapes(self) -> None:
        """Every class that a module of messages or records exports is tested here."""
        assert set() == set(exported("api", "dto")) - set(TYPES)

    def test_no_model_escapes(self) -> None:
        """Every class of the models is tested here, except results of methods, which are never written as JSON."""
        [face, *_] = modules("model")
        exported_classes = {name for name in face.__all__ if attrs.has(getattr(face, name))}

        assert exported_classes - {cls.__name__ for cls in TYPES} == {
            "Explanation",
            "LogText",
            "Plan",
            "PlannedStage",
            "StatusCounts",
        }


def has_own_id(cls: type) -> bool:
    """Whether a type creates an id by default."""
    id_field = attrs.fields_dict(cls).get("id")
    return id_field is not None and isinstance(id_field.default, attrs.Factory)


def different(data: st.DataObject, strategy: st.SearchStrategy[Any], known: Any) -> Any:
    """Draw a value that differs from `known`."""
    for _ in range(20):
        value = data.draw(strategy)
        if value != known:
            return value
    return reject()


@every_type
class TestDefinition:
    def test_is_slotted(self, cls: type) -> None:
        """Instances have slots and no `__dict__`."""
        assert "__dict__" not in dir(cls)

    def test_takes_keywords_only(self, cls: type) -> None:
        """No field can be given by position."""
        assert all(field.kw_only for field in attrs.fields(cls))

    def test_documents_every_field(self, cls: type) -> None:
        """The docstring lists all fields in their order."""
        assert field_names(cls) == documented_fields(cls)

    def test_documents_what_it_raises(self, cls: type) -> None:
        """The docstring says that the constructor raises a ContractError."""
        assert "\nRaises:\n    ContractError: " in doc_of(cls)

    def test_documents_its_defaults(self, cls: type) -> None:
        """The docstring of a field with a default other than None names the default."""
        for field in attrs.fields(cls):
            if field.default not in (None, attrs.NOTHING):
                entry = re.search(rf"^    {field.name}: (.*\n(?:     .*\n)*)", doc_of(cls), re.MULTILINE)
                assert entry is not None
                assert "default" in entry[1]


@pytest.mark.no_cover
@every_type
class TestRoundTrip:
    @given(data=st.data())
    def test_what_was_written_is_read(self, cls: type, data: st.DataObject) -> None:
        """``loads(dumps(x))`` equals ``x`` in values and types, also if strict."""
        obj = data.draw(from_type(cls))

        for engine in ENGINES:
            text = engine.dumps(obj)
            for strict in (False, True):
                assert (obj, repr(obj)) == outcome(engine.loads, text, cls, strict=strict)

    @given(data=st.data())
    def test_plain_data_is_read(self, cls: type, data: st.DataObject) -> None:
        """``structure(unstructure(x))`` equals ``x``, and does not change the plain data."""
        obj = data.draw(from_type(cls))

        for engine in ENGINES:
            plain = engine.unstructure(obj)
            assert (obj, repr(obj)) == outcome(engine.structure, plain, cls)
            assert engine.unstructure(obj) == plain

    @given(data=st.data())
    def test_equal_objects_have_equal_bytes(self, cls: type, data: st.DataObject) -> None:
        """Each engine writes an object, and the object read from its JSON, as the same bytes."""
        obj = data.draw(from_type(cls))
        text = json.dumps(ENGINES[0].unstructure(obj), ensure_ascii=False, separators=(",", ":"))
        plainly = with_canonical_exponents(text).encode()

        for engine in ENGINES:
            assert plainly == engine.dumps(obj)
            assert plainly == engine.dumps(engine.loads(plainly, cls))


@every_type
class TestPlainData:
    @given(data=st.data())
    def test_no_object_leaks(self, cls: type, data: st.DataObject) -> None:
        """`unstructure` returns only dicts, lists, strings, numbers, booleans and None, and no subclasses of them."""
        obj = data.draw(from_type(cls))

        for engine in ENGINES:
            assert leak(engine.unstructure(obj)) is None

    def test_is_new_all_through(self, cls: type) -> None:
        """A change of the plain data does not change the object."""
        obj = full(cls)

        for engine in ENGINES:
            before = engine.dumps(obj)
            for value in engine.unstructure(obj).values():
                if isinstance(value, (list, dict)):
                    value.clear()
            assert before == engine.dumps(obj)

    @pytest.mark.parametrize("make", [full, least])
    def test_has_the_documented_keys(self, cls: type, make: Callable[[type], Any]) -> None:
        """The JSON has exactly the documented fields, in this order."""
        for engine in ENGINES:
            assert documented_fields(cls) == list(json.loads(engine.dumps(make(cls))))


@every_type
class TestValue:
    @given(data=st.data())
    def test_every_field_counts(self, cls: type, data: st.DataObject) -> None:
        """Objects that differ in any field are not equal, and neither are their bytes."""
        obj = data.draw(from_type(cls))
        hints = get_type_hints(cls, include_extras=True)
        for name in field_names(cls):
            other = copy.copy(obj)
            value = different(data, values(hints[name]), getattr(obj, name))
            object.__setattr__(other, name, value)

            assert obj != other
            assert ENGINES[0].dumps(obj) != ENGINES[0].dumps(other)

    @pytest.mark.parametrize("make", [full, least])
    def test_no_other_class_is_equal(self, cls: type, make: Callable[[type], Any]) -> None:
        """An object does not equal a dict or tuple of its values."""
        obj = make(cls)

        assert obj not in (attrs.asdict(obj, recurse=False), attrs.astuple(obj, recurse=False), None)

    @given(data=st.data())
    def test_copies_are_equal(self, cls: type, data: st.DataObject) -> None:
        """Copies of an object of every kind have the same value, hash and repr."""
        obj = data.draw(from_type(cls))
        same = cls(**{name: getattr(obj, name) for name in field_names(cls)})
        copies = [same, copy.copy(obj), copy.deepcopy(obj), attrs.evolve(obj)]
        copies += [pickle.loads(pickle.dumps(obj, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]

        assert [obj] * len(copies) == copies
        assert {(hash(obj), repr(obj))} == {(hash(each), repr(each)) for each in copies}

    def test_nothing_can_be_assigned(self, cls: type) -> None:
        """No attribute can be set, deleted or added."""
        obj = full(cls)
        before = repr(obj)
        for name in (*field_names(cls), "something_new"):
            with pytest.raises(AttributeError):
                setattr(obj, name, None)
            with pytest.raises(AttributeError):
                delattr(obj, name)

        assert before == repr(obj)


@every_type
class TestDefaults:
    @given(data=st.data())
    def test_a_missing_key_takes_its_default(self, cls: type, data: st.DataObject) -> None:
        """Reading without a key has the result of a construction without the argument."""
        obj = data.draw(from_type(cls))
        plain = ENGINES[0].unstructure(obj)
        for name in [field.name for field in attrs.fields(cls) if field.default in (None, (), False) or field.default]:
            if name == "id":
                continue
            values = {other: getattr(obj, other) for other in field_names(cls) if other != name}
            text = json.dumps({key: value for key, value in plain.items() if key != name})
            expected = outcome(lambda values=values: cls(**values))
            for engine in ENGINES:
                assert expected == outcome(engine.loads, text, cls)

    def test_a_missing_key_without_a_default_is_a_problem(self, cls: type) -> None:
        """Reading an empty object lists exactly the required keys as missing, in field order."""
        required = [field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING]

        for engine in ENGINES:
            _, problems = outcome(engine.loads, "{}", cls)
            assert [(f"/{name}", "missing") for name in required] == [(each.pointer, each.code) for each in problems]


class TestIdentity:
    @pytest.mark.parametrize("cls", [cls for cls in TYPES if has_own_id(cls)], ids=name_of)
    @given(data=st.data())
    def test_a_missing_id_is_a_new_one(self, cls: type, data: st.DataObject) -> None:
        """A model that is read without an id gets a new id each time."""
        obj = data.draw(from_type(cls))
        plain = ENGINES[0].unstructure(obj)
        text = json.dumps({key: value for key, value in plain.items() if key != "id"})

        for engine in ENGINES:
            first, second = engine.loads(text, cls), engine.loads(text, cls)
            assert len({obj.id, first.id, second.id}) == 3
            assert obj == attrs.evolve(first, id=obj.id)

    def test_models_have_ids_of_their_own(self) -> None:
        """Models, and no other types, create an id if none is given."""
        assert {cls for cls in TYPES if has_own_id(cls)} == set(exported("model")) & set(TYPES)
