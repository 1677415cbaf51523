"""Every way of reading a document has the result of `Reading`, the simple and slow reader."""

import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.converter import ContractConverter
from cicd_common.dto import JobDTO
from cicd_common.fields import Refusal, in_utc
from cicd_common.fields.times import read_time, write_time
from cicd_common.fields.uuids import read_uuid
from cicd_common.testing.strategies import times
from cicd_common.testing.strategies.documents import (
    TOKENS,
    arbitrary_text,
    documents,
    text_of,
    time_texts,
    tokens,
    tree_of,
    uuid_texts,
)
from tests.support.contract import ENGINES, TYPES, name_of, outcome, read_patiently
from tests.support.golden_files import full

every_type = pytest.mark.parametrize("cls", TYPES, ids=name_of)
UPDATE = JobStatusUpdate(
    job_execution_id=UUID(int=1),
    sequence=1,
    status=ExecutionStatus.PENDING,
    occurred_at=datetime(2026, 1, 31, tzinfo=UTC),
    worker="worker",
)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def ending(read: Any, data: Any, cls: type, **options: Any) -> Any:
    """The outcome of reading, with "new" in place of random ids."""
    _, detail = outcome(read, data, cls, **options)
    text = data if isinstance(data, str) else bytes(data).decode("utf-8", "replace")
    known = text.lower().replace("-", "")
    if isinstance(detail, str):
        return _UUID.sub(lambda match: match[0] if match[0].replace("-", "") in known else "new", detail)
    return detail


def assert_all_alike(data: Any, cls: type) -> None:
    for strict in (False, True):
        expected = ending(read_patiently, data, cls, strict=strict)
        for engine in ENGINES:
            assert expected == ending(engine.loads, data, cls, strict=strict)


class TestDocuments:
    @every_type
    @settings(max_examples=settings.default.max_examples * 2)
    @given(data=st.data())
    def test_all_ways_of_reading_end_alike(self, cls: type, data: st.DataObject) -> None:
        """For any document, both engines return equal objects or the same problems."""
        assert_all_alike(data.draw(documents(cls)).data, cls)

    @every_type
    @given(data=arbitrary_text())
    def test_no_text_ends_otherwise(self, cls: type, data: bytes) -> None:
        """For any bytes, both engines return an instance or raise the same `ContractError`."""
        assert_all_alike(data, cls)

    @settings(max_examples=settings.default.max_examples * 4)
    @given(data=st.data())
    def test_texts_end_as_bytes_do(self, data: st.DataObject) -> None:
        """The result is the same for bytes, bytearray, memoryview and str."""
        document = data.draw(documents(JobStatusUpdate)).data
        expected = ending(read_patiently, document, JobStatusUpdate)
        forms = [document, bytearray(document), memoryview(document), memoryview(b"x" + document + b"x")[1:-1]]
        with suppress(UnicodeDecodeError):
            forms.append(document.decode())

        for engine in ENGINES:
            assert [expected] * len(forms) == [ending(engine.loads, form, JobStatusUpdate) for form in forms]

    @given(data=st.data())
    def test_deep_documents_end_alike(self, data: st.DataObject) -> None:
        """Documents near the recursion limits of decoders have the same result on both engines."""
        text = data.draw(documents(JobStatusUpdate)).data
        openers = data.draw(st.lists(st.sampled_from([b"[", b'{"a":', b'[" ]\\"",']), min_size=1, max_size=3))
        levels = data.draw(
            st.sampled_from([900, 1_000, 1_500, 9_999]).flatmap(lambda each: st.integers(each - 12, each))
        )
        nested = b"".join(openers[at % len(openers)] for at in range(levels))
        closers = b"".join(b"}" if openers[at % len(openers)][:1] == b"{" else b"]" for at in reversed(range(levels)))
        inside = data.draw(tokens()).encode("utf-8", "surrogatepass")

        assert_all_alike(text.replace(b"{", b'{"unknown":' + nested + inside + closers + b",", 1), JobStatusUpdate)

    @every_type
    @given(data=st.data())
    def test_plain_data_ends_as_its_text_does(self, cls: type, data: st.DataObject) -> None:
        """`structure` of plain data has the same result as `loads` of its text."""
        document = data.draw(documents(cls)).data
        try:
            text = document.decode()
            plain = json.loads(text)
        except (ValueError, RecursionError):
            return
        expected = ending(read_patiently, text, cls)
        if isinstance(expected, tuple) and expected[0].code == "syntax":
            return

        for engine in ENGINES:
            assert expected == ending(
                lambda _, cls, plain=plain, engine=engine: engine.structure(plain, cls), text, cls
            )

    @every_type
    @given(data=st.data())
    def test_what_was_read_can_be_written(self, cls: type, data: st.DataObject) -> None:
        """Both engines write an object that was read as the same bytes, and read an equal object from them."""
        obj, _ = outcome(read_patiently, data.draw(documents(cls)).data, cls)
        if obj is None:
            return
        texts = {engine.dumps(obj) for engine in ENGINES}

        assert len(texts) == 1
        assert [obj] * len(ENGINES) == [engine.loads(text, cls) for text in texts for engine in ENGINES]


class TestTokens:
    """Each token in each place of an otherwise valid document."""

    @pytest.mark.no_cover
    @pytest.mark.parametrize("cls", [JobStatusUpdate, JobDTO], ids=name_of)
    @pytest.mark.parametrize("place", ["known", "unknown", "key"])
    def test_all_ways_of_reading_end_alike(self, cls: type, place: str) -> None:
        """A token as a value, as the value of an unknown key or as a key has the same result on both engines."""
        tree = tree_of(ENGINES[0].unstructure(full(cls)))
        for token in TOKENS:
            texts = {
                "known": [text_of((*tree[:at], (tree[at][0], token), *tree[at + 1 :])) for at in range(len(tree))],
                "unknown": [text_of((('"unknown"', token), *tree)), text_of((*tree, ('"unknown"', [token])))],
                "key": [text_of(((token, "1"), *tree))],
            }[place]
            for text in texts:
                assert_all_alike(text.encode("utf-8", "surrogatepass"), cls)
                assert_all_alike(text, cls)

    @pytest.mark.parametrize("engine", ENGINES, ids=name_of)
    @pytest.mark.parametrize(
        "scrap",
        [b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xf0\x9f\x9a", b"\\ud83d", b"\n", b"\x00"],
    )
    @pytest.mark.parametrize(
        "form", [b'"%s":1,', b'"unknown":"%s",', b'"unknown":[{"%s":1}],', b'"unknown":["a","%s"],']
    )
    def test_what_is_ignored_is_looked_at(self, engine: ContractConverter, scrap: bytes, form: bytes) -> None:
        """Invalid text in an unknown key is a syntax error."""
        text = engine.dumps(UPDATE).replace(b"{", b"{" + form % scrap, 1)
        _, problems = outcome(engine.loads, text, JobStatusUpdate)

        assert [problem.code for problem in problems] == ["syntax"]


class TestTimes:
    @settings(max_examples=settings.default.max_examples * 12)
    @given(text=time_texts())
    @example("9999-12-31T23:59:59.9999995Z")
    @example("0001-01-01T00:00:00+00:01")
    @example("2024-02-29T12:00:00.1234565+05:30")
    def test_msgspec_takes_no_other_times(self, text: str) -> None:
        """`read_time` accepts the times that ``msgspec`` reads with an offset and that fit the years in UTC."""
        msgspec = pytest.importorskip("msgspec")
        try:
            moment = in_utc(msgspec.json.decode(json.dumps(text), type=datetime))
        except (msgspec.ValidationError, Refusal):
            moment = None
        try:
            read = read_time(text)
        except Refusal:
            read = None

        assert moment == read

    @settings(max_examples=settings.default.max_examples * 6)
    @given(text=time_texts())
    def test_engines_read_the_same(self, text: str) -> None:
        """Both engines read or refuse the same times in a document."""
        document = json.dumps(ENGINES[0].unstructure(UPDATE) | {"occurred_at": text})

        assert_all_alike(document, JobStatusUpdate)

    @given(time=times())
    def test_any_offset_is_read(self, time: datetime) -> None:
        """The text of `datetime.isoformat` is read as the same moment, if its offset has whole minutes."""
        moment = time.astimezone(UTC)
        if not time.utcoffset().seconds % 60:  # type: ignore[union-attr]
            assert moment == read_time(time.isoformat())
        assert moment == read_time(write_time(time))


class TestUUIDs:
    @settings(max_examples=settings.default.max_examples * 6)
    @given(text=uuid_texts())
    def test_msgspec_takes_no_other_ids(self, text: str) -> None:
        """`read_uuid` accepts the same texts as ``msgspec``, with equal results."""
        msgspec = pytest.importorskip("msgspec")
        try:
            expected = msgspec.json.decode(json.dumps(text), type=UUID)
        except msgspec.ValidationError:
            expected = None
        try:
            read = read_uuid(text)
        except Refusal:
            read = None

        assert expected == read

    @given(text=uuid_texts())
    def test_is_what_uuid_makes_of_it(self, text: str) -> None:
        """`read_uuid` returns the same UUID as `uuid.UUID`, with the same hash and `is_safe`."""
        try:
            read = read_uuid(text)
        except Refusal:
            return
        expected = UUID(text)

        assert (expected, expected.is_safe, hash(expected)) == (read, read.is_safe, hash(read))


class TestRounding:
    @pytest.mark.parametrize(
        ("digits", "microseconds"),
        [("1234564", 123456), ("1234565", 123457), ("12345649999", 123456), ("9999995", 1_000_000), ("0", 0)],
    )
    def test_digits_past_microseconds_are_rounded(self, digits: str, microseconds: int) -> None:
        """Digits after the microseconds are rounded half up, also into the next second."""
        found = read_time(f"2026-01-31T12:30:00.{digits}Z") - read_time("2026-01-31T12:30:00Z")

        assert microseconds == found // timedelta(microseconds=1)
