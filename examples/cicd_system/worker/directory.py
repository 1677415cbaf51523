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

__all__ = ["UnfitError", "check_room", "clear", "job_directory", "worker_directory"]

log = get_logger(__name__)

_NAME = "cicd-worker-"
_ROOM = 64 * 1024  # Bytes that a job needs for its script, at least.


class UnfitError(Exception):
    """The files of a job cannot be written on this machine, so every other job would fail, too. The text says why."""


@contextmanager
def worker_directory(parent: Path | None) -> Iterator[Path]:
    """Make a directory for a Worker, and remove it afterwards. Directories of killed Workers are removed, too.

    A Worker locks its directory, and the lock ends with its process.

    Args:
        parent: Where to make it; by default the directory for temporary files.
    """
    parent = (parent or Path(gettempdir())).resolve()
    for left in parent.glob(f"{_NAME}*"):
        # Another Worker may have it or remove it, or it may belong to another user.
        with contextlib.suppress(OSError), _locked(left):
            if left.stat().st_uid == os.getuid():
                clear(left)
    # It gets its final name only when it is locked.
    made = Path(mkdtemp(prefix=f"new-{_NAME}", dir=parent))
    with _locked(made):
        directory = made.rename(made.with_name(made.name.removeprefix("new-")))
        yield directory
        clear(directory)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def check_room(directory: Path) -> None:
    """Raise an `UnfitError` if no file can be written to a directory: it may be deleted, or the disk may be full."""
    try:
        with TemporaryFile(dir=directory) as file:
            file.write(bytes(_ROOM))
    except OSError as error:
        raise UnfitError(f"no file can be written to {directory}: {error.strerror}") from None


@contextmanager
def job_directory(parent: Path, name: str) -> Iterator[Path]:
    """Make a directory for a job, and remove it afterwards as far as possible."""
    directory = Path(mkdtemp(prefix=f"{name}-", dir=parent))
    try:
        yield directory
    finally:
        clear(directory)


def clear(directory: Path) -> None:
    """Remove a directory with its contents. If a part cannot be removed, a warning is logged.

    Nothing is removed if a job has left something mounted in the directory, because the files belong elsewhere.

    Args:
        directory: The directory, as an absolute path without links.
    """
    if _has_mounts(directory):
        log.warning("a directory is not removed, because something is mounted in it", directory=str(directory))
        return
    with contextlib.suppress(RecursionError):
        shutil.rmtree(directory, ignore_errors=True)
    if os.path.lexists(directory):
        # A job may have closed folders to their owner, or nested them too deeply for Python. Links are not followed:
        # a job may also have put one in the place of the directory.
        shut_folders = ["-type", "d", "!", "-perm", "-700"]
        open_them = ["-exec", "chmod", "u+rwx", "{}", ";"]
        with contextlib.suppress(OSError):  # A program cannot be started.
            subprocess.run(["find", directory, *shut_folders, *open_them], stderr=subprocess.DEVNULL, check=False)
            subprocess.run(["rm", "-rf", "--", directory], stderr=subprocess.DEVNULL, check=False)
    if os.path.lexists(directory):
        log.warning("a directory cannot be removed wholly", directory=str(directory))


def _has_mounts(directory: Path) -> bool:
    mounts = Path("/proc/self/mounts")
    escaped = str(directory).replace("\\", "\\134").replace(" ", "\\040")
    return mounts.exists() and f" {escaped}/" in mounts.read_text(errors="surrogateescape")
