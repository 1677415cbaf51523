"""The store of contents."""

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
    """Contents of artifacts, each stored once, under its SHA-256, on any file system that fsspec knows.

    Any number of threads and processes may read and write at the same time. Content is written under a temporary
    name, verified, and then moved to its place, so no reader ever sees a part of it. Writing what is there already
    replaces it by itself. In a local directory, content whose writing ended survives a loss of power.

    Args:
        url: A directory, or an fsspec URL: ``s3://bucket/artifacts``, ``memory://artifacts``. Directories are made
            when they are needed.
        options: What fsspec hands to the file system: credentials, an endpoint.

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
            A context manager: its end stores the content, an exception inside discards it.

        Raises:
            ContractError: ``sha256`` is no SHA-256.
            OSError: The file system refuses.
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
            content: The name of a local file, a binary file that is open, or chunks of bytes.
            sha256: The SHA-256 that the content must have; none means any.
            size: The size in bytes that the content must have; none means any.

        Returns:
            The SHA-256 of the content, under which it is stored.

        Raises:
            ContentMismatchError: The content has another size or another SHA-256. Nothing is stored.
            ContractError: ``sha256`` is no SHA-256.
            OSError: The content cannot be read, or the file system refuses. Nothing is stored.
        """
        if isinstance(content, str | os.PathLike):
            with open(content, "rb") as file:
                return self.put(file, sha256=sha256, size=size)
        with self.writer(sha256=sha256, size=size) as writer:
            for chunk in chunks_of(content) if hasattr(content, "read") else content:
                writer.write(chunk)
        return writer.sha256

    def read(self, sha256: str) -> Iterator[bytes]:
        """Read content in chunks, verifying it.

        The last chunk is given only once the whole content was found to be right, so that damaged content never
        arrives whole: an HTTP response with a ``Content-Length`` breaks off.

        Args:
            sha256: The SHA-256 of the content.

        Returns:
            An iterator over chunks of at most 1 MiB. That the content exists is checked before it is returned.

        Raises:
            ContractError: ``sha256`` is no SHA-256.
            DamagedArtifactError: The content is damaged; raised by the iterator.
            OSError: The file system refuses.
            UnknownArtifactError: There is no such content.
        """
        return self._verified(sha256, self.size(sha256))

    def get(self, sha256: str, target: str | os.PathLike[str]) -> None:
        """Write content to a local file, which appears only once it is whole and verified, as by `save`.

        Args:
            sha256: The SHA-256 of the content.
            target: The file. Its directory must exist.

        Raises:
            ContractError: ``sha256`` is no SHA-256.
            DamagedArtifactError: The content is damaged.
            OSError: The file system refuses, or the file cannot be written.
            UnknownArtifactError: There is no such content.
        """
        write_file(self.read(sha256), Path(target))

    def size(self, sha256: str) -> int:
        """The size of stored content in bytes, without reading it.

        Raises:
            ContractError: ``sha256`` is no SHA-256.
            OSError: The file system refuses.
            UnknownArtifactError: There is no such content.
        """
        with _known(sha256):
            directory = self._directory()
            return int(directory.system.info(directory.path(require_sha256(sha256)))["size"])

    def __contains__(self, sha256: str) -> bool:
        """Whether there is content of this SHA-256, without reading it."""
        try:
            self.size(sha256)
        except UnknownArtifactError:
            return False
        return True

    def remove(self, sha256: str) -> None:
        """Remove content. To remove what is not there changes nothing.

        The caller makes sure that no artifact of this SHA-256 is needed or being written.

        Raises:
            ContractError: ``sha256`` is no SHA-256.
            OSError: The file system refuses.
        """
        directory = self._directory()
        with suppress(FileNotFoundError):
            directory.system.rm_file(directory.path(require_sha256(sha256)))

    def remove_abandoned(self, *, before: datetime) -> int:
        """Remove what writers left that were killed.

        Args:
            before: Only what was last written before this time, with a timezone: well before any writer that may
                still be alive, for example a day ago.

        Returns:
            How many files were removed.

        Raises:
            OSError: The file system refuses.
        """
        directory, removed = self._directory(), 0
        files = directory.system
        files.invalidate_cache(directory.incoming)
        if not files.exists(directory.incoming):
            return 0
        for path in files.ls(directory.incoming, detail=False):
            # Another process may clean up, or the writer may finish, at the same time.
            with suppress(FileNotFoundError):
                if files.modified(path) < before:
                    files.rm_file(path)
                    removed += 1
        return removed

    def _directory(self) -> Directory:
        # fsspec's asynchronous file systems do not survive a fork; asked again, fsspec makes another.
        if self._process != os.getpid():
            self._connect()
        return self._connected

    def _connect(self) -> None:
        self._connected = Directory(self._url, self._options)
        self._process = os.getpid()

    def _verified(self, sha256: str, size: int) -> Iterator[bytes]:
        """Read by ranges: what `open` returns on ``memory://`` is one file with one position for all readers."""
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
