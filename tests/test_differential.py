"""The engines beside each other, and beside the patient reading, which says what is accepted."""

import json
import re
from typing import Any

import attrs
import pytest
import strategies
from contract import ENGINES, TYPES, name_of, outcome, read_patiently
from hypothesis import given
from hypothesis import strategies as st

from cicd_common import ContractError
from cicd_common._wire import read_time, read_uuid
from cicd_common.api.request import JobStatusUpdate

every_type = pytest.mark.parametrize("cls", TYPES, ids=name_of)


def assert_alike(data: Any, cls: type, *, strict: bool = False) -> None:
    """Reading ends in the same way everywhere; anything but an instance or a ContractError is raised."""
    expected = ending(read_patiently_from_the_start, data, cls, strict=strict)
    for engine in ENGINES:
        assert ending(engine.loads, data, cls, strict=strict) == expected


def ending(read: Any, data: Any, cls: type, *, strict: bool) -> Any:
    """All problems, or the text of the instance, in which ids that are new, and so differ, are no longer told apart."""
    instance, found = outcome(read, data, cls, strict=strict)
    if instance is None:
        return found
    text = (data if isinstance(data, str) else data.decode()).lower().replace("-", "")
    return re.sub(
        r"UUID\('([^']+)'\)", lambda each: each[0] if each[1].replace("-", "") in text else "UUID(new)", found
    )


def read_patiently_from_the_start(data: Any, cls: type, *, strict: bool) -> Any:
    """As `read_patiently`, for data that may not even be JSON, of which the plain engine speaks alone."""
    try:
        ENGINES[0].loads(data, _Anything)
    except ContractError as error:
        if any(problem.code == "syntax" for problem in error.problems):
            raise
    return read_patiently(data, cls, strict=strict)


@attrs.frozen
class _Anything:
    """Takes any object, and refuses whatever is no JSON."""


@every_type
class TestDocuments:
    @given(data=st.data())
    def test_mutated(self, cls: type, data: st.DataObject) -> None:
        """Wrong types, missing, unknown and renamed keys, at any depth."""
        good = ENGINES[0].unstructure(data.draw(strategies.of(cls)))
        bad = data.draw(strategies.mutated(good))
        text = json.dumps(bad, ensure_ascii=data.draw(st.booleans()))
        assert_alike(text.encode(), cls, strict=data.draw(st.booleans()))

    @given(data=st.data())
    def test_damaged(self, cls: type, data: st.DataObject) -> None:
        """Cut, broken, repeated and out of range, down to the bytes."""
        good = ENGINES[0].dumps(data.draw(strategies.of(cls)))
        assert_alike(data.draw(strategies.damaged(good)), cls)

    @given(data=st.data())
    def test_arbitrary(self, cls: type, data: st.DataObject) -> None:
        """JSON that has nothing to do with the type."""
        assert_alike(json.dumps(data.draw(strategies.json_values())), cls)


@given(st.binary() | st.text())
def test_anything_at_all(data: Any) -> None:
    """Bytes and texts that are no JSON, as a rule."""
    assert_alike(data, JobStatusUpdate)


@pytest.mark.parametrize("opener", ["[", '{"a":'])
@pytest.mark.parametrize("depth", [10, 100, 500, 700, 10_100, 100_000])
def test_nesting_under_a_key_that_no_one_knows(opener: str, depth: int) -> None:
    """It is ignored as long as the interpreter can follow, and refused beyond, at once."""
    good = ENGINES[0].dumps(_AN_UPDATE).decode()
    closer = {"[": "]", '{"a":': "}"}[opener]
    deep = good.replace("{", '{"unknown":' + opener * depth + "1" + closer * depth + ",", 1)
    found = [outcome(engine.loads, deep, JobStatusUpdate) for engine in ENGINES]
    assert found == [found[0]] * len(ENGINES)
    assert (found[0][0] == _AN_UPDATE) is (depth <= 700)


_AN_UPDATE = ENGINES[0].loads(
    b'{"job_execution_id":"00000000000000000000000000000001","sequence":1,"status":"PENDING",'
    b'"occurred_at":"2026-01-31T12:30:00Z"}',
    JobStatusUpdate,
)


class TestLeaves:
    """Texts of times and UUIDs, read alone, against msgspec."""

    @pytest.mark.parametrize(
        ("field", "read", "texts"),
        [
            ("occurred_at", read_time, strategies.time_texts()),
            ("job_execution_id", read_uuid, strategies.uuid_texts()),
        ],
    )
    @given(data=st.data())
    def test_the_engines_read_them_alike(self, field: str, read: Any, texts: Any, data: st.DataObject) -> None:
        """And as the function that reads them plainly."""
        text = data.draw(texts)
        document = json.dumps(ENGINES[0].unstructure(_AN_UPDATE) | {field: text})
        found = [outcome(engine.loads, document, JobStatusUpdate) for engine in ENGINES]
        assert found == [found[0]] * len(ENGINES)
        if found[0][0] is not None:
            assert getattr(found[0][0], field) == read(text)

    @pytest.mark.parametrize(
        ("digits", "microsecond"),
        [("1234564", 123456), ("1234565", 123457), ("12345649999", 123456), ("9999995", 1_000_000), ("0", 0)],
    )
    def test_digits_past_microseconds_are_rounded(self, digits: str, microsecond: int) -> None:
        """By the first of them, half up."""
        found = read_time(f"2026-01-31T12:30:00.{digits}Z") - read_time("2026-01-31T12:30:00Z")
        assert found / found.resolution == microsecond
