"""Calls of git: the commit of a branch or of a name."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

__all__ = [
    "RepositoryError",
    "commit_of",
    "git",
    "git_environment",
    "is_remote",
    "is_repository",
    "what_git_says",
]

# Protocols that git may use. Others can run a program that is named in the URL.
_PROTOCOLS = "file:git:http:https:ssh"
_PATIENCE = 30
# Variables that make git use another repository, for example in a hook.
_ELSEWHERE = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX"}


class RepositoryError(Exception):
    """The commit cannot be found. The text says why."""


def commit_of(repo: str, branch: str, commit: str | None = None) -> str | None:
    """Find the commit to run on, so that all jobs of a run use the same one.

    Args:
        repo: The repository, as a URL or an absolute path.
        branch: The branch.
        commit: A commit by any name that git knows; None for the last commit of the branch.

    Returns:
        The commit; None for a directory without git.

    Raises:
        RepositoryError: The commit cannot be found.
    """
    if commit is not None and is_remote(repo):
        return commit
    if commit is not None:
        return git("-C", repo, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    if not is_remote(repo) and not is_repository(Path(repo)):
        return None
    name = f"refs/heads/{branch}"
    for line in git("ls-remote", "--", repo, name).splitlines():
        found, _, ref = line.partition("\t")
        if ref == name:
            return found
    raise RepositoryError("the branch has no commit in the repository; --local runs the files as they are")


def is_remote(repo: str) -> bool:
    """Whether a repository is a URL, or a host and a path (``host:path``)."""
    return bool(urlsplit(repo).scheme or re.match(r"[^/]+:", repo))


def is_repository(directory: Path) -> bool:
    """Whether a directory has a git repository, or is a bare one."""
    return (directory / ".git").exists() or all((directory / part).exists() for part in ("HEAD", "objects", "refs"))


def git(*arguments: str) -> str:
    """Run git, and return what it prints.

    Raises:
        RepositoryError: git fails, or cannot be started.
    """
    try:
        done = subprocess.run(
            ["git", *arguments],
            env=git_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise RepositoryError(f"the repository does not answer within {_PATIENCE} seconds") from None
    except (OSError, ValueError) as error:  # git is not installed, or an argument contains a NUL.
        raise RepositoryError(f"git cannot be run: {type(error).__name__}") from None
    if done.returncode:
        raise RepositoryError(what_git_says(done.stderr) or "git knows no such commit")
    return os.fsdecode(done.stdout).rstrip("\n")


def git_environment() -> dict[str, str]:
    """The environment of this process, changed so that git runs no program of a URL and asks for no password."""
    inherited = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    return {**inherited, "GIT_ALLOW_PROTOCOL": _PROTOCOLS, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def what_git_says(errors: bytes) -> str:
    """The line of git's errors that says most, without the passwords of URLs.

    Args:
        errors: The standard error of git.
    """
    lines = errors.decode(errors="replace").strip().splitlines() or [""]
    # Advice may follow the error.
    said = next((line for line in reversed(lines) if line.startswith("fatal: ")), lines[-1])
    return re.sub(r"://[^/@\s]*@", "://***@", said)
