"""A fresh working copy for a job, and what the job leaves in it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from attrs import frozen

from cicd_common import ContractError
from cicd_common.api.request import Artifact
from cicd_common.logging import get_logger

__all__ = ["HaltedError", "WorkspaceError", "artifacts_in", "inside", "working_copy"]

log = get_logger(__name__)

# What git may use to reach a repository: nothing that runs a program that the address names.
_PROTOCOLS = "file:git:http:https:ssh"
# A repository on this machine may have programs set for git to start.
_QUIET = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false")
# By these git would find another repository than the one that it is told of; as when the Worker is started by a hook.
_ELSEWHERE = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX"}
_PAUSE = 0.1  # Seconds between two looks whether to give up.
_COMMIT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._/-]*")


class WorkspaceError(Exception):
    """There is no working copy to be had. The text says why, for the job's log."""


class HaltedError(Exception):
    """The job was halted before its working copy was made."""


@contextmanager
def working_copy(
    repo: str,
    commit: str | None,
    directory: Path,
    *,
    as_it_is: bool,
    is_alone: bool = False,
    is_halted: Callable[[], bool] = lambda: False,
) -> Iterator[Path]:
    """Make a working copy, and clear it away afterwards.

    Args:
        repo: A directory, with a git repository or without, or the URL of a repository.
        commit: The commit; none means the last one of the branch that is checked out.
        directory: Where to put it; it must not exist.
        as_it_is: Whether to take the files as they are in the directory, not as they were committed.
        is_alone: Whether it is to do without the repository that it comes from, as in a container.
        is_halted: Whether to give up; asked again and again.

    Raises:
        WorkspaceError: It cannot be made.
        HaltedError: It was given up.
    """
    if commit is not None and not _COMMIT.fullmatch(commit):
        raise WorkspaceError("expected the name of a commit, such as 40 hexadecimal digits")
    source = _local(repo)
    tools = _Tools(is_halted)
    try:
        _make(tools, source, repo, commit, directory, as_it_is=as_it_is, is_alone=is_alone)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _make(
    tools: _Tools,
    source: Path | None,
    repo: str,
    commit: str | None,
    directory: Path,
    *,
    as_it_is: bool,
    is_alone: bool,
) -> None:
    try:
        if source is None:
            _clone(tools, repo, commit, directory)
        elif directory.resolve().is_relative_to(source.resolve()):
            raise WorkspaceError("the repository cannot be copied: working copies are made in it")
        elif not _is_repository(source):
            _copy_directory(tools, source, commit, directory)
        elif as_it_is:
            _copy_files(tools, source, directory)
        else:
            _clone_local(tools, source, commit, directory, shares=not is_alone)
    except (OSError, shutil.Error) as error:
        raise WorkspaceError(f"the repository cannot be copied: {type(error).__name__}") from error


def _is_repository(source: Path) -> bool:
    return (source / ".git").exists() or all((source / part).exists() for part in ("HEAD", "objects", "refs"))


def _copy_directory(tools: _Tools, source: Path, commit: str | None, directory: Path) -> None:
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
    elif url.scheme or re.match(r"[^/]+:", repo):
        return None
    else:
        path = Path(repo)
    if not repo or not path.is_dir():
        raise WorkspaceError("the repository is no directory of this machine")
    return path.absolute()


def _clone(tools: _Tools, repo: str, commit: str | None, directory: Path) -> None:
    tools.git("clone", "--quiet", "--no-checkout", "--", repo, str(directory))
    tools.git("-C", str(directory), "checkout", "--quiet", "--detach", commit or "HEAD", "--")


def _clone_local(tools: _Tools, source: Path, commit: str | None, directory: Path, *, shares: bool) -> None:
    """Check out a commit, with the objects where they are, or else with files of its own for them.

    A worktree would write to the repository: two at once get in each other's way, and a killed Worker leaves its own.
    """
    found = tools.git("-C", str(source), "rev-parse", "--verify", "--end-of-options", f"{commit or 'HEAD'}^{{commit}}")
    options = ["--shared"] if shares else ["--no-hardlinks"]
    tools.git("clone", "--quiet", *options, "--no-checkout", "--", str(source), str(directory))
    tools.git("-C", str(directory), "checkout", "--quiet", "--detach", found.decode().strip(), "--")


def _copy_files(tools: _Tools, source: Path, directory: Path) -> None:
    listed = tools.git("-C", str(source), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split(b"\0")):
        path = os.fsdecode(name)
        if os.path.lexists(source / path):  # It may be deleted and not committed.
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            tools.copy(source / path, directory / path)
    directory.mkdir(exist_ok=True)


@frozen
class _Tools:
    """What working copies are made with: all of it gives up when the job is halted.

    Attributes:
        is_halted: Whether it is.
    """

    is_halted: Callable[[], bool]

    def copy(self, source: Path, target: Path) -> None:
        """Copy a file, a link, or a directory with all that is in it."""
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, target, symlinks=True, copy_function=self._copy_file)
        else:
            self._copy_file(source, target)

    def _copy_file(self, source: str | Path, target: str | Path) -> None:
        self._go_on()
        shutil.copy2(source, target, follow_symlinks=False)

    def git(self, *arguments: str) -> bytes:
        """What git prints.

        Raises:
            WorkspaceError: It fails, with what it says.
        """
        quiet = subprocess.DEVNULL
        with subprocess.Popen(
            ["git", *_QUIET, *arguments],
            env=_git_environment(),
            stdin=quiet,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                output, errors = self._await(process)
            except BaseException:
                # With what it has started, which holds the pipes.
                os.killpg(process.pid, signal.SIGKILL)
                raise
        if process.returncode:
            # The last line says what was wrong; an address in it may hold a password.
            lines = errors.decode(errors="replace").strip().splitlines() or ["git has failed"]
            raise WorkspaceError(re.sub(r"://[^/@\s]*@", "://***@", lines[-1]))
        return output

    def _await(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        while True:
            self._go_on()
            try:
                return process.communicate(timeout=_PAUSE)
            except subprocess.TimeoutExpired:
                continue

    def _go_on(self) -> None:
        if self.is_halted():
            raise HaltedError


def _git_environment() -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("CICD_") and name not in _ELSEWHERE
    }
    return {**kept, "GIT_ALLOW_PROTOCOL": _PROTOCOLS, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


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


def artifacts_in(root: Path, patterns: Iterable[str]) -> tuple[Artifact, ...]:
    """The files that match patterns: regular ones, that are in the working copy and not elsewhere by a link.

    What cannot be told of, since its name is none of the contract's or it cannot be read, is left out with a warning.

    Args:
        root: The working copy.
        patterns: Patterns of paths in it, as for `pathlib.Path.glob`; what leads out of it matches nothing.
    """
    base = root.resolve()
    found = {path for pattern in patterns for path in _matches(base, pattern)}
    return tuple(artifact for path in sorted(found) if (artifact := _artifact(base, path)))


def _matches(base: Path, pattern: str) -> Iterator[Path]:
    if not pattern or pattern.startswith("/") or ".." in pattern.split("/"):
        return
    try:
        for path in base.glob(pattern):
            if path.is_file() and path.resolve().is_relative_to(base):
                yield path
    except (
        ValueError,
        IndexError,
        OSError,
        RuntimeError,
    ):  # All that glob says of patterns that are none, and of loops.
        log.warning("a pattern of artifacts is not understood")


def _artifact(base: Path, path: Path) -> Artifact | None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return Artifact(path=path.relative_to(base).as_posix(), size=file.tell(), sha256=digest)
    except (OSError, ContractError) as error:
        log.warning("an artifact is left out", error=type(error).__name__)
        return None
