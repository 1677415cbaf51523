"""What holds for every type of the contract, whichever it is: they are found by enumeration."""

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
    """The docstring without the indentation of the source, which Python 3.13 takes out by itself."""
    return inspect.cleandoc(cls.__doc__ or "")


def documented_fields(cls: type) -> list[str]:
    """The names in the Attributes section of a docstring."""
    section = re.search(r"\nAttributes:\n(.*?)(?:\n\n|\Z)", doc_of(cls), re.DOTALL)
    assert section is not None, f"{cls.__name__} documents no field"
    return re.findall(r"^    (\w+): \S", section[1], re.MULTILINE)


def leak(thing: Any) -> str | None:
    """What in a thing is not plain JSON data, if anything is."""
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
        """The walk finds types in each of the modules that the contract names."""
        found = {cls.__module__.removeprefix(f"{cicd_common.__name__}.") for cls in TYPES}

        assert found >= {"api.request", "api.response", "dto", "model.definition", "model.execution", "model.log"}

    def test_no_message_escapes(self) -> None:
        """Whatever a module of messages or records exports is one of the types tested here."""
        assert set() == set(exported("api", "dto")) - set(TYPES)

    def test_no_model_escapes(self) -> None:
        """What the models export beside these types are answers to questions, which do not travel."""
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
    """Whether a type makes an id by default."""
    id_field = attrs.fields_dict(cls).get("id")
    return id_field is not None and isinstance(id_field.default, attrs.Factory)


def different(data: st.DataObject, strategy: st.SearchStrategy[Any], known: Any) -> Any:
    """Draw a value that differs from the one known."""
    for _ in range(20):
        value = data.draw(strategy)
        if value != known:
            return value
    return reject()


@every_type
class TestDefinition:
    def test_is_slotted(self, cls: type) -> None:
        """Instances have slots, and no dict."""
        assert "__dict__" not in dir(cls)

    def test_takes_keywords_only(self, cls: type) -> None:
        """No field can be given by position."""
        assert all(field.kw_only for field in attrs.fields(cls))

    def test_documents_every_field(self, cls: type) -> None:
        """The docstring lists the fields, all of them, in their order."""
        assert field_names(cls) == documented_fields(cls)

    def test_documents_what_it_raises(self, cls: type) -> None:
        """The docstring says that it refuses."""
        assert "\nRaises:\n    ContractError: " in doc_of(cls)

    def test_documents_its_defaults(self, cls: type) -> None:
        """A field that has a default other than null is documented with it."""
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
        """``loads(dumps(x))`` equals ``x``, to the type of each value, and a strict reader reads the same."""
        obj = data.draw(from_type(cls))

        for engine in ENGINES:
            text = engine.dumps(obj)
            for strict in (False, True):
                assert (obj, repr(obj)) == outcome(engine.loads, text, cls, strict=strict)

    @given(data=st.data())
    def test_plain_data_is_read(self, cls: type, data: st.DataObject) -> None:
        """``structure(unstructure(x))`` equals ``x``, and leaves the plain data as it was."""
        obj = data.draw(from_type(cls))

        for engine in ENGINES:
            plain = engine.unstructure(obj)
            assert (obj, repr(obj)) == outcome(engine.structure, plain, cls)
            assert engine.unstructure(obj) == plain

    @given(data=st.data())
    def test_equal_objects_have_equal_bytes(self, cls: type, data: st.DataObject) -> None:
        """An object, its plain data, and the object that was read are written as the same bytes by each engine."""
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
        """`unstructure` leaves dicts, lists, strings, numbers, booleans and None, and no subclass of them."""
        obj = data.draw(from_type(cls))

        for engine in ENGINES:
            assert leak(engine.unstructure(obj)) is None

    def test_is_new_all_through(self, cls: type) -> None:
        """Who changes the plain data changes nothing else."""
        obj = full(cls)

        for engine in ENGINES:
            before = engine.dumps(obj)
            for value in engine.unstructure(obj).values():
                if isinstance(value, (list, dict)):
                    value.clear()
            assert before == engine.dumps(obj)

    @pytest.mark.parametrize("make", [full, least])
    def test_has_the_documented_keys(self, cls: type, make: Callable[[type], Any]) -> None:
        """On the wire there is every field that is documented, in this order, and nothing else."""
        for engine in ENGINES:
            assert documented_fields(cls) == list(json.loads(engine.dumps(make(cls))))


@every_type
class TestValue:
    @given(data=st.data())
    def test_every_field_counts(self, cls: type, data: st.DataObject) -> None:
        """Objects that differ in one field, whichever it is, are not equal, and their bytes neither."""
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
        """An object equals no dict or tuple of its values."""
        obj = make(cls)

        assert obj not in (attrs.asdict(obj, recurse=False), attrs.astuple(obj, recurse=False), None)

    @given(data=st.data())
    def test_copies_are_equal(self, cls: type, data: st.DataObject) -> None:
        """An object of the same values, a copy, deep copy, pickled and evolved one equal the first in every detail."""
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
        """Reading without a key ends as constructing without the argument does."""
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
        """An empty object misses every required key, in field order, and nothing else."""
        required = [field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING]

        for engine in ENGINES:
            _, problems = outcome(engine.loads, "{}", cls)
            assert [(f"/{name}", "missing") for name in required] == [(each.pointer, each.code) for each in problems]


class TestIdentity:
    @pytest.mark.parametrize("cls", [cls for cls in TYPES if has_own_id(cls)], ids=name_of)
    @given(data=st.data())
    def test_a_missing_id_is_a_new_one(self, cls: type, data: st.DataObject) -> None:
        """Reading a model without its id gives it one of its own, as constructing it does."""
        obj = data.draw(from_type(cls))
        plain = ENGINES[0].unstructure(obj)
        text = json.dumps({key: value for key, value in plain.items() if key != "id"})

        for engine in ENGINES:
            first, second = engine.loads(text, cls), engine.loads(text, cls)
            assert len({obj.id, first.id, second.id}) == 3
            assert obj == attrs.evolve(first, id=obj.id)

    def test_models_have_ids_of_their_own(self) -> None:
        """Of all types it is the models of which an id is made where none is given."""
        assert {cls for cls in TYPES if has_own_id(cls)} == set(exported("model")) & set(TYPES)
