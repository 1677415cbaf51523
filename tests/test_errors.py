"""The errors of the package."""

import copy
import json
import pickle
import traceback
from functools import partial
from typing import Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicd_common import ContractError, Problem, make_converter
from cicd_common.api.request import JobStatusUpdate
from cicd_common.errors import UnknownJobError, UnknownKindError, UnknownNameError
from cicd_common.testing import strategies
from tests.support import strategies as own_strategies
from tests.support.contract import ENGINES, TYPES, name_of

TWO = ContractError(
    JobStatusUpdate,
    [
        Problem("/sequence", "type", "expected an integer"),
        Problem("/a~1b/é", "unknown", "expected no key of this name"),
    ],
)
TEXTS = st.text(max_size=20) | st.builds(lambda text, times: text * times, st.text(), st.integers(1, 5_000))
SYNTAX = ContractError(JobStatusUpdate, iter([Problem("", "syntax", "expected UTF-8")]))


class TestContractError:
    def test_is_a_value_error(self):
        """ContractError is a ValueError, and the other errors derive from it."""
        assert issubclass(ContractError, ValueError)
        assert issubclass(UnknownJobError, ContractError)
        assert issubclass(UnknownKindError, ContractError)
        assert issubclass(UnknownNameError, ContractError)

    def test_as_text(self):
        """A single problem is in the line of the type. Several problems have separate lines."""
        assert str(SYNTAX) == "JobStatusUpdate: expected UTF-8"
        assert str(TWO).splitlines() == [
            "JobStatusUpdate: 2 problems",
            "  /sequence: expected an integer",
            "  /a~1b/é: expected no key of this name",
        ]

    def test_lists_at_most_100_problems(self):
        """An error has the first 100 problems, and says whether there are more."""
        problems = [Problem(f"/{at}", "type", "expected an integer") for at in range(101)]
        whole, some = ContractError(JobStatusUpdate, problems[:100]), ContractError(JobStatusUpdate, iter(problems))
        assert whole.problems == some.problems == tuple(problems[:100])
        assert (whole.is_complete, some.is_complete) == (True, False)
        assert ContractError(JobStatusUpdate, problems[:1], is_complete=False).is_complete is False
        assert str(whole).startswith("JobStatusUpdate: 100 problems\n")
        assert str(some).startswith("JobStatusUpdate: 100 problems or more\n")

    def test_as_text_for_a_type_without_a_name(self):
        """The text of an error works for a type without a name, such as a tuple of types."""
        assert str(ContractError(tuple[JobStatusUpdate, ...], SYNTAX.problems)).endswith(": expected UTF-8")

    @pytest.mark.parametrize(
        "error",
        [
            TWO,
            SYNTAX,
            UnknownJobError(JobStatusUpdate, TWO.problems),
            ContractError(JobStatusUpdate, TWO.problems, False),
        ],
    )
    @pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
    def test_survives_copying_and_pickling(self, error, again):
        """A copied or pickled error keeps its class, its type, its problems and its text."""
        found = again(error)
        assert (type(found), found.type, found.problems, found.is_complete, str(found)) == (
            type(error),
            error.type,
            error.problems,
            error.is_complete,
            str(error),
        )


class TestToProblem:
    def test_says_the_same_as_a_problem_document(self):
        """`to_problem` returns a problem document of RFC 9457, with pointers as URI fragments (RFC 6901, section 6)."""
        assert TWO.to_problem() == {
            "type": "urn:cicd-common:problem:contract",
            "title": "The document does not keep the contract",
            "status": 422,
            "detail": str(TWO),
            "is_complete": True,
            "errors": [
                {"pointer": "#/sequence", "code": "type", "detail": "expected an integer"},
                {"pointer": "#/a~1b/%C3%A9", "code": "unknown", "detail": "expected no key of this name"},
            ],
        }

    def test_what_is_not_json_is_a_bad_request(self):
        """A text that is not JSON has status 400, and a pointer to the whole document."""
        problem = SYNTAX.to_problem()
        assert (problem["status"], problem["title"]) == (400, "The document is not JSON")
        assert problem["errors"][0]["pointer"] == "#"

    @pytest.mark.parametrize(
        ("error", "status"), [(ContractError, 422), (UnknownJobError, 404), (UnknownNameError, 404)]
    )
    def test_has_the_status_of_its_class(self, error, status):
        """Each class has its status. A text that is not JSON has status 400 for all classes."""
        assert error(JobStatusUpdate, TWO.problems).to_problem()["status"] == status == error.status
        assert error(JobStatusUpdate, SYNTAX.problems).to_problem()["status"] == 400

    @given(
        st.lists(st.builds(Problem, TEXTS, st.sampled_from(["type", "value"]), TEXTS), min_size=1, max_size=150),
        st.booleans(),
    )
    def test_is_shorter_than_64_kib(self, problems, is_complete):
        """A problem document is shorter than 64 KiB for any pointers and messages, and says whether it is complete."""
        error = ContractError(JobStatusUpdate, problems, is_complete)
        document = error.to_problem()
        assert len(json.dumps(document)) < 64 * 1024
        is_whole = is_complete and len(document["errors"]) == len(problems)
        assert document["is_complete"] == is_whole

    def test_leaves_out_what_does_not_fit(self):
        """If problems are too long for the limit, the document has the first ones and is not complete."""
        problems = [Problem("/" + "\U0001f680" * 500, "value", "\U0001f680" * 500)] * 100
        document = ContractError(JobStatusUpdate, problems).to_problem()
        assert len(json.dumps(document)) < 64 * 1024
        assert 0 < len(document["errors"]) < 100
        assert not document["is_complete"]

    def test_is_plain_data(self):
        """A problem document is equal after a round trip through JSON."""
        assert json.loads(json.dumps(TWO.to_problem())) == TWO.to_problem()


@pytest.mark.parametrize(("key", "shown"), [("a\nb", "a\\nb"), ("\u202e", "\\u202e"), ("\ud800", "\\ud800")])
def test_a_key_is_shown_in_one_line(key, shown):
    """Unprintable characters of a key, such as a line break, are escaped in the text and in the document."""
    with pytest.raises(ContractError) as caught:
        ENGINES[0].structure({key: 1}, Theirs, strict=True)
    assert str(caught.value) == f"Theirs: /{shown}: expected no key of this name"
    assert json.dumps(caught.value.to_problem(), ensure_ascii=False).encode()


@pytest.mark.no_cover
@pytest.mark.parametrize("cls", TYPES, ids=name_of)
@given(data=st.data())
def test_no_text_of_a_document_is_repeated(cls, data):
    """An error does not repeat text of a wrong document, because commands and logs can contain secrets."""
    secret = "hunter2-" + data.draw(st.text("0123456789abcdef", min_size=8, max_size=8))
    good = ENGINES[0].unstructure(data.draw(strategies.from_type(cls)))
    bad = data.draw(own_strategies.with_secret(good, secret))
    said = [said_of(engine.structure, bad, cls) for engine in ENGINES]
    assert [text for text in said if secret in text] == []


@attrs.frozen
class Theirs:
    """A class outside the contract whose validators and constructor repeat values in their errors."""

    text: str = attrs.field(default="", validator=attrs.validators.matches_re("[0-9]*"))
    choice: str = attrs.field(default="a", validator=attrs.validators.in_(["a", "b"]))
    number: int = 0
    kind: Literal["a", "b"] = "a"
    numbers: dict[str, int] = attrs.field(factory=dict)
    part: complex = 0j

    def __attrs_post_init__(self):
        if self.text:
            raise ValueError(f"unexpected {self.text}")


@pytest.mark.parametrize("engine", ENGINES, ids=name_of)
@pytest.mark.parametrize("field", [field.name for field in attrs.fields(Theirs)])
@pytest.mark.parametrize("bad", ["hunter2", ["hunter2"], {"key": "hunter2"}, "1234567"])
@pytest.mark.parametrize("strict", [False, True])
def test_no_text_is_repeated_that_others_repeat(engine, field, bad, strict):
    """An error does not repeat the messages of other validators, constructors and hooks, nor has them as its cause."""
    own = make_converter(engine.engine)
    own.register_structure_hook(complex, lambda value, _: complex(value))
    said = said_of(partial(own.structure, strict=strict), {field: bad}, Theirs)

    assert said or (field, bad) == ("part", "1234567")
    assert "hunter2" not in said
    assert "1234567" not in said


def said_of(read, bad, cls):
    """The text, repr, problem document and traceback of the error that reading raises, or an empty text."""
    try:
        read(bad, cls)
    except ContractError as error:
        trace = "".join(traceback.format_exception(error))
        return f"{error} {error!r} {json.dumps(error.to_problem())} {trace}"
    return ""
