"""Read and mask the output of a job, in pieces and with a limit for the memory."""

from __future__ import annotations

import codecs
import fcntl
import os
import select
import struct
import termios
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from threading import Condition, Thread
from time import monotonic

from cicd_common.logging import MaskingStream, SecretMasker

__all__ = ["PIECE", "Output"]

PIECE = 256 * 1024
"""The most characters of output in one update."""
_READ = 64 * 1024
_FULL = 2 * PIECE
_PATIENCE = 1.0  # Seconds in which the Backend usually accepts a piece.
_LATEST = 0.25  # Seconds that output waits for more output.
_TICK = 0.1  # Seconds between two checks for the end of the job.


class Output:
    """Reads output in a thread, and keeps it until it is taken. If it keeps too much, it stops reading: the job waits.

    Args:
        descriptor: The pipe to read from.
        has_ended: Whether the job has ended. Its child processes may still hold the pipe open.
        masker: Masks secrets; by default the masker of the process.
        held_up: A context that is entered while the job waits for its output to be taken.
    """

    def __init__(
        self,
        descriptor: int,
        has_ended: Callable[[], bool],
        masker: SecretMasker | None = None,
        held_up: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._descriptor = descriptor
        self._has_ended = has_ended
        self._held_up = held_up
        # Bytes that are not UTF-8 are replaced.
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._stream = MaskingStream[bytes](lambda data: self._keep(self._decode(data)), masker)
        self._changed = Condition()
        self._text = ""
        self._since = 0.0
        self._is_open = True
        self._thread = Thread(target=self._read, name="output", daemon=True)
        self._thread.start()

    def take(self) -> str | None:
        """Wait for the next piece: a full one, or what has waited for a moment. None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._text or not self._is_open)
            self._changed.wait_for(self._is_due, self._since + _LATEST - monotonic())
            piece, self._text = self._text[:PIECE], self._text[PIECE:]
            self._changed.notify_all()
            return piece or None

    @property
    def is_over(self) -> bool:
        """Whether all output was taken, and there will be no more."""
        with self._changed:
            return not self._is_open and not self._text

    def close(self) -> None:
        """Drop the output that was not taken, and wait for the end of the thread."""
        with self._changed:
            self._is_open = False
            self._changed.notify_all()
        self._thread.join()

    def _is_due(self) -> bool:
        return len(self._text) >= PIECE or not self._is_open

    def _has_room(self) -> bool:
        return len(self._text) < _FULL or not self._is_open

    def _keep(self, text: str) -> None:
        with self._changed:
            if not self._changed.wait_for(self._has_room, _PATIENCE):
                with self._held_up():
                    self._changed.wait_for(self._has_room)
            self._since = self._since if self._text else monotonic()
            self._text += text
            self._changed.notify_all()

    def _read(self) -> None:
        for data in self._pieces():
            self._stream.write(data)
        self._stream.close()
        self._keep(self._decode(b"", True))
        with self._changed:
            self._is_open = False
            self._changed.notify_all()

    def _pieces(self) -> Iterator[bytes]:
        """Read to the end of the pipe, or to the data that is in it when the job ends."""
        rest: int | None = None  # The number of bytes left to read; unknown while the job runs.
        while self._is_open and rest != 0:
            if rest is None and self._has_ended():
                # A detached process may hold the pipe open, but it contains all output of the job now.
                rest = _held_by(self._descriptor)
            elif select.select([self._descriptor], [], [], _TICK)[0]:
                if not (data := os.read(self._descriptor, _READ if rest is None else min(rest, _READ))):
                    return
                rest = rest if rest is None else rest - len(data)
                yield data


def _held_by(pipe: int) -> int:
    """The number of bytes in a pipe."""
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, struct.pack("i", 0)))[0])
