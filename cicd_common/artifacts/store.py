"""The store of artifacts' contents."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from ..api.request import Artifact
from ..errors import Problem
from .content import CHUNK, ContentCheck, chunks_of, require_sha256, write_file
from .errors import ContentMismatchError, DamagedArtifactError, UnknownArtifactError
from .files import Directory
from .writer import ArtifactWriter

__all__ = ["ArtifactStore"]


class ArtifactStore:
    """Stores each content once, under its SHA-256, on any file system that fsspec knows.

    Any number of threads and processes may read and write at the same time. Content is written under a temporary
    name, verified, and then moved to its place, so no reader ever sees a part of it. Content that is written again
    replaces the equal one. In a local directory, written content survives a power loss.

    Args:
        url: A directory, or an fsspec URL: ``s3://bucket/artifacts``, ``memory://artifacts``. Directories are made
            when they are needed.
        options: The options that fsspec passes to the file system, such as credentials or an endpoint.

    Raises:
        ImportError: The file system needs a library that is not installed; fsspec's message names it.
        ValueError: fsspec knows no file system of this name.
    """

    def __init__(self, url: str | os.PathLike[str], **options: Any) -> None:
        url = os.fspath(url)
        self._url = url if "://" in url else os.path.abspath(url)
        self._options = options
        self._connect()

    def writer(self, *, sha256: str | None = None, size: int | None = None) -> ArtifactWriter:
        """Begin to write content that comes in chunks.

        Args:
            sha256: The SHA-256 that the content must have; none means any.
            size: The size in bytes that the content must have; none means any.

        Returns:
            A context manager that stores the content at its end. An exception in the block discards the content.

        Raises:
            ContractError: ``sha256`` is no SHA-256.
            OSError: The file system fails.
        """
        if sha256 is not None:
            require_sha256(sha256)
        return ArtifactWriter(self._directory(), ContentCheck(sha256, size))

    def put(
        self,
        content: str | os.PathLike[str] | BinaryIO | Iterable[bytes],
        *,
        sha256: str | None = None,
        size: int | None = None,
    ) -> str:
        """Store content, in constant memory.

        Args:
            content: The name of a local file, an open binary file, or chunks of bytes.
            sha256: The SHA-256 that the content must have; none means any.
            size: The size in bytes that the content must have; none means any.

        Returns:
            The SHA-256 of the content, under which it is stored.

        Raises:
            ContentMismatchError: The content has another size or another SHA-256. Nothing is stored.
            ContractError: ``sha256`` is no SHA-256.
            OSError: The content cannot be read, or the file system fails. Nothing is stored.
        """
        if isinstance(content, str | os.PathLike):
            with open(content, "rb") as file:
                return self.put(file, sha256=sha256, size=size)
        with self.writer(sha256=sha256, size=size) as writer:
            for chunk in chunks_of(content) if hasattr(content, "read") else content:
                writer.write(chunk)
        return writer.sha256

    def read(self, sha256: str) -> Iterator[bytes]:
        """Read content in chunks, and verify it.

        The last chunk is yielded only once the whole content is verified, so that damaged content never arrives whole:
        an HTTP response with a ``Content-Length`` breaks off.

        Args:
            sha256: The SHA-256 of the content.

        Returns:
            An iterator over chunks of at most 1 MiB. It is returned only if the content exists.

        Raises:
            ContractError: ``sha256`` is no SHA-256.
            DamagedArtifactError: The content is damaged; raised by the iterator.
            OSError: The file system fails.
            UnknownArtifactError: There is no content of this SHA-256.
        """
        return self._verified(sha256, self.size(sha256))

    def get(self, sha256: str, target: str | os.PathLike[str]) -> None:
        """Write content to a local file, which appears only once it is whole and verified, as with `save`.

        Args:
            sha256: The SHA-256 of the content.
            target: The file. Its directory must exist.

        Raises:
            ContractError: ``sha256`` is no SHA-256.
            DamagedArtifactError: The content is damaged.
            OSError: The file system fails, or the file cannot be written.
            UnknownArtifactError: There is no content of this SHA-256.
        """
        write_file(self.read(sha256), Path(target))

    def size(self, sha256: str) -> int:
        """Return the size of stored content in bytes, without reading the content.

        Raises:
            ContractError: ``sha256`` is no SHA-256.
            OSError: The file system fails.
            UnknownArtifactError: There is no content of this SHA-256.
        """
        with _known(sha256):
            directory = self._directory()
            return int(directory.system.info(directory.path(require_sha256(sha256)))["size"])

    def __contains__(self, sha256: str) -> bool:
        """Tell whether there is content of this SHA-256, without reading it."""
        try:
            self.size(sha256)
        except UnknownArtifactError:
            return False
        return True

    def remove(self, sha256: str) -> None:
        """Remove content. This does nothing if there is no content of this SHA-256.

        The caller must make sure that no artifact of this SHA-256 is needed or being written.

        Raises:
            ContractError: ``sha256`` is no SHA-256.
            OSError: The file system fails.
        """
        directory = self._directory()
        with suppress(FileNotFoundError):
            directory.system.rm_file(directory.path(require_sha256(sha256)))

    def remove_abandoned(self, *, before: datetime) -> int:
        """Remove the temporary files of killed writers.

        Args:
            before: Only files last written before this time, with an offset, are removed. It must lie well before the
                start of any writer that may be alive, for example a day ago.

        Returns:
            The number of removed files.

        Raises:
            OSError: The file system fails.
        """
        directory, removed = self._directory(), 0
        files = directory.system
        files.invalidate_cache(directory.incoming)
        if not files.exists(directory.incoming):
            return 0
        for path in files.ls(directory.incoming, detail=False):
            # Another process may remove the file, or its writer may move it, at the same time.
            with suppress(FileNotFoundError):
                if files.modified(path) < before:
                    files.rm_file(path)
                    removed += 1
        return removed

    def _directory(self) -> Directory:
        # The asynchronous file systems of fsspec do not survive a fork, so a forked process makes a new one.
        if self._process != os.getpid():
            self._connect()
        return self._connected

    def _connect(self) -> None:
        self._connected = Directory(self._url, self._options)
        self._process = os.getpid()

    def _verified(self, sha256: str, size: int) -> Iterator[bytes]:
        """Read by ranges, since on ``memory://`` all readers share one open file with one position."""
        directory, check = self._directory(), ContentCheck(sha256, size)
        path = directory.path(sha256)
        last = b""
        try:
            for start in range(0, size, CHUNK):
                with _known(sha256):
                    chunk: Any = directory.system.cat_file(path, start=start, end=min(start + CHUNK, size))
                check.add(chunk)
                if last:
                    yield last
                last = chunk
            check.finish()
        except ContentMismatchError:
            raise DamagedArtifactError(f"the content stored under the SHA-256 {sha256} is damaged") from None
        if last:
            yield last


@contextmanager
def _known(sha256: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        message = f"expected the SHA-256 of stored content, there is none under {sha256}"
        raise UnknownArtifactError(Artifact, [Problem("/sha256", "value", message)]) from None
