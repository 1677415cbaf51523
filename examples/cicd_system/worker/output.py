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
    """Reads the output of a job. While it is not called the job may have to wait, so it needs little memory.

    Args:
        descriptor: The pipe to read from.
        has_ended: Returns whether the job ends within some seconds. Detached processes may still hold the pipe open.
    """

    def __init__(self, descriptor: int, has_ended: Callable[[float], bool]) -> None:
        self._descriptor = descriptor
        self._has_ended = has_ended
        # Bytes that are not UTF-8 are replaced.
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._stream = MaskingStream[bytes](lambda data: self._keep(self._decode(data)))
        self._text = ""
        self._since = 0.0
        self._rest = _CAPACITY  # The bytes to read after the end of the job.
        self._is_closed = False

    @property
    def is_over(self) -> bool:
        """Whether all output was taken, and the job has ended."""
        return self._is_closed and not self._text and self._has_ended(0)

    def take(self) -> str:
        """Wait for output for a moment. Returns a piece if it is full, or has waited long enough, or is the last."""
        if not self._is_closed:
            self._read()
        elif not self._text:
            self._has_ended(_TICK)
        if not self._is_closed and len(self._text) < PIECE and monotonic() < self._since + _LATEST:
            return ""
        piece, self._text = self._text[:PIECE], self._text[PIECE:]
        return piece

    def _read(self) -> None:
        has_ended = self._has_ended(0)
        data = b""
        if select.select([self._descriptor], [], [], 0 if has_ended else _TICK)[0]:
            data = os.read(self._descriptor, _READ)
        elif not has_ended:
            return
        self._stream.write(data)
        if has_ended:
            # A detached process may write for ever, but all output of the job is in the pipe now.
            self._rest -= len(data)
        if not data or self._rest <= 0:
            self._stream.close()
            self._keep(self._decode(b"", True))
            self._is_closed = True
            self._has_ended(_TICK)  # A process that ends closes the pipe first.

    def _keep(self, text: str) -> None:
        self._since = self._since if self._text else monotonic()
        self._text += text
