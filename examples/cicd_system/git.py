"""Calls of git: the repository around a file, and the commit of a branch or of a name."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

__all__ = [
    "RepositoryError",
    "absolute",
    "checked_out",
    "commit_of",
    "git_environment",
    "is_remote",
    "is_repository",
    "what_git_says",
]

# Protocols that git may use. Others can run a program that is named in the URL.
_PROTOCOLS = "file:git:http:https:ssh"
_TIMEOUT = 30  # Seconds.
# Variables that make git use another repository, for example in a hook.
_ELSEWHERE = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX"}


class RepositoryError(Exception):
    """The commit cannot be found. The text says why."""


def commit_of(repo: str, branch: str, commit: str | None = None) -> str | None:
    """Find a commit by any name that git knows, or else the last one of a branch; None for a directory without git.

    Raises:
        RepositoryError: The commit cannot be found.
    """
    if commit is not None and is_remote(repo):
        return commit
    if commit is not None:
        return _git("-C", repo, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    if not is_remote(repo) and not is_repository(Path(repo)):
        return None
    name = f"refs/heads/{branch}"
    for line in _git("ls-remote", "--", repo, name).splitlines():
        found, _, ref = line.partition("\t")
        if ref == name:
            return found
    raise RepositoryError("the branch has no commit in the repository; --local runs the files as they are")


def absolute(repo: str, base: Path) -> str:
    """The URL of a repository, or the absolute path of the repository around a path that is relative to `base`."""
    if is_remote(repo):
        return repo
    return _git_or_none("-C", str(base / repo), "rev-parse", "--show-toplevel") or str((base / repo).resolve())


def checked_out(repo: str) -> dict[str, str]:
    """The branch that is checked out, or else the commit, as a field of a definition; empty if there is none."""
    if is_remote(repo):
        return {}
    if branch := _git_or_none("-C", repo, "symbolic-ref", "--quiet", "--short", "HEAD"):
        return {"branch": branch}
    commit = _git_or_none("-C", repo, "rev-parse", "--verify", "--quiet", "HEAD")
    return {"commit_hash": commit} if commit else {}


def is_remote(repo: str) -> bool:
    """Whether a repository is a URL, or a host and a path (``host:path``)."""
    return re.match("[^/]+:", repo) is not None


def is_repository(directory: Path) -> bool:
    """Whether a directory has a git repository, or is a bare one."""
    return (directory / ".git").exists() or all((directory / part).exists() for part in ("HEAD", "objects", "refs"))


def git_environment() -> dict[str, str]:
    """The environment of this process, changed so that git runs no program of a URL and asks for no password."""
    inherited = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    return {**inherited, "GIT_ALLOW_PROTOCOL": _PROTOCOLS, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def what_git_says(errors: bytes) -> str:
    """The most telling line of git's standard error, without the passwords of URLs."""
    lines = errors.decode(errors="replace").strip().splitlines() or [""]
    # Advice may follow the error.
    said = next((line for line in reversed(lines) if line.startswith("fatal: ")), lines[-1])
    return re.sub(r"://[^/@\s]*@", "://***@", said)


def _git_or_none(*arguments: str) -> str | None:
    try:
        return _git(*arguments)
    except RepositoryError:
        return None


def _git(*arguments: str) -> str:
    command, environment = ["git", *arguments], git_environment()
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise RepositoryError(f"the repository does not answer within {_TIMEOUT} seconds") from None
    except (OSError, ValueError) as error:  # git is not installed, or an argument contains a NUL.
        raise RepositoryError(f"git cannot be run: {type(error).__name__}") from None
    if done.returncode:
        raise RepositoryError(what_git_says(done.stderr) or "git knows no such commit")
    return os.fsdecode(done.stdout).rstrip("\n")
