"""What a run is for: the repository, the branch and the commit, as far as the definition and git can tell."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

__all__ = ["RepositoryError", "commit_of", "completed"]

# What git may use to reach a repository: nothing that runs a program that the address names.
_PROTOCOLS = "file:git:http:https:ssh"
# What git sets for its hooks; it would point to another repository.
_OF_HOOKS = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"}


class RepositoryError(Exception):
    """The commit cannot be found. The text says why."""


def completed(
    file: Path, repo: str | None = None, branch: str | None = None
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Make what completes a definition, for `read_definition`.

    A repository that is a directory is made absolute: in the file it is relative to the file. Where nothing says which
    it is, it is the git repository around the file, or else the file's directory; the branch is the one checked out.

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
        elif "branch" not in found and (checked_out := _checked_out(found["repo_url"])):
            found["branch"] = checked_out
        return found

    return complete


def commit_of(repo: str, branch: str, commit: str | None) -> str | None:
    """The commit to run on. All jobs of a run are then for the same one, whatever is committed meanwhile.

    Args:
        repo: The repository, as a URL or an absolute path.
        branch: The branch.
        commit: What is asked for, in any way that git knows; none means the last commit of the branch.

    Returns:
        The commit; none for a directory without git.

    Raises:
        RepositoryError: It cannot be found.
    """
    if commit is not None and _is_remote(repo):
        return commit
    if commit is not None:
        return _git("-C", repo, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    if not _is_remote(repo) and not (Path(repo) / ".git").exists():
        return None
    name = f"refs/heads/{branch}"
    for line in _git("ls-remote", "--", repo, name).splitlines():
        found, _, ref = line.partition("\t")
        if ref == name:
            return found
    raise RepositoryError("the branch has no commit in the repository; --local runs the files as they are")


def _is_remote(repo: str) -> bool:
    """Whether it is a URL, or a host and a path, as git takes them."""
    return bool(urlsplit(repo).scheme or re.match(r"[^/]+:", repo))


def _absolute(repo: str, base: Path) -> str:
    if _is_remote(repo):
        return repo
    directory = base / repo
    return _tried("-C", str(directory), "rev-parse", "--show-toplevel") or str(directory.resolve())


def _checked_out(repo: Any) -> str | None:
    if not isinstance(repo, str) or _is_remote(repo):
        return None
    return _tried("-C", repo, "symbolic-ref", "--quiet", "--short", "HEAD")


def _tried(*arguments: str) -> str | None:
    try:
        return _git(*arguments)
    except RepositoryError:
        return None


def _git(*arguments: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
    environment = {**inherited, "GIT_ALLOW_PROTOCOL": _PROTOCOLS, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except (OSError, ValueError) as error:  # It is not installed, or a name holds a NUL.
        raise RepositoryError(f"git cannot be run: {type(error).__name__}") from None
    if done.returncode:
        # The last line says what was wrong; an address in it may hold a password.
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["git knows no such commit"]
        raise RepositoryError(re.sub(r"://[^/@\s]*@", "://***@", said[-1]))
    return os.fsdecode(done.stdout).rstrip("\n")
