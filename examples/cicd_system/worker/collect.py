"""The program that finds and hashes artifacts: ``python collect.py``. It imports nothing of the project to start fast.

The standard input is ``{"directory": ..., "patterns": [...]}``. The output is ``{"files": [{"path", "size", "sha256"}],
"unreadable": [...], "unmatched": [...]}``: the files, the names of files that cannot be read, and the patterns that
match nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from wcmatch import glob

# `*` matches names that begin with a dot, too; `**` follows no links; upper and lower case differ on every system.
_FLAGS = glob.GLOBSTAR | glob.DOTGLOB | glob.CASE
_GIT = ".git"  # Its files may contain URLs with passwords.


def main() -> None:
    """Find artifacts."""
    order = json.load(sys.stdin)
    directory = order["directory"]
    matches = {pattern: _files(directory, pattern) for pattern in order["patterns"]}
    found = _described(directory, sorted(set().union(*matches.values())))
    json.dump({**found, "unmatched": [pattern for pattern, names in matches.items() if not names]}, sys.stdout)


def _files(directory: str, pattern: str) -> set[str]:
    try:
        return {name for name in _matches(directory, pattern) if _is_taken(directory, name)}
    except Exception:  # wcmatch raises various errors for a wrong pattern.
        return set()


def _matches(directory: str, pattern: str) -> Iterator[str]:
    """The names that match a pattern, and the files in the folders that it names."""
    parts = [part for part in pattern.split("/") if part not in {"", "."}]
    if not pattern or pattern.startswith("/") or ".." in parts:
        return
    takes_folders = pattern.endswith("/") or not glob.is_magic(pattern, flags=_FLAGS)
    plain = "/".join(parts) + "/" * pattern.endswith("/")
    for match in glob.iglob(plain.lstrip("/") or ".", root_dir=directory, flags=_FLAGS):
        name = os.path.normpath(match)
        yield name
        if takes_folders and _is_inside(directory, os.path.realpath(os.path.join(directory, name))):
            yield from _inside(directory, name)


def _inside(directory: str, name: str) -> Iterator[str]:
    for folder, folders, files in os.walk(os.path.join(directory, name)):
        folders[:] = [name for name in folders if name != _GIT]
        for file in files:
            yield os.path.relpath(os.path.join(folder, file), directory)


def _is_taken(directory: str, name: str) -> bool:
    """Whether a name is a regular file that is not in a ``.git``, and in the directory when all links are followed.

    A job may also have put a link to another directory in the place of its working copy.
    """
    real = os.path.realpath(os.path.join(directory, name))
    if not os.path.isfile(real) or not _is_inside(directory, real):
        return False
    return _GIT not in Path(name).parts and _GIT not in Path(os.path.relpath(real, directory)).parts


def _is_inside(directory: str, path: str) -> bool:
    return os.path.commonpath([directory, path]) == directory


def _described(directory: str, names: Iterable[str]) -> dict[str, list[Any]]:
    files: list[dict[str, Any]] = []
    unreadable = []
    for name in names:
        try:
            with open(os.path.join(directory, name), "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                files.append({"path": name, "size": file.tell(), "sha256": digest})
        except OSError:
            unreadable.append(name)
    return {"files": files, "unreadable": unreadable}


if __name__ == "__main__":
    main()
