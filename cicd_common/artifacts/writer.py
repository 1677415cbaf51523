"""The writer of content that comes in chunks."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import Self

from .content import ContentCheck
from .files import Directory

__all__ = ["ArtifactWriter"]


class ArtifactWriter:
    """Writes one content. `ArtifactStore.writer` makes it, and one thread at a time may use it.

    As a context manager, it commits at the end of the block, or discards the content after an exception, unless the
    block has committed or discarded it. Code that must not block calls `write`, `commit` and `discard` in a thread.
    """

    def __init__(self, directory: Directory, check: ContentCheck) -> None:
        self._directory, self._check = directory, check
        self._path, self._file = directory.open_new()
        self._is_open = True

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes written so far."""
        return self._check.sha256

    @property
    def size(self) -> int:
        """The number of bytes written so far."""
        return self._check.size

    def write(self, chunk: bytes) -> None:
        """Write the next chunk.

        Raises:
            ContentMismatchError: The content is larger than announced.
            OSError: The file system fails.
        """
        self._check.add(chunk)
        self._file.write(chunk)

    def commit(self) -> None:
        """Verify the content and store it under its SHA-256, or discard it if that fails.

        Raises:
            ContentMismatchError: The content has another size or another SHA-256 than announced.
            OSError: The file system fails.
        """
        try:
            self._check.finish()
            self._directory.move_in(self._path, self._file, self.sha256)
        except BaseException:
            self.discard()
            raise
        self._is_open = False

    def discard(self) -> None:
        """Remove the written content. This does nothing once the content was committed or discarded."""
        if not self._is_open:
            return
        self._is_open = False
        # A file that cannot be removed now is left to `ArtifactStore.remove_abandoned`.
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._directory.system.rm_file(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None and self._is_open:
            self.commit()
        else:
            self.discard()
