"""The directory of a store on a file system of fsspec: the paths of its files, and how files are written."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

try:
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem
except ModuleNotFoundError:
    raise ImportError(
        "cicd_common.artifacts needs fsspec, which is not installed; the extra 'artifacts' brings it: "
        "pip install 'cicd-common[artifacts]'"
    ) from None

__all__ = ["Directory"]


class Directory:
    """The directory of a store.

    Args:
        url: The name of a local directory, or an fsspec URL.
        options: The options that fsspec passes to the file system.

    Attributes:
        system: The file system of fsspec.
        incoming: The directory of the files that are being written.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        if "://" in url:
            self.system, self._root = url_to_fs(url, **options)
        else:
            # A name is no URL: some characters of a name have a meaning in a URL.
            self.system, self._root = LocalFileSystem(), url
        self.incoming = f"{self._root}/incoming"

    def path(self, sha256: str) -> str:
        """Return the path of the content of a SHA-256."""
        return f"{self._root}/sha256/{sha256[:2]}/{sha256}"

    def open_new(self) -> tuple[str, Any]:
        """Make a new file under a unique name, and return its path and the open file."""
        self.system.makedirs(self.incoming, exist_ok=True)
        path = f"{self.incoming}/{uuid4().hex}"
        return path, self.system.open(path, "wb")

    def move_in(self, path: str, file: Any, sha256: str) -> None:
        """Close a written file and move it to its place, where it replaces an earlier one."""
        _flush(file)
        file.close()
        place = self.path(sha256)
        directory = place.rpartition("/")[0]
        self.system.makedirs(directory, exist_ok=True)
        self.system.mv(path, place)
        if os.name == "posix" and isinstance(self.system, LocalFileSystem):
            _flush_directory(directory)
            _flush_directory(os.path.dirname(directory))


def _flush(file: Any) -> None:
    """Write the content to the disk before its name, so that a power loss never leaves the name without the content."""
    file.flush()
    try:
        descriptor = file.fileno()
    except (AttributeError, io.UnsupportedOperation):
        return
    os.fsync(descriptor)


def _flush_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
