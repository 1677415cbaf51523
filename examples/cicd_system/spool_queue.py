"""A queue of messages on a directory, which many processes of one machine may use at once.

A message is a file, and where it is says what is with it. Every step is one rename or one unlink::

    <queue>/new/<file>              is being written
    <queue>/ready/<file>            waits for a consumer; files sort by the time they were put
    <queue>/taken/<owner>/<file>    is with a consumer, which holds a lock on its directory
    <queue>/broken/<file>           could not be read, and is left for a human

Whoever looks for messages first moves those of dead owners, whose locks are free, back to ``ready``. The name of a
file ends in how often it was given back.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from pathlib import Path
from uuid import uuid4

__all__ = ["SpoolQueue"]

_FILE = re.compile(r"\d{20}-[0-9a-f]{32}\.\d+")


class SpoolQueue:
    """One queue on a directory. It is the only owner of what it has taken, until it is closed or its process ends.

    Args:
        directory: The directory of the queue; it and those above it are made if they are not there.
    """

    #: How often to look for dead owners, in seconds.
    RECOVERY_INTERVAL = 0.2
    #: From what age on something in ``new`` was left by a process that died, in seconds.
    LEFT = 3600

    def __init__(self, directory: Path) -> None:
        directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._new, self._ready, self._taken, self._broken = (
            directory / name for name in ("new", "ready", "taken", "broken")
        )
        for path in (directory, self._new, self._ready, self._taken, self._broken):
            path.mkdir(mode=0o700, exist_ok=True)
        for path in (directory, directory.parent):
            _sync(path)
        self._sweep()
        self._own: Path | None = None
        self._lock = -1
        self._next_recovery = 0.0

    def put(self, data: bytes) -> None:
        """Put a message last. When this returns, neither a crash nor a power failure loses it.

        Args:
            data: The message.

        Raises:
            OSError: The disk is full, or the directory cannot be written to.
        """
        name = f"{time.time_ns():020d}-{uuid4().hex}.0"
        path = self._new / name
        try:
            with open(path, "xb", opener=_open_private) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            path.rename(self._ready / name)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        _sync(self._ready)

    def take(self) -> tuple[str, bytes] | None:
        """Take the first message that is ready.

        Returns:
            The name by which to give it back or to forget it, and the message; or None if there is none.

        Raises:
            OSError: The directory is not there any more.
        """
        self._recover()
        # Not `_own` from the start: who only puts owns nothing.
        own = self._own or self._become_owner()
        for name in sorted(self._files()):
            try:
                (self._ready / name).rename(own / name)
            except FileNotFoundError:
                if not own.exists():
                    raise  # Someone has deleted it all.
                continue  # Someone else was faster.
            return name, (own / name).read_bytes()
        return None

    def forget(self, name: str) -> None:
        """Delete a message that was taken."""
        # A power failure may bring it back, as any broker may deliver a message twice: no need to wait for the disk.
        (self._owned / name).unlink(missing_ok=True)

    def give_back(self, name: str) -> None:
        """Put a message that was taken where it was, marked as delivered once more."""
        _give_back(self._owned / name, self._ready)

    @staticmethod
    def was_taken_before(name: str) -> bool:
        """Whether a message that was taken had been with a consumer before."""
        return not name.endswith(".0")

    def set_aside(self, name: str) -> None:
        """Keep a message that was taken out of everyone's way."""
        (self._owned / name).rename(self._broken / name)

    def size(self) -> int:
        """The number of messages that are ready."""
        return len(self._files())

    def purge(self) -> int:
        """Delete all messages that are ready, and return their number."""
        count = 0
        for name in self._files():
            with contextlib.suppress(FileNotFoundError):
                (self._ready / name).unlink()
                count += 1
        return count

    def close(self) -> None:
        """Give back what was taken and not forgotten."""
        if self._own is not None:
            with contextlib.suppress(FileNotFoundError):
                _give_back_all(self._own, self._ready)
            self._own = None
            os.close(self._lock)

    def _files(self) -> list[str]:
        return [name for name in os.listdir(self._ready) if _FILE.fullmatch(name)]

    def _sweep(self) -> None:
        """Delete what was left half written."""
        for path in self._new.iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < time.time() - self.LEFT:
                    path.rmdir() if path.is_dir() else path.unlink()

    @property
    def _owned(self) -> Path:
        # After `close` there is nothing here: it was given back.
        return self._own or self._taken / "nobody"

    def _become_owner(self) -> Path:
        # Nobody sees the directory in `taken` before it is locked.
        name = f"{os.getpid()}-{uuid4().hex}"
        (self._new / name).mkdir(mode=0o700)
        self._lock = os.open(self._new / name, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._own = (self._new / name).rename(self._taken / name)
        return self._own

    def _recover(self) -> None:
        """Move messages of dead owners back."""
        if time.monotonic() < self._next_recovery:
            return
        self._next_recovery = time.monotonic() + self.RECOVERY_INTERVAL
        for name in os.listdir(self._taken):
            owner = self._taken / name
            if owner == self._own:
                continue
            # Another process may have been here first.
            with contextlib.suppress(FileNotFoundError):
                _recover(owner, self._ready)


def _recover(owner: Path, ready: Path) -> None:
    lock = os.open(owner, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass  # It lives.
    else:
        _give_back_all(owner, ready)
    finally:
        os.close(lock)


def _give_back_all(owner: Path, ready: Path) -> None:
    for name in os.listdir(owner):
        _give_back(owner / name, ready)
    owner.rmdir()


def _give_back(path: Path, ready: Path) -> None:
    stem, _, count = path.name.rpartition(".")
    # It may have been given back already.
    with contextlib.suppress(FileNotFoundError):
        path.rename(ready / f"{stem}.{int(count) + 1}")


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(directory: Path) -> None:
    """Wait until the disk has the names in a directory."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
