"""How UUIDs, times, texts and keys are read and written. `test_diagnosis` tests invalid documents."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import attrs
import pytest

from cicd_common import converter
from cicd_common.api.request import JobStatusUpdate
from cicd_common.testing.strategies.leaves import ASTRAL
from tests.support.contract import ENGINES, name_of
from tests.support.golden_files import full

every_engine = pytest.mark.parametrize("engine", ENGINES, ids=name_of)
TEXT = converter.dumps(full(JobStatusUpdate)).decode()


def read(engine: Any, **values: str) -> JobStatusUpdate:
    """Read a document with the given JSON texts as values of some fields."""
    plain = engine.unstructure(full(JobStatusUpdate))
    written = {name: values.get(name) or engine.dumps([value]).decode()[1:-1] for name, value in plain.items()}
    text = ",".join(f'"{name}":{value}' for name, value in written.items())
    return engine.loads(f"{{{text}}}".encode("utf-8", "surrogatepass"), JobStatusUpdate)


@every_engine
class TestUUIDs:
    @pytest.mark.parametrize(
        "text",
        [
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "6BA7B810-9DAD-11D1-80B4-00C04FD430C8",
            "6Ba7b810-9dAD-11d1-80B4-00c04Fd430c8",
            "6ba7b8109dad11d180b400c04fd430c8",
            "6BA7B8109DAD11D180B400C04FD430C8",
        ],
    )
    def test_are_read_in_any_case_with_hyphens_or_without(self, engine: Any, text: str) -> None:
        """A UUID is read in any case, with hyphens or without, and written in lower case with hyphens."""
        update = read(engine, job_execution_id=f'"{text}"')

        assert UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8") == update.job_execution_id
        assert b'"6ba7b810-9dad-11d1-80b4-00c04fd430c8"' in engine.dumps(update)

    @pytest.mark.parametrize("number", [0, 1, 2**127, 2**128 - 1])
    def test_are_written_with_all_their_digits(self, engine: Any, number: int) -> None:
        """A UUID is written with leading zeros."""
        update = attrs.evolve(full(JobStatusUpdate), job_execution_id=UUID(int=number))

        assert f'"job_execution_id":"{UUID(int=number)}"'.encode() in engine.dumps(update)


@every_engine
class TestTimes:
    @pytest.mark.parametrize(
        ("text", "time"),
        [
            ("2026-01-31T12:30:00Z", datetime(2026, 1, 31, 12, 30)),
            ("2026-01-31t12:30:00z", datetime(2026, 1, 31, 12, 30)),
            ("2026-01-31 12:30:00Z", datetime(2026, 1, 31, 12, 30)),
            ("2026-01-31T12:30:00+00:00", datetime(2026, 1, 31, 12, 30)),
            ("2026-01-31T12:30:00-00:00", datetime(2026, 1, 31, 12, 30)),
            ("2026-01-31T12:30:00+05:30", datetime(2026, 1, 31, 7, 0)),
            ("2026-01-31T12:30:00+0530", datetime(2026, 1, 31, 7, 0)),
            ("2026-01-31T12:30:00-23:59", datetime(2026, 2, 1, 12, 29)),
            ("2024-02-29T00:00:00+00:01", datetime(2024, 2, 28, 23, 59)),
            ("2026-01-31T12:30:00.5Z", datetime(2026, 1, 31, 12, 30, 0, 500_000)),
            ("2026-01-31T12:30:00.000001Z", datetime(2026, 1, 31, 12, 30, 0, 1)),
            ("2026-01-31T12:30:00.0000005Z", datetime(2026, 1, 31, 12, 30, 0, 1)),
            ("2026-01-31T12:30:00.00000049999Z", datetime(2026, 1, 31, 12, 30)),
            ("2026-12-31T23:59:59.9999995Z", datetime(2027, 1, 1)),
            ("0001-01-01T23:59:00+23:59", datetime(1, 1, 1)),
            ("9999-12-31T00:00:00-23:59", datetime(9999, 12, 31, 23, 59)),
            ("9999-12-31T23:59:59.9999994Z", datetime(9999, 12, 31, 23, 59, 59, 999_999)),
        ],
    )
    def test_are_read_with_any_offset(self, engine: Any, text: str, time: datetime) -> None:
        """A time is read with any offset, and stored in UTC."""
        found = read(engine, occurred_at=f'"{text}"').occurred_at

        assert (time.replace(tzinfo=UTC), UTC) == (found, found.tzinfo)

    @pytest.mark.parametrize(
        ("time", "text"),
        [
            (datetime(2026, 1, 31, 12, 30, tzinfo=UTC), "2026-01-31T12:30:00Z"),
            (datetime(2026, 1, 31, 12, 30, 0, 500_000, tzinfo=UTC), "2026-01-31T12:30:00.500000Z"),
            (datetime(2026, 1, 31, 12, 30, 0, 1, tzinfo=UTC), "2026-01-31T12:30:00.000001Z"),
            (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
            (datetime.max.replace(tzinfo=UTC), "9999-12-31T23:59:59.999999Z"),
            (datetime(2026, 1, 31, 12, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))), "2026-01-31T07:00:00Z"),
            (datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=1))), "2025-12-31T23:59:59Z"),
        ],
    )
    def test_are_written_in_utc(self, engine: Any, time: datetime, text: str) -> None:
        """A time is written in UTC, without a fraction if it is zero."""
        update = attrs.evolve(full(JobStatusUpdate), occurred_at=time)

        assert f'"occurred_at":"{text}"'.encode() in engine.dumps(update)


@every_engine
class TestTexts:
    @pytest.mark.parametrize(
        ("written", "text"),
        [
            ('"\\ud83d\\ude80"', "\U0001f680"),
            ('"\\uD83D\\uDE80"', "\U0001f680"),
            ('"\\\\ud83d"', "\\ud83d"),
            ('"\\\\\\ud83d\\ude80"', "\\\U0001f680"),
            ('"\\u0000\\u001F\\u007f"', "\x00\x1f\x7f"),
            ('"\\b\\f\\n\\r\\t\\/\\\\\\""', '\b\f\n\r\t/\\"'),
            ('"\x7f\x85\u2028\ufeff"', "\x7f\x85\u2028\ufeff"),
            (f'"{ASTRAL}"', ASTRAL),
        ],
    )
    def test_are_read_with_escapes_and_without(self, engine: Any, written: str, text: str) -> None:
        """A text is read with its escapes resolved. An escaped backslash begins no escape."""
        assert text == read(engine, logs=written).logs

    @pytest.mark.parametrize(
        ("text", "written"),
        [
            ("\x00\x1f", '"\\u0000\\u001f"'),
            ('\b\f\n\r\t/\\"', '"\\b\\f\\n\\r\\t/\\\\\\""'),
            ("\x7f\x85\u2028\ufeff", '"\x7f\x85\u2028\ufeff"'),
            (ASTRAL, f'"{ASTRAL}"'),
            ("</script>", '"</script>"'),
        ],
    )
    def test_are_escaped_where_they_must_be(self, engine: Any, text: str, written: str) -> None:
        """Only characters that JSON requires to be escaped are escaped."""
        assert f'"logs":{written},'.encode() in engine.dumps(attrs.evolve(full(JobStatusUpdate), logs=text))

    def test_may_be_huge(self, engine: Any) -> None:
        """A text of millions of characters is equal after a round trip."""
        update = attrs.evolve(full(JobStatusUpdate), logs=f'a"\\\x00{ASTRAL}' * 500_000)

        assert update == engine.loads(engine.dumps(update), JobStatusUpdate)


@every_engine
class TestKeys:
    def test_the_last_of_a_repeated_key_counts(self, engine: Any) -> None:
        """The last value of a repeated key counts, also if others are invalid."""
        for first in ("7", "null", '"x"', "[]", "1e999"):
            text = TEXT.replace("{", f'{{"sequence":{first},"logs":0,', 1)
            assert full(JobStatusUpdate) == engine.loads(text, JobStatusUpdate)

    def test_a_key_may_be_escaped(self, engine: Any) -> None:
        """A key with escapes is the same key."""
        text = TEXT.replace('"sequence"', '"\\u0073equence"')

        assert full(JobStatusUpdate) == engine.loads(text, JobStatusUpdate)

    def test_keys_come_in_any_order(self, engine: Any) -> None:
        """Keys are read in any order, and written in the order of the fields."""
        parts = [
            f'"{name}":{engine.dumps([value]).decode()[1:-1]}'
            for name, value in engine.unstructure(full(JobStatusUpdate)).items()
        ]
        update = engine.loads("{" + ",".join(reversed(parts)) + "}", JobStatusUpdate)

        assert TEXT.encode() == engine.dumps(update)
