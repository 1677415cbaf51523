"""Definitions of pipelines in files: the fields of `cicd_common.model.Pipeline` as YAML, without ids.

The ids are made from the whole content, with the repository and the branch. The same definition has the same ids, and a
changed definition has new ones, because a store never changes the definition of an id.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from attrs import evolve, fields

from cicd_common import ContractError, converter
from cicd_common.errors import Problem
from cicd_common.kinds import Kinds
from cicd_common.model import Job, Pipeline, Stage

from ..git import absolute, checked_out
from .yaml_reading import FileError, FileProblem, Node, read_yaml

__all__ = ["read_definition"]

_DEFINITIONS = UUID("d2c7a3f6-7f1e-4c53-9f0e-0c6e4a4b8b55")
_KEYS = {each.name for cls in (Pipeline, Stage, Job) for each in fields(cls)} - {"id"}
_QUOTES = "put it into quotes if it is meant as one"
_HINTS = {
    ("expected a string", int): _QUOTES,
    ("expected a string", float): _QUOTES,
    ("expected a string", bool): _QUOTES,
    ("expected a string", dict): "a ': ' in it makes it a mapping; put it into quotes if it is meant as a string",
    ("expected a list", str): "put each element on a line of its own, after '- '",
}


def read_definition(path: Path, repo: str | None = None, branch: str | None = None) -> Pipeline:
    """Read the definition of a pipeline, and complete it from git. `repo` and `branch` replace those of the file.

    By default the repository is the git repository around the file, or else the directory of the file, and the branch
    is the one that is checked out. On a detached HEAD, the commit is the one that is checked out.

    Raises:
        FileError: The file is not a valid definition.
        OSError: The file cannot be read.
    """
    root = read_yaml(path)
    if ids := list(_ids(root)):
        raise FileError(path, ids)
    data = _completed(root.data, path, repo, branch) if isinstance(root.data, dict) else root.data
    try:
        pipeline = converter.structure(data, Pipeline, strict=True)
        Kinds.installed().check(pipeline, strict=True)
    except ContractError as error:
        raise FileError(path, [_in_file(root, problem) for problem in error.problems]) from None
    content = converter.unstructure(_with_ids(pipeline, _DEFINITIONS))
    return _with_ids(pipeline, uuid5(_DEFINITIONS, json.dumps(content, sort_keys=True)))


def _ids(node: Node, below: tuple[str, ...] = ("stages", "jobs")) -> Iterator[FileProblem]:
    """The ids in a file: it must not contain any, although the contract has keys for them."""
    if found := node.parts.get("id"):
        yield FileProblem(found.line, found.column, "expected no key id; ids come from the content")
    if below and below[0] in node.parts:
        for part in node.parts[below[0]].parts.values():
            yield from _ids(part, below[1:])


def _completed(data: dict[str, Any], file: Path, repo: str | None, branch: str | None) -> dict[str, Any]:
    base = file.absolute().parent if repo is None else Path.cwd()
    url = data.get("repo_url", ".") if repo is None else repo
    if not isinstance(url, str):
        return data  # It will be refused.
    url = absolute(url, base)
    if branch is not None:
        # The commit of the file is one of the branch of the file.
        commit = data.get("commit_hash") if branch == data.get("branch") else None
        return {**data, "repo_url": url, "branch": branch, "commit_hash": commit}
    return {**({} if "branch" in data else checked_out(url)), **data, "repo_url": url}


def _with_ids(pipeline: Pipeline, id: UUID) -> Pipeline:
    stages = tuple(
        evolve(
            stage,
            id=uuid5(id, f"stage\0{stage.name}"),
            jobs=tuple(evolve(job, id=uuid5(id, f"job\0{job.name}")) for job in stage.jobs),
        )
        for stage in pipeline.stages
    )
    return evolve(pipeline, id=id, stages=stages)


def _in_file(root: Node, problem: Problem) -> FileProblem:
    """A problem of the contract with its place in the file, in words of YAML and with a hint."""
    node = root.at(problem.pointer)
    message = problem.message.replace("a tuple", "a list").replace("as an object", "as a mapping")
    hint = None
    if problem.code == "unknown":
        similar = get_close_matches(problem.pointer.rpartition("/")[2][:50], _KEYS, 1)
        hint = f"{similar[0]} may be meant" if similar else None
    elif problem.code == "type":
        hint = _HINTS.get((message.removesuffix(" or null"), type(node.data)))
    text = f"{problem.pointer or 'the file'}: {message}" + (f"; {hint}" if hint else "")
    return FileProblem(node.line, node.column, text)
