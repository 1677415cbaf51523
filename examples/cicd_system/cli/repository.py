"""Find the repository, the branch and the commit of a run from the definition and from git."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..git import RepositoryError, git, is_remote

__all__ = ["completed"]


def completed(
    file: Path, repo: str | None = None, branch: str | None = None
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Make the function that completes a definition, for `read_definition`.

    The path of a repository is relative to the file, and is made absolute. By default the repository is the git
    repository around the file, or else the directory of the file, and the branch is the one that is checked out. If a
    commit is checked out without a branch (a detached HEAD), it is the commit of the run.

    Args:
        file: The file of the definition.
        repo: The repository; it replaces that of the file.
        branch: The branch; it replaces that of the file.
    """

    def complete(data: dict[str, Any]) -> dict[str, Any]:
        found = dict(data)
        if repo is not None:
            found["repo_url"] = _absolute(repo, Path.cwd())
        else:
            said = found.get("repo_url", ".")
            found["repo_url"] = _absolute(said, file.absolute().parent) if isinstance(said, str) else said
        if branch is not None:
            found["branch"] = branch
        elif "branch" not in found:
            found |= _checked_out(found["repo_url"])
        return found

    return complete


def _absolute(repo: str, base: Path) -> str:
    if is_remote(repo):
        return repo
    directory = base / repo
    return _tried("-C", str(directory), "rev-parse", "--show-toplevel") or str(directory.resolve())


def _checked_out(repo: Any) -> dict[str, str]:
    """The fields of a definition for the branch or commit that is checked out; empty if there is none."""
    if not isinstance(repo, str) or is_remote(repo):
        return {}
    if branch := _tried("-C", repo, "symbolic-ref", "--quiet", "--short", "HEAD"):
        return {"branch": branch}
    commit = _tried("-C", repo, "rev-parse", "--verify", "--quiet", "HEAD")
    return {} if commit is None else {"commit_hash": commit}


def _tried(*arguments: str) -> str | None:
    try:
        return git(*arguments)
    except RepositoryError:
        return None
