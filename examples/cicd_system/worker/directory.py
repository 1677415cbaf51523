"""The directories of a Worker and its jobs, and their removal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile, gettempdir, mkdtemp

from cicd_common.logging import get_logger

__all__ = ["UnfitError", "check_room", "clear", "job_directory", "own_directory"]

log = get_logger(__name__)

_NAME = "cicd-worker-"
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_ROOM = 64 * 1024  # Bytes that a job needs for its script, at least.


class UnfitError(Exception):
    """The files of a job cannot be written on this machine, so every other job would fail, too. The text says why."""


@contextmanager
def own_directory(parent: Path | None) -> Iterator[Path]:
    """Make a directory, and remove it afterwards. Directories of killed Workers are removed, too.

    A Worker locks its directory, and the lock ends with its process.

    Args:
        parent: Where to make it; by default the directory for temporary files.
    """
    parent = Path(gettempdir()) if parent is None else parent.absolute()
    for left in parent.glob(f"{_NAME}*"):
        # Another Worker may remove it at the same time, or it may belong to another user.
        with contextlib.suppress(OSError):
            _clear_if_left(left)
    # It gets its final name only when it is locked.
    made = Path(mkdtemp(prefix=f"new-{_NAME}", dir=parent))
    lock = os.open(made, _FLAGS)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        directory = made.rename(made.with_name(made.name.removeprefix("new-")))
        yield directory
        clear(directory)
    finally:
        os.close(lock)


def check_room(directory: Path) -> None:
    """Check that files can be written to a directory: it may be deleted, or the disk may be full.

    Args:
        directory: The directory.

    Raises:
        UnfitError: They cannot.
    """
    try:
        with TemporaryFile(dir=directory) as file:
            file.write(bytes(_ROOM))
    except OSError as error:
        raise UnfitError(f"no file can be written to {directory}: {error.strerror}") from None


@contextmanager
def job_directory(parent: Path, name: str) -> Iterator[Path]:
    """Make a directory for a job, and remove it afterwards as far as possible.

    A job may leave files that the Worker cannot remove: an immutable file, or one of another user. `TemporaryDirectory`
    raises in this case, even with `ignore_cleanup_errors`.

    Args:
        parent: Where to make it.
        name: The beginning of its name.
    """
    directory = Path(mkdtemp(prefix=f"{name}-", dir=parent))
    try:
        yield directory
    finally:
        clear(directory)


def clear(directory: Path) -> None:
    """Remove a directory with its contents. If a part cannot be removed, a warning is logged.

    Nothing is removed if a job has left something mounted in the directory, because the files belong elsewhere.

    Args:
        directory: The directory.
    """
    if directory.is_symlink():  # A job may put a link in the place of its working copy.
        directory.unlink()
        return
    if _has_mounts(directory):
        log.warning("a directory is not removed, because something is mounted in it", directory=str(directory))
        return
    with contextlib.suppress(RecursionError):
        shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        _open_folders(directory)
        # A job may nest folders too deeply for Python.
        subprocess.run(["rm", "-rf", "--", str(directory)], stderr=subprocess.DEVNULL, check=False)
    if directory.exists():
        log.warning("a directory cannot be removed wholly", directory=str(directory))


def _has_mounts(directory: Path) -> bool:
    mounts = Path("/proc/self/mounts")
    escaped = str(directory.resolve()).replace("\\", "\\134").replace(" ", "\\040")
    return mounts.exists() and f" {escaped}/" in mounts.read_text(errors="surrogateescape")


def _open_folders(directory: Path) -> None:
    """Give the owner access to all folders: a job may have removed it. Links are not followed."""
    # `find` changes a folder before it goes into it. It asks for a PATH of absolute directories.
    shut = ["-P", str(directory), "-type", "d", "!", "-perm", "-700"]
    command = ["find", *shut, "-execdir", "chmod", "u+rwx", "{}", ";"]
    subprocess.run(command, env={"PATH": os.defpath}, stderr=subprocess.DEVNULL, check=False)


def _clear_if_left(directory: Path) -> None:
    lock = os.open(directory, _FLAGS)
    try:
        if os.fstat(lock).st_uid == os.getuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            clear(directory)
    finally:
        os.close(lock)
