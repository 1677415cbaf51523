"""A directory of a Worker's own, and the end of those whose Workers are dead."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir, mkdtemp

__all__ = ["own_directory"]

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
        shutil.rmtree(directory, ignore_errors=True)
    finally:
        os.close(lock)


def _clear_if_left(directory: Path) -> None:
    lock = os.open(directory, _FLAGS)
    try:
        if os.fstat(lock).st_uid == os.getuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
    finally:
        os.close(lock)
