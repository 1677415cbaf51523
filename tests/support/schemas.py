"""JSON Schemas in tests: validators, and which of the exceptions a problem that only a reader finds falls under."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from cicd_common import Problem
from cicd_common.schema import schema


@cache
def validator(hint: Any) -> Draft202012Validator:
    """The validator of a type; formats are annotations to it."""
    return Draft202012Validator(schema(hint))


_MESSAGES = {
    "text": r"levels|lone surrogates",
    "fields": (
        r"at least one of \w+, \w+ and \w+$|at least one command for a job|only with|the name of the job's stage|"
        r"^expected (another id|one (stage|job) named|job .* (not )?to depend|no cycle|the stages|stages|jobs|the job)"
    ),
    "integers": r"^expected an integer",
    "numbers": r"in the range of a double|of at most 64 bits",
    "times": r"years 1 to 9999",
    "names": r"form NFC",
    "objects": r"^expected at most 65,536 bytes|^expected an integer of at most 9,007|nest at most 32 levels",
}


def exception_of(problem: Problem) -> str | None:
    """The key of the exception in `NOT_IN_SCHEMA`, for types of the contract; None if it is none."""
    return next((key for key, message in _MESSAGES.items() if re.search(message, problem.message)), None)
