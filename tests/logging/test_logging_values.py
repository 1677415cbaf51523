"""Any value is converted to plain JSON data."""

from __future__ import annotations

import json
import logging
from collections import UserDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum, IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicd_common.converter import converter
from cicd_common.enums import ExecutionStatus
from cicd_common.errors import Problem
from cicd_common.logging.fields import Fields
from cicd_common.logging.records import severity_number
from cicd_common.logging.values import MOST_PARTS, dump, plain, scrub
from cicd_common.model import ExecutionLog, Job
from tests.support.logging_strategies import Unprintable, anything

A_UUID = UUID(int=5)
A_TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Color(Enum):
    RED = ("r", 1)


class Number(IntEnum):
    ONE = 1


class Point(NamedTuple):
    x: int


@dataclass
class Data:
    a: Any


@attrs.define
class Attrs:
    a: Any


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "other"


class Endless(Mapping[Any, Any]):
    def __getitem__(self, key: Any) -> Any:
        return key

    def __iter__(self) -> Iterator[int]:
        return iter(range(10**9))

    def __len__(self) -> int:
        return 10**9


class TestPlain:
    """Values become plain JSON data."""

    @pytest.mark.parametrize(
        "value",
        [
            A_UUID,
            A_TIME,
            A_TIME.astimezone(timezone(timedelta(hours=2))),
            A_TIME.replace(microsecond=5),
            Job(id=A_UUID, name="build", script=("make",)),
            ExecutionLog(id=A_UUID, job_execution_id=A_UUID, sequence=0, timestamp=A_TIME, log_text="x"),
            Problem("/a", "type", "expected a string"),
        ],
    )
    def test_as_the_converter(self, value: Any) -> None:
        """Types of the contract are written as the converter writes them."""
        assert json.loads(dump(value)) == json.loads(converter.dumps(value))

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (None, None),
            (True, True),
            (1, 1),
            (1.5, 1.5),
            (float("nan"), "nan"),
            (float("-inf"), "-inf"),
            ("x", "x"),
            (Text("x"), "other"),
            (b"caf\xc3\xa9\xff", "café\\xff"),
            (bytearray(b"x"), "x"),
            (ExecutionStatus.FAILED, "FAILED"),
            (Color.RED, ["r", 1]),
            (Number.ONE, 1),
            (Path("a/b"), "a/b"),
            (A_TIME.replace(tzinfo=None), "2026-01-02 03:04:05"),
            (A_TIME.date(), "2026-01-02"),
            (timedelta(seconds=5), "0:00:05"),
            (ValueError("x"), "ValueError: x"),
            ({1: "a", None: "b", "c": {}}, {"1": "a", "None": "b", "c": {}}),
            (MappingProxyType({"a": 1}), {"a": 1}),
            (UserDict({"a": 1}), {"a": 1}),
            ((1, [2]), [1, [2]]),
            (Point(1), [1]),
            ({"b", "a"}, ["a", "b"]),
            (deque([1]), "deque([1])"),
            (Data([1]), {"a": [1]}),
            (Attrs([1, A_UUID]), {"a": [1, str(A_UUID)]}),
            (Attrs(Unprintable()), {"a": "<unprintable Unprintable>"}),
            (Unprintable(), "<unprintable Unprintable>"),
            (Unprintable, str(Unprintable)),
        ],
    )
    def test_others(self, value: Any, expected: Any) -> None:
        """Other values become text or plain data."""
        assert plain(value) == expected
        assert json.loads(dump(value)) == expected

    def test_very_large_integers(self) -> None:
        """Very large integers are hexadecimal, since Python refuses to write them in decimal."""
        assert json.loads(dump(10**5000)) == hex(10**5000)
        assert json.loads(dump([10**5000])) == [hex(10**5000)]

    def test_cycles(self) -> None:
        """A value that contains itself is cut; one that occurs twice is not."""
        twice = [1]
        value: dict[str, Any] = {"twice": [twice, twice]}
        value["self"] = value
        assert plain(value) == {"twice": [[1], [1]], "self": "<cycle>"}
        cyclic = Attrs(None)
        cyclic.a = cyclic
        assert dump(cyclic) == '{"a":"<cycle>"}'

    def test_too_deep_and_too_many(self) -> None:
        """A value with too many levels or parts is cut."""
        deep: list[Any] = []
        wide: list[Any] = [1]
        for _ in range(1000):
            deep, wide = [deep], [wide, wide, {"a": wide}]
        for value in (deep, wide, Endless(), {"a": range(3), "b": list(range(10**6))}):
            assert "<cut>" in dump(value)
            assert len(dump(value)) < 50 * MOST_PARTS

    def test_fails_while_converted(self) -> None:
        """A value whose parts cannot be read becomes a text that says so."""

        class Broken(UserDict[str, Any]):
            def items(self) -> Any:
                raise RuntimeError

        assert plain({"a": Broken()}) == {"a": "<unprintable Broken>"}

    def test_mask(self) -> None:
        """Every string, key and number is masked."""
        value = {"secret": ["secret", {"x": Data("secret")}, b"secret", ValueError("secret"), Path("secret"), 5]}
        assert "secret" not in str(plain(value, lambda text: text.replace("secret", "-").replace("5", "6")))
        assert plain(5, lambda text: text.replace("5", "6")) == "6"

    @given(anything)
    def test_anything(self, value: Any) -> None:
        """Any value becomes JSON text that equals its plain data."""
        assert json.loads(dump(value)) == plain(value)

    @given(st.text(st.characters()))
    def test_scrub(self, text: str) -> None:
        """A scrubbed text can be written, and is unchanged if it could be before."""
        scrubbed = scrub(text)
        assert len(scrubbed.encode().decode()) == len(text)
        changed = [char for char, now in zip(text, scrubbed, strict=True) if char != now]
        assert changed == [char for char in text if "\ud800" <= char <= "\udfff"]


class TestFields:
    @given(*[st.dictionaries(st.sampled_from("abcde"), st.integers(0, 2))] * 3)
    def test_join(self, first: dict[str, int], second: dict[str, int], third: dict[str, int]) -> None:
        """Joined fields are written like those of the joined dict, each once."""
        joined = Fields(first).join(Fields(second)).join(Fields(third))
        assert joined.values == {**first, **second, **third}
        assert joined.json == Fields({**first, **second, **third}).json
        assert (
            json.loads("{" + joined.json[1:] + "}", object_pairs_hook=list) == list(joined.values.items())
            or not joined.values
        )


def test_severity_numbers() -> None:
    """The numbers are those of OpenTelemetry, also for levels between the standard ones."""
    levels = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL]
    assert [severity_number(level) for level in levels] == [5, 9, 13, 17, 21]
    assert [severity_number(level) for level in (-5, 0, 9, 25, 99)] == [1, 1, 1, 9, 21]
