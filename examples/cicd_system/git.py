"""What git says of a repository: which commit a branch or a name stands for."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["RepositoryError", "commit_of", "git", "git_environment", "is_remote", "what_git_says"]

# What git may use to reach a repository: nothing that runs a program that the address names.
_PROTOCOLS = "file:git:http:https:ssh"
_PATIENCE = 30
# By these git would find another repository than the one that it is told of; as when it is started by a hook.
_ELSEWHERE = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX"}


class RepositoryError(Exception):
    """The commit cannot be found. The text says why."""


def commit_of(repo: str, branch: str, commit: str | None = None) -> str | None:
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
    if commit is not None and is_remote(repo):
        return commit
    if commit is not None:
        return git("-C", repo, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    if not is_remote(repo) and not (Path(repo) / ".git").exists():
        return None
    name = f"refs/heads/{branch}"
    for line in git("ls-remote", "--", repo, name).splitlines():
        found, _, ref = line.partition("\t")
        if ref == name:
            return found
    raise RepositoryError("the branch has no commit in the repository; --local runs the files as they are")


def is_remote(repo: str) -> bool:
    """Whether it is a URL, or a host and a path, as git takes them."""
    return bool(urlsplit(repo).scheme or re.match(r"[^/]+:", repo))


def git(*arguments: str) -> str:
    """Run git, and return what it prints.

    Raises:
        RepositoryError: It fails, or cannot be run.
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
    except (OSError, ValueError) as error:  # It is not installed, or a name holds a NUL.
        raise RepositoryError(f"git cannot be run: {type(error).__name__}") from None
    if done.returncode:
        raise RepositoryError(what_git_says(done.stderr) or "git knows no such commit")
    return os.fsdecode(done.stdout).rstrip("\n")


def git_environment() -> dict[str, str]:
    """The environment of this process, such that git starts no program for an address, and asks nobody."""
    inherited = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    return {**inherited, "GIT_ALLOW_PROTOCOL": _PROTOCOLS, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def what_git_says(errors: bytes) -> str:
    """The last line of what git has to say, which tells what is wrong, without the passwords of addresses.

    Args:
        errors: What it wrote to its standard error.
    """
    lines = errors.decode(errors="replace").strip().splitlines() or [""]
    return re.sub(r"://[^/@\s]*@", "://***@", lines[-1])
