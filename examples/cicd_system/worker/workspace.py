"""Make a fresh working copy for a job."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from attrs import frozen

from cicd_common.api.request import JobExecutionRequest

from ..git import git_environment, is_remote, is_repository, what_git_says
from .directory import clear
from .process import GoOn, run
from .reporting import NotRunnableError

__all__ = ["inside", "make_working_copy"]

# The protocols by which git may reach the repository of a submodule.
_REMOTE = ("git", "http", "https", "ssh")
_OPTIONS = (
    # A repository on this machine may name programs for git to start.
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"),
    # A log of the checkout takes time to write, to copy and to remove, and jobs do not need it.
    *("-c", "core.logAllRefUpdates=false"),
)
_LARGE = 16 * 1024**2  # Bytes from which a file is copied by a program, which can be stopped.
# Without the examples of hooks, which take time to write, to copy and to remove, too.
_CLONE = ("clone", "--quiet", "--no-checkout", "--template=")
_KEPT = 16  # Clones of repositories on this machine that are kept.
_COMMIT = re.compile(r"[0-9A-Za-z][0-9A-Za-z._/-]*")


def make_working_copy(
    request: JobExecutionRequest, directory: Path, clones: Path, *, submodules: bool, go_on: GoOn
) -> None:
    """Make a working copy of the repository of a job.

    Args:
        directory: Where to make it; it must not exist.
        clones: The directory for clones of repositories on this machine. Only one thread may use it.
        submodules: Whether to check out the submodules of the repository, too.

    Raises:
        NotRunnableError: It cannot be made.
    """
    if request.commit_hash is not None and not _COMMIT.fullmatch(request.commit_hash):
        raise NotRunnableError("expected the name of a commit, such as 40 hexadecimal digits")
    source = _local(request.repo)
    copy = _WorkingCopy(request, directory, go_on)
    try:
        if source is None:
            copy.clone(request.repo)
        elif directory.is_relative_to(source):
            raise NotRunnableError("the repository cannot be copied: working copies are made in it")
        elif not is_repository(source):
            copy.copy_directory(source)
        elif request.is_local:
            copy.copy_files(source, directory, submodules=submodules)
        elif request.docker_image is not None:
            copy.clone(str(source), "--no-hardlinks")  # The container cannot see the objects of the repository.
        else:
            copy.copy_clone(source, clones)
        if submodules and (directory / ".git").exists():
            copy.check_out_submodules(source)
    except OSError as error:
        raise NotRunnableError(f"the repository cannot be copied: {type(error).__name__}") from error


def _local(repo: str) -> Path | None:
    """The directory of a repository on this machine; None for a repository elsewhere."""
    try:
        url = urlsplit(repo)
    except ValueError:
        raise NotRunnableError("expected the URL of a repository, or a directory") from None
    if url.scheme == "file":
        path = Path(url2pathname(url.path))
    elif is_remote(repo):
        return None
    else:
        path = Path(repo)
    if not repo or not path.is_dir():
        raise NotRunnableError("the repository is no directory of this machine")
    return path.resolve()


@frozen
class _WorkingCopy:
    """The working copy of a job, in a directory."""

    request: JobExecutionRequest
    directory: Path
    go_on: GoOn

    def clone(self, repo: str, *options: str) -> None:
        """Clone a repository and check out the commit."""
        self._git(*_CLONE, *options, "--", repo, str(self.directory))
        self._check_out()

    def copy_clone(self, source: Path, clones: Path) -> None:
        """Copy a clone that is kept, which takes 5 ms less than to clone, and check out the commit.

        The clone uses the objects of the repository. It is made anew if the branches or tags have changed. A worktree
        would write to the repository: two at once hinder each other, and a killed Worker does not remove its own.
        """
        references = self._git("-C", str(source), "show-ref", "--head")
        kept = clones / sha256(os.fsencode(source) + b"\0" + references).hexdigest()
        if not kept.exists():
            made = clones / "new"
            clear(made)  # An attempt that was stopped may have left it.
            self._git(*_CLONE, "--shared", "--", str(source), str(made))
            made.rename(kept)
            for old in sorted(clones.iterdir(), key=lambda clone: clone.stat().st_mtime)[:-_KEPT]:
                clear(old)
        os.utime(kept)  # Its time says when it was used last.
        shutil.copytree(kept, self.directory, symlinks=True, copy_function=shutil.copyfile)
        self._check_out()

    def _check_out(self) -> None:
        branch = self.request.branch
        head = "HEAD" if branch == "HEAD" else f"refs/remotes/origin/{branch}"
        self._git_here("checkout", "--quiet", "--detach", self.request.commit_hash or head, "--")

    def copy_directory(self, source: Path) -> None:
        """Copy a directory without git."""
        if self.request.commit_hash is not None:
            raise NotRunnableError("there are no commits: the directory is no git repository")
        self._copy(source, self.directory)

    def _copy(self, source: Path, target: Path) -> None:
        if run(["cp", "-a", "--", str(source), str(target)], self.go_on).returncode:
            raise NotRunnableError("the repository cannot be copied")

    def copy_files(self, source: Path, target: Path, *, submodules: bool) -> None:
        """Copy the files that git knows or does not ignore, as they are. In place of a submodule is an empty folder."""
        listed = self._git("-C", str(source), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        target.mkdir(exist_ok=True)
        for name in filter(None, listed.split(b"\0")):
            self.go_on()
            file, copy = source / os.fsdecode(name), target / os.fsdecode(name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if file.is_dir() and not file.is_symlink():  # A repository in the repository.
                copy.mkdir()
                if submodules and (file / ".git").exists():
                    self.copy_files(file, copy, submodules=True)
            elif os.path.lexists(file):  # It may be deleted and not committed.
                if file.lstat().st_size < _LARGE:
                    shutil.copy2(file, copy, follow_symlinks=False)
                else:
                    self._copy(file, copy)

    def check_out_submodules(self, source: Path | None) -> None:
        """Check out the submodules, and theirs, from the addresses that the repository on this machine has for them.

        The other addresses are those of the file `.gitmodules`. They may not name a repository on this machine, which a
        job in a container could not read otherwise, unless git's setting ``protocol.file.allow`` says so.
        """
        known = [] if source is None else self._git("-C", str(source), "config", "--local", "--list", "-z").split(b"\0")
        for setting in known:
            key, _, value = os.fsdecode(setting).partition("\n")
            if key.startswith("submodule.") and key.endswith(".url"):
                self._git_here("config", key, value)
        environment = git_environment()
        environment.pop("GIT_ALLOW_PROTOCOL")
        allowed = [option for name in _REMOTE for option in ("-c", f"protocol.{name}.allow=always")]
        update = ("submodule", "--quiet", "update", "--init", "--recursive")
        self._git_here("-c", "protocol.allow=never", *allowed, *update, environment=environment)

    def _git_here(self, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._git("-C", str(self.directory), *arguments, environment=environment)

    def _git(self, *arguments: str, environment: Mapping[str, str] | None = None) -> bytes:
        """Run git, and return what it prints."""
        done = run(["git", *_OPTIONS, *arguments], self.go_on, environment=environment or git_environment())
        if done.returncode:
            raise NotRunnableError(what_git_says(done.stderr) or "git has failed")
        return done.stdout


def inside(root: Path, path: str | None) -> Path:
    """A directory in a working copy.

    Args:
        root: The working copy, as a path without links.
        path: The directory in it; None for the working copy itself.

    Raises:
        NotRunnableError: It is not in the working copy, or there is no such directory.
    """
    try:
        directory = (root / (path or ".")).resolve()
        if directory.is_relative_to(root) and directory.is_dir():
            return directory
    except (ValueError, OSError, RuntimeError):  # The path contains a NUL, is too long, or is a link to itself.
        pass
    raise NotRunnableError("the working directory is not a directory of the repository")
