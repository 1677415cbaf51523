"""Describe local files as artifacts, and check and save contents that come in chunks."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..api.request import Artifact
from ..errors import ContractError, Problem
from .errors import ContentMismatchError

__all__ = ["CHUNK", "ContentCheck", "chunks_of", "describe", "require_sha256", "save", "write_file"]

CHUNK = 1024 * 1024
_SHA256 = re.compile("[0-9a-f]{64}")


def describe(file: str | os.PathLike[str], *, root: str | os.PathLike[str]) -> Artifact:
    """Describe a file as an artifact: its path, size and SHA-256. Its content is read once, in constant memory.

    Args:
        file: The file.
        root: The directory that the artifact's path is relative to.

    Raises:
        ContractError: An artifact cannot have this path.
        OSError: The file cannot be read.
        ValueError: The file does not lie under ``root``.
    """
    path = Path(file).relative_to(root).as_posix()
    check = ContentCheck()
    with open(file, "rb") as content:
        for chunk in chunks_of(content):
            check.add(chunk)
    return Artifact(path=path, size=check.size, sha256=check.sha256)


def save(
    chunks: Iterable[bytes], target: str | os.PathLike[str], *, sha256: str | None = None, size: int | None = None
) -> None:
    """Write content to a local file that appears only once it is whole and verified.

    The content is written to a temporary file in the target's directory, which then replaces the target.

    Args:
        chunks: The content, for example the body of an HTTP response.
        target: The file. Its directory must exist.
        sha256: The SHA-256 that the content must have; None means any.
        size: The size in bytes that the content must have; None means any.

    Raises:
        ContentMismatchError: The content has another size or another SHA-256.
        OSError: The file cannot be written.
    """
    write_file(_checked(chunks, ContentCheck(sha256, size)), Path(target))


class ContentCheck:
    """Counts and hashes content, and compares it with the announced size and SHA-256."""

    def __init__(self, sha256: str | None = None, size: int | None = None) -> None:
        self._expected = sha256
        self._expected_size = size
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The SHA-256 of the chunks added so far."""
        return self._hash.hexdigest()

    def add(self, chunk: bytes) -> None:
        """Count and hash a chunk. Refuse it if the content becomes larger than announced."""
        self.size += len(chunk)
        if self._expected_size is not None and self.size > self._expected_size:
            raise _mismatch("/size", f"expected content of {self._expected_size} bytes, got more")
        self._hash.update(chunk)

    def finish(self) -> None:
        """Refuse content that does not have the announced size and SHA-256."""
        if self._expected_size is not None and self.size != self._expected_size:
            raise _mismatch("/size", f"expected content of {self._expected_size} bytes, got {self.size}")
        if self._expected is not None and self.sha256 != self._expected:
            raise _mismatch("/sha256", f"expected content with the SHA-256 {self._expected}, got {self.sha256}")


def require_sha256(sha256: str) -> str:
    """Check a SHA-256, which becomes part of a path."""
    if not isinstance(sha256, str) or _SHA256.fullmatch(sha256) is None:
        raise ContractError(Artifact, [Problem("/sha256", "value", "expected 64 lower-case hexadecimal digits")])
    return sha256


def chunks_of(file: Any) -> Iterator[bytes]:
    """Read a binary file in chunks of at most 1 MiB."""
    while chunk := file.read(CHUNK):
        yield chunk


def write_file(chunks: Iterable[bytes], target: Path) -> None:
    """Write a temporary file, and move it to the target once all chunks have come."""
    temporary = target.with_name(f".{uuid4().hex}.part")
    try:
        with open(temporary, "xb") as file:
            file.writelines(chunks)
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise


def _checked(chunks: Iterable[bytes], check: ContentCheck) -> Iterator[bytes]:
    for chunk in chunks:
        check.add(chunk)
        yield chunk
    check.finish()


def _mismatch(pointer: str, message: str) -> ContentMismatchError:
    return ContentMismatchError(Artifact, [Problem(pointer, "value", message)])
