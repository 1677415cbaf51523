"""Read and mask the output of a job, in pieces."""

from __future__ import annotations

import codecs
import os
import select
from collections.abc import Callable
from time import monotonic

from cicd_common.logging import MaskingStream

__all__ = ["PIECE", "Output"]

PIECE = 256 * 1024
"""The most characters of output in one update."""
_READ = 64 * 1024
_CAPACITY = 1024 * 1024  # The most bytes that a pipe can hold.
_LATEST = 0.25  # Seconds that output waits for more output.
_TICK = 0.1  # Seconds of one wait.


class Output:
    """Reads the output of a job and keeps it until it is taken. If it is full, the caller must not read more.

    Args:
        descriptor: The pipe to read from.
        has_ended: Returns whether the job ends within some seconds. Detached processes may still hold the pipe open.

    Attributes:
        is_over: Whether all output was read and the job has ended.
    """

    def __init__(self, descriptor: int, has_ended: Callable[[float], bool]) -> None:
        self.is_over = False
        self._descriptor = descriptor
        self._has_ended = has_ended
        # Bytes that are not UTF-8 are replaced.
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._stream = MaskingStream[bytes](lambda data: self._keep(self._decode(data)))
        self._text = ""
        self._since = 0.0
        self._left = _CAPACITY  # The bytes to read after the end of the job.
        self._is_closed = False

    @property
    def is_full(self) -> bool:
        """Whether as much output is kept as may be."""
        return len(self._text) >= 2 * PIECE

    def read(self) -> None:
        """Read output, or wait for it for at most 0.1 seconds."""
        has_ended = self._has_ended(_TICK if self._is_closed else 0)
        if not self._is_closed:
            # A detached process may write for ever, but all output of the job is in the pipe when the job has ended.
            if select.select([self._descriptor], [], [], 0 if has_ended else _TICK)[0]:
                data = os.read(self._descriptor, _READ)
                self._stream.write(data)
                self._left -= len(data) if has_ended else 0
                self._is_closed = not data or self._left <= 0
            else:
                self._is_closed = has_ended
            if self._is_closed:
                self._stream.close()
                self._keep(self._decode(b"", True))
        self.is_over = self._is_closed and has_ended

    def take(self) -> str:
        """Remove a piece if it is full or has waited long enough; otherwise return ``""``."""
        if len(self._text) < PIECE and monotonic() < self._since + _LATEST:
            return ""
        piece, self._text = self._text[:PIECE], self._text[PIECE:]
        return piece

    def rest(self) -> list[str]:
        """The pieces that were not taken; one or more."""
        return [self._text[start : start + PIECE] for start in range(0, len(self._text) or 1, PIECE)]

    def _keep(self, text: str) -> None:
        self._since = self._since if self._text else monotonic()
        self._text += text
