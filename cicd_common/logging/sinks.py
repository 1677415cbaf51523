"""Write lines to a file or a stream, each line in one piece. Sinks raise the errors of the system."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Protocol, TextIO

__all__ = ["FileSink", "Sink", "StreamSink"]

# A check whether the file was moved takes as long as a write. After so many lines that follow each other within the
# interval, in seconds, the check is made once in each interval.
_INTERVAL, _MANY = 0.001, 32

# How long to wait, in milliseconds, for room in a pipe that its owner made non-blocking.
_PATIENCE = 1000


class Sink(Protocol):
    """A file or a stream that lines are written to."""

    def write(self, line: str) -> None:
        """Write a line, with its line end, in one piece."""

    def close(self) -> None:
        """Close the file if the sink has opened it."""


class FileSink:
    """A file to which any number of processes append. It is opened anew if it was moved or removed.

    Args:
        path: The path of the file, which is created if it does not exist.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # Absolute, since a program may change its directory.
        self._path = os.path.abspath(path)
        self._fd = -1
        self._lines, self._written, self._looked = 0, 0.0, 0.0
        self._open()

    def write(self, line: str) -> None:
        """Append a line."""
        if self._fd < 0:
            raise ValueError("write to a closed file")
        if self._is_elsewhere():
            moved = self._fd
            self._open()
            os.close(moved)
        self._descriptor.write(line.encode())

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        self._fd = os.open(self._path, flags, 0o666)
        self._descriptor = _Descriptor(self._fd)
        self._identity = _identity(os.fstat(self._fd))

    def _is_elsewhere(self) -> bool:
        now = monotonic()
        self._lines = self._lines + 1 if now - self._written < _INTERVAL else 0
        self._written = now
        if self._lines > _MANY and now - self._looked < _INTERVAL:
            return False
        self._looked = now
        try:
            return _identity(os.stat(self._path)) != self._identity
        except OSError:
            return True


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


class StreamSink:
    """A text stream. If it has a file descriptor, lines are written to that, so that a line is one system call.

    Args:
        stream: Any object with ``write``; None means ``sys.stderr``, looked up for each line.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._given = stream
        self._seen: TextIO | None = None
        self._descriptor: _Descriptor | None = None

    def write(self, line: str) -> None:
        """Write a line after the program's own output."""
        stream = self._given if self._given is not None else sys.stderr
        if stream is not self._seen:
            self._descriptor = _descriptor_of(stream)
            self._seen = stream
        if self._descriptor is None:
            _write_text(stream, line)
        else:
            stream.flush()  # Raises if the stream is closed, whose descriptor may belong to another file.
            self._descriptor.write(line.encode())

    def close(self) -> None:
        """Do nothing: the sink has not opened the stream."""


def _descriptor_of(stream: TextIO) -> _Descriptor | None:
    """Return the descriptor of a stream; None if it may change its input, as a wrapper or console may."""
    if type(stream) is not io.TextIOWrapper:
        return None
    try:
        return None if stream.isatty() else _Descriptor(stream.fileno())
    except (OSError, ValueError):
        return None


def _write_text(stream: TextIO, line: str) -> None:
    try:
        stream.write(line)
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(line.encode(encoding, "replace").decode(encoding))
    getattr(stream, "flush", lambda: None)()


class _Descriptor:
    """A file descriptor that lines are written to."""

    __slots__ = ("_fd", "_is_pipe", "_torn")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        # Whether only a part of the last line was written: the next line must not continue it.
        self._torn = False
        self._is_pipe = stat.S_ISFIFO(os.fstat(fd).st_mode)

    def write(self, line: bytes) -> None:
        """Write a line in one piece, on a line of its own."""
        data = b"\n" + line if self._torn else line
        if self._is_pipe:
            with _alone(self._fd):
                self._write_all(data)
        else:
            self._write_all(data)

    def _write_all(self, data: bytes) -> None:
        written = 0
        try:
            while written < len(data):
                try:
                    written += os.write(self._fd, data[written:])
                except BlockingIOError:
                    if not _has_room_in_time(self._fd):
                        raise
        finally:
            self._torn = written < len(data) if written else self._torn


@contextmanager
def _alone(fd: int) -> Iterator[None]:
    """Lock a pipe against other processes: without a lock, writes of more than 4 KiB may mix.

    The lock belongs to the process: it ends with the process, and a forked child does not hold it.
    """
    import fcntl  # Imported here, since only systems with such pipes have the module.

    with suppress(OSError):
        fcntl.lockf(fd, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.lockf(fd, fcntl.LOCK_UN)


def _has_room_in_time(fd: int) -> bool:
    """Wait until a non-blocking pipe has room, and tell whether it has."""
    import select

    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(_PATIENCE))
