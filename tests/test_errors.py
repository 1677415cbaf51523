"""The errors of the package."""

import copy
import json
import pickle
import traceback
from functools import partial
from typing import Literal

import attrs
import pytest
import strategies
from contract import ENGINES, TYPES, name_of
from hypothesis import given
from hypothesis import strategies as st

from cicd_common import ContractError, Problem, make_converter
from cicd_common.api.request import JobStatusUpdate
from cicd_common.errors import UnknownJobError, UnknownNameError

TWO = ContractError(
    JobStatusUpdate,
    [
        Problem("/sequence", "type", "expected an integer"),
        Problem("/a~1b/é", "unknown", "expected no key of this name"),
    ],
)
SYNTAX = ContractError(JobStatusUpdate, iter([Problem("", "syntax", "expected UTF-8")]))


class TestContractError:
    def test_is_a_value_error(self):
        """And the root of all others."""
        assert issubclass(ContractError, ValueError)
        assert issubclass(UnknownJobError, ContractError)
        assert issubclass(UnknownNameError, ContractError)

    def test_as_text(self):
        """One problem stands in the line of the type, several have a line each."""
        assert str(SYNTAX) == "JobStatusUpdate: expected UTF-8"
        assert str(TWO).splitlines() == [
            "JobStatusUpdate: 2 problems",
            "  /sequence: expected an integer",
            "  /a~1b/é: expected no key of this name",
        ]

    def test_as_text_for_a_type_without_a_name(self):
        """Such as a tuple of types."""
        assert str(ContractError(tuple[JobStatusUpdate, ...], SYNTAX.problems)).endswith(": expected UTF-8")

    @pytest.mark.parametrize("error", [TWO, SYNTAX, UnknownJobError(JobStatusUpdate, TWO.problems)])
    @pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
    def test_survives_copying_and_pickling(self, error, again):
        """A queue hands it on whole."""
        found = again(error)
        assert (type(found), found.type, found.problems, str(found)) == (
            type(error),
            error.type,
            error.problems,
            str(error),
        )


class TestToProblem:
    def test_says_the_same_as_a_problem_document(self):
        """RFC 9457, with pointers as URI fragments (RFC 6901, section 6)."""
        assert TWO.to_problem() == {
            "type": "urn:cicd-common:problem:contract",
            "title": "The document does not keep the contract",
            "status": 422,
            "detail": str(TWO),
            "errors": [
                {"pointer": "#/sequence", "code": "type", "detail": "expected an integer"},
                {"pointer": "#/a~1b/%C3%A9", "code": "unknown", "detail": "expected no key of this name"},
            ],
        }

    def test_what_is_not_json_is_a_bad_request(self):
        """Status 400, and no place."""
        problem = SYNTAX.to_problem()
        assert (problem["status"], problem["title"]) == (400, "The document is not JSON")
        assert problem["errors"][0]["pointer"] == "#"

    def test_is_plain_data(self):
        """JSON gives it back as it was."""
        assert json.loads(json.dumps(TWO.to_problem())) == TWO.to_problem()


@pytest.mark.parametrize("cls", TYPES, ids=name_of)
@given(data=st.data())
def test_no_text_of_a_document_is_repeated(cls, data):
    """Whatever is wrong with it: commands and logs carry secrets. A name of a job is none."""
    secret = "hunter2-" + data.draw(st.text("0123456789abcdef", min_size=8, max_size=8))
    good = ENGINES[0].unstructure(data.draw(strategies.of(cls)))
    bad = data.draw(strategies.with_secret(good, secret))
    said = [said_of(engine.structure, bad, cls) for engine in ENGINES]
    assert [text for text in said if secret in text] == []


@attrs.frozen
class Theirs:
    """A class outside the contract, of which all that checks it repeats what it is given."""

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
    """What validators, constructors and hooks of others say is not handed on, neither as a cause."""
    own = make_converter(engine.engine)
    own.register_structure_hook(complex, lambda value, _: complex(value))
    said = said_of(partial(own.structure, strict=strict), {field: bad}, Theirs)

    assert said or (field, bad) == ("part", "1234567")
    assert "hunter2" not in said
    assert "1234567" not in said


def said_of(read, bad, cls):
    """All that an error says, in every way; nothing if there is none."""
    try:
        read(bad, cls)
    except ContractError as error:
        trace = "".join(traceback.format_exception(error))
        return f"{error} {error!r} {json.dumps(error.to_problem())} {trace}"
    return ""
