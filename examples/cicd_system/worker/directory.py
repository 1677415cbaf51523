"""The directories in which a Worker works, and the removal of what jobs and killed Workers leave in them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir, mkdtemp

from cicd_common.logging import get_logger

__all__ = ["clear", "job_directory", "own_directory"]

log = get_logger(__name__)

_NAME = "cicd-worker-"
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@contextmanager
def own_directory(parent: Path | None) -> Iterator[Path]:
    """Make a directory, and clear it away afterwards. What Workers have left that were killed is cleared away, too.

    Whose Worker is alive is locked, and a lock ends with its process, however that ends.

    Args:
        parent: Where to make it; by default where the system has temporary files.
    """
    parent = Path(gettempdir()) if parent is None else parent.absolute()
    for left in parent.glob(f"{_NAME}*"):
        # Others may clear it away at the same time, and in a directory for all not everything is ours.
        with contextlib.suppress(OSError):
            _clear_if_left(left)
    # Nobody sees it under its name before it is locked.
    made = Path(mkdtemp(prefix=f"new-{_NAME}", dir=parent))
    lock = os.open(made, _FLAGS)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        directory = made.rename(made.with_name(made.name.removeprefix("new-")))
        yield directory
        clear(directory)
    finally:
        os.close(lock)


@contextmanager
def job_directory(parent: Path, name: str) -> Iterator[Path]:
    """Make a directory for a job, and remove it afterwards, as far as it can be removed.

    A job may leave what the Worker cannot remove: an immutable file, or one of another user. `TemporaryDirectory`
    raises on it in spite of its `ignore_cleanup_errors`.

    Args:
        parent: Where to make it.
        name: What its name begins with.
    """
    directory = Path(mkdtemp(prefix=f"{name}-", dir=parent))
    try:
        yield directory
    finally:
        clear(directory)


def clear(directory: Path) -> None:
    """Remove a directory and what is in it. What cannot be removed stays, and is logged.

    Args:
        directory: The directory.
    """
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        _open_folders(directory)
        shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        log.warning("a directory cannot be removed wholly", directory=str(directory))


def _open_folders(directory: Path) -> None:
    """Let the owner into all folders: a job may have shut them."""
    _open_folder(directory)
    for parent, folders, _ in os.walk(directory):
        for folder in folders:
            _open_folder(Path(parent, folder))


def _open_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        if not folder.is_symlink():
            folder.chmod(0o700)


def _clear_if_left(directory: Path) -> None:
    lock = os.open(directory, _FLAGS)
    try:
        if os.fstat(lock).st_uid == os.getuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            clear(directory)
    finally:
        os.close(lock)
