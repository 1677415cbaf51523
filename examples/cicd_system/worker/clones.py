"""Clones of repositories on this machine, of which each job gets a copy: to copy one costs a fifth of making it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from attrs import frozen

from .directory import clear
from .tools import Tools

__all__ = ["Clones"]

_KEPT = 16  # Clones, each of a repository.


@frozen
class _Clone:
    directory: Path
    references: bytes


class Clones:
    """Keeps a clone of each of the repositories that were asked for last.

    A clone has the objects where the repository has them, so it is small. Jobs work on copies of it and never in it.
    One thread may use this.

    Args:
        parent: Where to make the clones.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._clones: OrderedDict[Path, _Clone] = OrderedDict()

    def copy(
        self, source: Path, references: bytes, directory: Path, *, clone: Callable[[Path], object], tools: Tools
    ) -> None:
        """Make a copy of the clone of a repository.

        Args:
            source: The repository.
            references: Its branches and tags with their commits. Where they are others than before, the clone is made
                anew.
            directory: Where to put the copy.
            clone: Makes a clone in a directory.
            tools: What it is copied with.

        Raises:
            HaltedError: The job is halted.
        """
        kept = self._clones.pop(source, None)
        if kept is None or kept.references != references:
            fresh = _Clone(self._made(clone), references)
            if kept is not None:
                clear(kept.directory)
            kept = fresh
        self._clones[source] = kept
        if len(self._clones) > _KEPT:
            _, oldest = self._clones.popitem(last=False)
            clear(oldest.directory)
        tools.copy(kept.directory, directory)

    def _made(self, clone: Callable[[Path], object]) -> Path:
        directory = Path(mkdtemp(prefix="clone-", dir=self._parent))
        try:
            clone(directory)
        except BaseException:
            clear(directory)
            raise
        # Without what no job misses, it is faster to copy.
        for sample in directory.glob(".git/hooks/*.sample"):
            sample.unlink()
        return directory
