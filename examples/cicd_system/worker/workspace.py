"""A fresh working copy for a job."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ..environment import OURS
from ..git import git_environment, is_remote, is_repository, what_git_says
from .clones import Clones
from .directory import clear
from .tools import Tools

__all__ = ["WorkspaceError", "inside", "working_copy"]

# How git may reach a repository elsewhere.
_REMOTE = ("git", "http", "https", "ssh")
_OPTIONS = (
    # A repository on this machine may have programs set for git to start.
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"),
    # No job misses the log of a checkout, which takes time to write, to copy and to remove.
    *("-c", "core.logAllRefUpdates=false"),
)
_COMMIT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._/-]*")
_WHOLE_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class WorkspaceError(Exception):
    """There is no working copy to be had. The text says why, for the job's log."""


@contextmanager
def working_copy(
    repo: str,
    commit: str | None,
    directory: Path,
    *,
    branch: str = "HEAD",
    as_it_is: bool,
    is_alone: bool = False,
    submodules: bool = False,
    tools: Tools,
    clones: Clones | None = None,
) -> Iterator[Path]:
    """Make a working copy, and clear it away afterwards.

    Args:
        repo: A directory, with a git repository or without, or the URL of a repository.
        commit: The commit; none means the head of the branch.
        directory: Where to put it; it must not exist.
        branch: The branch; by default the one that is checked out.
        as_it_is: Whether to take the files as they are in the directory, not as they were committed.
        is_alone: Whether it is to do without the repository that it comes from, as in a container.
        submodules: Whether to take the submodules of the repository, too.
        tools: What it is made with.
        clones: Has clones to make copies of; by default there are none, and each working copy is cloned anew.

    Raises:
        WorkspaceError: It cannot be made.
        HaltedError: The job is halted.
    """
    if commit is not None and not _COMMIT.fullmatch(commit):
        raise WorkspaceError("expected the name of a commit, such as 40 hexadecimal digits")
    source = _local(repo)
    try:
        with _telling():
            if source is None:
                _clone(tools, repo, commit, branch, directory)
            elif directory.resolve().is_relative_to(source.resolve()):
                raise WorkspaceError("the repository cannot be copied: working copies are made in it")
            elif not is_repository(source):
                _copy_directory(tools, source, commit, directory)
            elif as_it_is:
                _copy_files(tools, source, directory, submodules=submodules)
            else:
                _clone_local(
                    tools, source, commit, branch, directory, None if is_alone else clones, shares=not is_alone
                )
            if submodules and (directory / ".git").exists():
                _check_out_submodules(tools, source, directory)
        yield directory
    finally:
        if directory.exists():
            clear(directory)


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except (OSError, shutil.Error) as error:
        raise WorkspaceError(f"the repository cannot be copied: {type(error).__name__}") from error


def _copy_directory(tools: Tools, source: Path, commit: str | None, directory: Path) -> None:
    if commit is not None:
        raise WorkspaceError("there are no commits: the directory is no git repository")
    tools.copy(source, directory)


def _local(repo: str) -> Path | None:
    """The directory of a repository on this machine; none for one that is elsewhere."""
    try:
        url = urlsplit(repo)
    except ValueError:
        raise WorkspaceError("expected the URL of a repository, or a directory") from None
    if url.scheme == "file":
        path = Path(url2pathname(url.path))
    elif is_remote(repo):
        return None
    else:
        path = Path(repo)
    if not repo or not path.is_dir():
        raise WorkspaceError("the repository is no directory of this machine")
    return path.absolute()


def _clone(tools: Tools, repo: str, commit: str | None, branch: str, directory: Path) -> None:
    _git(tools, "clone", "--quiet", "--no-checkout", "--", repo, str(directory))
    head = "HEAD" if branch == "HEAD" else f"refs/remotes/origin/{branch}"
    _git(tools, "-C", str(directory), "checkout", "--quiet", "--detach", commit or head, "--")


def _clone_local(
    tools: Tools, source: Path, commit: str | None, branch: str, directory: Path, clones: Clones | None, *, shares: bool
) -> None:
    """Check out a commit, with the objects where they are, or else with files of its own for them.

    A worktree would write to the repository: two at once get in each other's way, and a killed Worker leaves its own.
    """
    options = ["--shared"] if shares else ["--no-hardlinks"]

    def clone(target: Path) -> None:
        _git(tools, "clone", "--quiet", *options, "--no-checkout", "--", str(source), str(target))

    name = commit or ("HEAD" if branch == "HEAD" else f"refs/heads/{branch}")
    if clones is None or not _WHOLE_ID.fullmatch(name):
        # What a name stands for in the repository is something else in its clone.
        verify = ("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
        name = os.fsdecode(_git(tools, "-C", str(source), *verify)).strip()
    if clones is None:
        clone(directory)
    else:
        references = _git(tools, "-C", str(source), "show-ref", "--head")
        clones.copy(source, references, directory, clone=clone, tools=tools)
    _git(tools, "-C", str(directory), "checkout", "--quiet", "--detach", name, "--")


def _copy_files(tools: Tools, source: Path, directory: Path, *, submodules: bool) -> None:
    """Copy the files that git knows or does not ignore. Instead of a submodule there is an empty folder."""
    directory.mkdir(parents=True, exist_ok=True)
    listed = _git(tools, "-C", str(source), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split(b"\0")):
        path = os.fsdecode(name)
        if (source / path).is_dir() and not (source / path).is_symlink():  # A repository in the repository.
            (directory / path).mkdir(parents=True)
            if submodules and (source / path / ".git").exists():
                _copy_files(tools, source / path, directory / path, submodules=True)
        elif os.path.lexists(source / path):  # It may be deleted and not committed.
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            tools.copy(source / path, directory / path)


def _check_out_submodules(tools: Tools, source: Path | None, directory: Path) -> None:
    """Check out the submodules, and theirs, from the addresses that the repository on this machine has for them.

    The other addresses are those of the file `.gitmodules`. They may not name a repository on this machine, which a job
    in a container could not read otherwise, unless git's setting ``protocol.file.allow`` says so.
    """
    known = [] if source is None else _git(tools, "-C", str(source), "config", "--local", "--list", "-z").split(b"\0")
    for setting in known:
        key, _, value = os.fsdecode(setting).partition("\n")
        if key.startswith("submodule.") and key.endswith(".url"):
            _git(tools, "-C", str(directory), "config", key, value)
    allowed = [option for name in _REMOTE for option in ("-c", f"protocol.{name}.allow=always")]
    environment = {name: value for name, value in _git_environment().items() if name != "GIT_ALLOW_PROTOCOL"}
    update = ("-C", str(directory), "submodule", "--quiet", "update", "--init", "--recursive")
    _git(tools, "-c", "protocol.allow=never", *allowed, *update, environment=environment)


def _git(tools: Tools, *arguments: str, environment: Mapping[str, str] | None = None) -> bytes:
    """What git prints.

    Raises:
        WorkspaceError: It fails, with what it says.
        HaltedError: The job is halted.
    """
    done = tools.run(["git", *_OPTIONS, *arguments], environment or _git_environment())
    if done.returncode:
        raise WorkspaceError(what_git_says(done.stderr) or "git has failed")
    return done.stdout


def _git_environment() -> dict[str, str]:
    return {name: value for name, value in git_environment().items() if not name.startswith(OURS)}


def inside(root: Path, path: str | None) -> Path:
    """A directory in a working copy.

    Args:
        root: The working copy.
        path: The directory in it; none means itself.

    Raises:
        WorkspaceError: It is not in the working copy, or there is no such directory.
    """
    try:
        directory = (root / (path or ".")).resolve()
        if directory.is_relative_to(root.resolve()) and directory.is_dir():
            return directory
    except (ValueError, OSError, RuntimeError):  # All that is said of paths that are none, and of links to themselves.
        pass
    raise WorkspaceError("the working directory is none in the repository")
