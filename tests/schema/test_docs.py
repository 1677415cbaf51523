"""Descriptions come from docstrings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import attrs

from cicd_common.enums import ExecutionStatus
from cicd_common.schema import schema


@attrs.frozen
class Base:
    """A base.

    Attributes:
        first: What is first, in
            two lines.
        second (int): With its type, as ``Google`` has it.
    """

    first: int = 0
    second: int = 0


@attrs.frozen
class Literals(Base):
    """A class whose fields have literals below them.

    More of it.

    Args:
        argument: From the arguments.
    """

    argument: int = 0
    below: int = 0
    """What stands below: `it`.

    And more of it.
    """
    nothing: int = 0
    number: int = 0
    "One word."

    def method(self) -> None:
        """A method, which is no field."""


@dataclass
class Undocumented:
    x: int


def properties_of(cls: type) -> dict[str, Any]:
    properties = schema(cls)["$defs"][cls.__name__]["properties"]
    return {name: each["description"] for name, each in properties.items() if "description" in each}


def test_of_fields() -> None:
    """Fields have descriptions from sections, also of bases, and from literals below the fields."""
    assert properties_of(Literals) == {
        "first": "What is first, in two lines.",
        "second": "With its type, as Google has it.",
        "argument": "From the arguments.",
        "below": "What stands below: it.",
        "number": "One word.",
    }


def test_of_classes() -> None:
    """The description of a class begins with the first paragraph."""
    assert schema(Literals)["$defs"]["Literals"]["description"] == "A class whose fields have literals below them."


def test_of_enums() -> None:
    """The values of an enum are listed with their descriptions."""
    text = schema(ExecutionStatus)["$defs"]["ExecutionStatus"]["description"]
    assert text.startswith("How far a pipeline, a stage or a job has come.\n\n- PENDING: Not started yet.\n- RUNNING: ")


def test_without_docstrings() -> None:
    """A class without a docstring has no description, also if it is a dataclass."""
    plain = Enum("Plain", {"A": "a"})
    assert "description" not in schema(Undocumented)["$defs"]["Undocumented"]
    assert "description" not in schema(plain)["$defs"]["Plain"]
    assert properties_of(Undocumented) == {}


def test_without_source() -> None:
    """A class that was made at run time has the descriptions of its docstring."""
    names: dict[str, Any] = {"attrs": attrs}
    exec('@attrs.frozen\nclass Made:\n    """Made."""\n    x: int = 0\n    "Below."\n', names)
    assert schema(names["Made"])["$defs"]["Made"]["description"] == "Made."
    assert properties_of(names["Made"]) == {}
