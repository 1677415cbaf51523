"""A fresh working copy for a job, and what the job leaves in it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from cicd_common.api.request import Artifact

__all__ = ["WorkspaceError", "artifacts_in", "inside", "working_copy"]

# What git may use to reach a repository: nothing that runs a program that the address names.
_PROTOCOLS = "file:git:http:https:ssh"
_COMMIT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._/-]*")


class WorkspaceError(Exception):
    """There is no working copy to be had. The text says why, for the job's log."""


@contextmanager
def working_copy(repo: str, commit: str | None, directory: Path, *, as_it_is: bool) -> Iterator[Path]:
    """Make a working copy, and clear it away afterwards.

    Args:
        repo: A directory, with a git repository or without, or the URL of a repository.
        commit: The commit; none means the last one of the branch that is checked out.
        directory: Where to put it; it must not exist.
        as_it_is: Whether to take the files as they are in the directory, not as they were committed.

    Raises:
        WorkspaceError: It cannot be made.
    """
    if commit is not None and not _COMMIT.fullmatch(commit):
        raise WorkspaceError("expected the name of a commit, such as 40 hexadecimal digits")
    source = _local(repo)
    is_worktree = source is not None and (source / ".git").exists() and not as_it_is
    try:
        _make(source, repo, commit, directory, as_it_is=as_it_is)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if is_worktree:
            _git("-C", str(source), "worktree", "prune")


def _make(source: Path | None, repo: str, commit: str | None, directory: Path, *, as_it_is: bool) -> None:
    try:
        if source is None:
            _clone(repo, commit, directory)
        elif not (source / ".git").exists():
            shutil.copytree(source, directory, symlinks=True)
        elif as_it_is:
            _copy_files(source, directory)
        else:
            _git("-C", str(source), "worktree", "add", "--quiet", "--detach", "--", str(directory), commit or "HEAD")
    except (OSError, shutil.Error) as error:
        raise WorkspaceError(f"the repository cannot be copied: {type(error).__name__}") from error


def _local(repo: str) -> Path | None:
    """The directory of a repository on this machine; none for one that is elsewhere."""
    url = urlsplit(repo)
    if url.scheme == "file":
        path = Path(url2pathname(url.path))
    elif url.scheme or re.match(r"[^/]+:", repo):
        return None
    else:
        path = Path(repo)
    if not path.is_dir():
        raise WorkspaceError("the repository is no directory of this machine")
    return path.absolute()


def _clone(repo: str, commit: str | None, directory: Path) -> None:
    _git("clone", "--quiet", "--no-checkout", "--", repo, str(directory))
    _git("-C", str(directory), "checkout", "--quiet", "--detach", commit or "HEAD", "--")


def _copy_files(source: Path, directory: Path) -> None:
    listed = _git("-C", str(source), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split(b"\0")):
        path = os.fsdecode(name)
        if os.path.lexists(source / path):  # It may be deleted and not committed.
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            _copy(source / path, directory / path)
    directory.mkdir(exist_ok=True)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir() and not source.is_symlink():  # A repository within the repository.
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target, follow_symlinks=False)


def _git(*arguments: str) -> bytes:
    environment = {**os.environ, "GIT_ALLOW_PROTOCOL": _PROTOCOLS, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    done = subprocess.run(
        ["git", *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode:
        # The last line says what was wrong; an address in it may hold a password.
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["git has failed"]
        raise WorkspaceError(re.sub(r"://[^/@\s]*@", "://***@", lines[-1]))
    return done.stdout


def inside(root: Path, path: str | None) -> Path:
    """A directory in a working copy.

    Args:
        root: The working copy.
        path: The directory in it; none means itself.

    Raises:
        WorkspaceError: It is not in the working copy, or there is no such directory.
    """
    directory = (root / (path or ".")).resolve()
    if not directory.is_relative_to(root.resolve()) or not directory.is_dir():
        raise WorkspaceError("the working directory is none in the repository")
    return directory


def artifacts_in(root: Path, patterns: Iterable[str]) -> tuple[Artifact, ...]:
    """The files that match patterns: regular ones, that are in the working copy and not elsewhere by a link.

    Args:
        root: The working copy.
        patterns: Patterns of paths in it, as for `pathlib.Path.glob`; what leads out of it matches nothing.
    """
    base = root.resolve()
    found = {path for pattern in patterns for path in _matches(base, pattern)}
    return tuple(_artifact(base, path) for path in sorted(found))


def _matches(base: Path, pattern: str) -> Iterator[Path]:
    if not pattern or pattern.startswith("/") or ".." in pattern.split("/"):
        return
    for path in base.glob(pattern):
        if path.is_file() and path.resolve().is_relative_to(base):
            yield path


def _artifact(base: Path, path: Path) -> Artifact:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    return Artifact(path=path.relative_to(base).as_posix(), size=size, sha256=digest)
