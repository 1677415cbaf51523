"""Definitions of pipelines in files: the fields of `cicd_common.model.Pipeline` as YAML, without ids.

The ids are made from the whole content, with the repository and the branch. The same definition has the same ids, and a
changed definition has new ones, because a store never changes the definition of an id.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from attrs import evolve, fields

from cicd_common import ContractError, converter
from cicd_common.errors import Problem
from cicd_common.kinds import Kinds
from cicd_common.model import Job, Pipeline, Stage

from .yaml_reading import MAX_SIZE, Document, FileProblem, read_yaml

__all__ = ["DefinitionFileError", "read_definition"]

_DEFINITIONS = UUID("d2c7a3f6-7f1e-4c53-9f0e-0c6e4a4b8b55")
_MOST_SHOWN = 100
# The keys of pipelines, stages and jobs, by the depth in the document.
_KEYS = {
    depth: [each.name for each in fields(cls) if each.name != "id"]
    for depth, cls in ((0, Pipeline), (2, Stage), (4, Job))
}


class DefinitionFileError(Exception):
    """A file is not a definition of a pipeline. The text has a line for each problem, like those of compilers.

    Attributes:
        path: The file.
        problems: The problems, in the order of the file.
        is_complete: Whether these are all problems.
    """

    def __init__(self, path: Path, problems: Iterable[FileProblem], is_complete: bool = True) -> None:
        self.path = path
        self.problems = tuple(sorted(problems))
        self.is_complete = is_complete
        super().__init__(path, self.problems, is_complete)

    def __str__(self) -> str:
        lines = [
            f"{self.path}:{problem.place.line}:{problem.place.column}: {problem.message}"
            for problem in self.problems[:_MOST_SHOWN]
        ]
        more = len(self.problems) - len(lines)
        if not self.is_complete:
            lines.append(f"{self.path}: there may be more problems")
        elif more:
            lines.append(f"{self.path}: and {more} more problems")
        return "\n".join(lines)


def read_definition(path: Path, complete: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> Pipeline:
    """Read the definition of a pipeline.

    Args:
        path: The file.
        complete: Adds or replaces fields of the pipeline. It gets the fields as plain data and returns them.

    Raises:
        DefinitionFileError: The file is not a valid definition.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        document = read_yaml(file.read(MAX_SIZE + 1))
    problems, is_complete = [*document.problems], True
    if document.is_read:
        data = complete(document.data) if isinstance(document.data, dict) else document.data
        found, is_complete = _problems(data)
        problems += [_in_file(document, data, problem) for problem in found]
        if not problems:
            return with_ids(converter.structure(data, Pipeline))
    raise DefinitionFileError(path, problems, is_complete)


def with_ids(pipeline: Pipeline) -> Pipeline:
    """A pipeline with ids that are made from its content.

    Args:
        pipeline: The pipeline. Its ids are ignored.
    """
    content = json.dumps(_without_ids(converter.unstructure(pipeline)), sort_keys=True)
    pipeline_id = uuid5(_DEFINITIONS, content)
    stages = tuple(
        evolve(
            stage,
            id=uuid5(pipeline_id, f"stage\0{stage.name}"),
            jobs=tuple(evolve(job, id=uuid5(pipeline_id, f"job\0{job.name}")) for job in stage.jobs),
        )
        for stage in pipeline.stages
    )
    return evolve(pipeline, id=pipeline_id, stages=stages)


def _without_ids(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_ids(value) for key, value in data.items() if key != "id"}
    return [_without_ids(value) for value in data] if isinstance(data, list) else data


# --- problems ---------------------------------------------------------------------------------------------------


def _problems(data: Any) -> tuple[list[Problem], bool]:
    """The problems of a definition, and whether these are all."""
    ids = list(_ids(data))
    rest = _without_ids(data) if ids else data
    refusals, is_complete = _refusals(rest, strict=True)
    found = [*ids, *refusals]
    if found and is_complete and all(problem.code == "unknown" for problem in found):
        # If all problems are unknown keys, the rest is checked without them.
        refusals, is_complete = _refusals(rest, strict=False)
        found += refusals
    return found, is_complete


def _refusals(data: Any, *, strict: bool) -> tuple[tuple[Problem, ...], bool]:
    try:
        _kinds().check(converter.structure(data, Pipeline, strict=strict), strict=strict)
    except ContractError as error:
        return error.problems, error.is_complete
    return (), True


@cache
def _kinds() -> Kinds:
    return Kinds.installed()


def _ids(data: Any) -> Iterable[Problem]:
    """A file must not contain ids, although the contract has keys for them."""
    for pointer in _with_id(data, "", ("stages", "jobs")):
        yield Problem(f"{pointer}/id", "unknown", "expected no key of this name")


def _with_id(data: Any, pointer: str, below: tuple[str, ...]) -> Iterable[str]:
    if not isinstance(data, dict):
        return
    if "id" in data:
        yield pointer
    parts = data.get(below[0]) if below else None
    for place, part in enumerate(parts if isinstance(parts, list) else ()):
        yield from _with_id(part, f"{pointer}/{below[0]}/{place}", below[1:])


def _in_file(document: Document, data: Any, problem: Problem) -> FileProblem:
    message = f"{problem.pointer or 'the file'}: {_message(data, problem)}"
    return FileProblem(document.at(problem.pointer), message)


def _message(data: Any, problem: Problem) -> str:
    if problem.code == "missing":
        return problem.message.replace("a tuple", "a list")
    if problem.code == "unknown":
        return problem.message + _meant(problem.pointer)
    expected = problem.message.removesuffix(" or null")
    hint = _HINTS.get((expected, type(_value(data, problem.pointer)))) if problem.code == "type" else None
    return problem.message.replace("as an object", "as a mapping") + (f"; {hint}" if hint else "")


_QUOTES = "put it into quotes if it is meant as one"
_MAPPING = "a ': ' in it makes it a mapping; put it into quotes if it is meant as a string"
_HINTS: dict[tuple[str, type], str] = {
    ("expected a string", int): _QUOTES,
    ("expected a string", float): _QUOTES,
    ("expected a string", bool): _QUOTES,
    ("expected a string", dict): _MAPPING,
    ("expected a string", type(None)): "nothing, ~ and null stand for no value; quotes make a string of them",
    ("expected a list", str): "put each element on a line of its own, after '- '",
    ("expected true or false", str): "without quotes, and no other word",
}


def _meant(pointer: str) -> str:
    """A hint at the known key that is most similar to an unknown one."""
    above, _, key = pointer.rpartition("/")
    if key == "id":
        return "; ids come from the content"
    near = get_close_matches(key[:50], _KEYS.get(above.count("/"), ()), 1)
    return f"; {near[0]} may be meant" if near else ""


def _value(data: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        data = data[int(key)] if isinstance(data, list) else data[key]
    return data
