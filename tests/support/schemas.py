"""Validators of JSON Schemas, and the rules that a schema cannot express."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from cicd_common import Problem
from cicd_common.schema import schema


@cache
def validator(hint: Any) -> Draft202012Validator:
    """The validator of a type. It does not check formats."""
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
    """The key in `NOT_IN_SCHEMA` of the rule behind a problem, or None if the schema expresses the rule."""
    return next((key for key, message in _MESSAGES.items() if re.search(message, problem.message)), None)
