"""Definitions of pipelines in files: the fields of `cicd_common.model.Pipeline` as YAML, without ids.

The ids come from the content: the same definition is the same pipeline, and a changed one is another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from attrs import evolve, frozen

from cicd_common import ContractError, converter
from cicd_common.errors import Problem
from cicd_common.model import Pipeline

from .yaml_reading import Place, Placed, YamlError, read_yaml

__all__ = ["DefinitionFileError", "FileProblem", "read_definition"]

_DEFINITIONS = UUID("d2c7a3f6-7f1e-4c53-9f0e-0c6e4a4b8b55")
_ID = re.compile(r"(/stages/[0-9]+(/jobs/[0-9]+)?)?/id")
_QUOTES = "expected a string"


@frozen(order=True)
class FileProblem:
    """Something that is wrong with a file.

    Attributes:
        place: Where.
        message: What was expected, after the JSON pointer of the value.
    """

    place: Place
    message: str


class DefinitionFileError(Exception):
    """A file is no definition of a pipeline. Its text has a line for each problem, as those of compilers.

    Attributes:
        path: The file.
        problems: All that is wrong with it, in the order of the file.
    """

    def __init__(self, path: Path, problems: Iterable[FileProblem]) -> None:
        self.path = path
        self.problems = tuple(sorted(problems))
        super().__init__(path, self.problems)

    def __str__(self) -> str:
        return "\n".join(
            f"{self.path}:{problem.place.line}:{problem.place.column}: {problem.message}" for problem in self.problems
        )


def read_definition(path: Path, **defaults: Any) -> Pipeline:
    """Read the definition of a pipeline.

    Args:
        path: The file.
        **defaults: Fields of the pipeline that the file need not have.

    Raises:
        DefinitionFileError: There is something wrong with it.
        OSError: It cannot be read.
    """
    try:
        placed = read_yaml(path.read_bytes())
    except YamlError as error:
        raise DefinitionFileError(path, [FileProblem(error.place, error.message)]) from None
    try:
        return _pipeline(placed, defaults)
    except ContractError as error:
        problems = [FileProblem(_place(placed, each), _message(placed, each)) for each in error.problems]
        raise DefinitionFileError(path, problems) from None


def _pipeline(placed: Placed, defaults: dict[str, Any]) -> Pipeline:
    if ids := [pointer for pointer in placed.places if _ID.fullmatch(pointer)]:
        raise ContractError(Pipeline, [Problem(pointer, "unknown", "expected no id") for pointer in ids])
    data = {**defaults, **placed.data} if isinstance(placed.data, dict) else placed.data
    return _with_ids(converter.structure(data, Pipeline, strict=True))


def _with_ids(pipeline: Pipeline) -> Pipeline:
    """The pipeline with ids that its content gives it."""
    id = uuid5(_DEFINITIONS, json.dumps(_without_ids(converter.unstructure(pipeline)), sort_keys=True))  # noqa: A001
    stages = tuple(
        evolve(
            stage,
            id=uuid5(id, f"stage\0{stage.name}"),
            jobs=tuple(evolve(job, id=uuid5(id, f"job\0{job.name}")) for job in stage.jobs),
        )
        for stage in pipeline.stages
    )
    return evolve(pipeline, id=id, stages=stages)


def _without_ids(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_ids(value) for key, value in data.items() if key != "id"}
    return [_without_ids(value) for value in data] if isinstance(data, list) else data


def _place(placed: Placed, problem: Problem) -> Place:
    """Where a value stands; where it is missing, what it is missing in."""
    pointer = problem.pointer
    while pointer and pointer not in placed.places:
        pointer = pointer.rpartition("/")[0]
    return placed.places.get(pointer, Place(1, 1))


def _message(placed: Placed, problem: Problem) -> str:
    hint = ""
    if problem.code == "type" and problem.message.startswith(_QUOTES) and problem.pointer in placed.places:
        hint = "; quotes make a number, true, false or null one"
    return f"{problem.pointer or 'the file'}: {problem.message}{hint}"
