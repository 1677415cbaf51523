"""What a run is for: the repository, the branch and the commit, as far as the definition and git can tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..git import RepositoryError, git, is_remote

__all__ = ["completed"]


def completed(
    file: Path, repo: str | None = None, branch: str | None = None
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Make what completes a definition, for `read_definition`.

    A repository that is a directory is made absolute: in the file it is relative to the file. Where nothing says which
    it is, it is the git repository around the file, or else the file's directory; the branch is the one checked out.
    Where a commit is checked out and no branch (a detached HEAD), the commit is that one.

    Args:
        file: The file of the definition.
        repo: The repository, whatever the file says.
        branch: The branch, whatever the file says.
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
    """What the fields of a definition say of what is checked out; nothing where nothing is."""
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
