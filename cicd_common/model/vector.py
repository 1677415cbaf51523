"""A sequence of fixed length of which a changed copy is cheap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from attrs import frozen

__all__ = ["Vector"]

T = TypeVar("T")

_BITS = 5
_WIDTH = 1 << _BITS


@frozen(eq=False)
class Vector(Generic[T]):
    """A persistent vector: a tree of tuples of 32, of which a change copies one path, and shares all the rest.

    A change costs the logarithm of the length to the base 32: four small tuples for a million items.

    Attributes:
        root: The tree; its leaves hold the items.
        shift: How many bits of an index the levels below the root take.
    """

    root: tuple[Any, ...]
    shift: int

    @classmethod
    def of(cls, items: Iterable[T]) -> Vector[T]:
        """Make a vector of items."""
        nodes = _chunks(tuple(items))
        shift = 0
        while len(nodes) > 1:
            nodes = _chunks(tuple(nodes))
            shift += _BITS
        return cls(nodes[0] if nodes else (), shift)

    def __getitem__(self, index: int) -> T:
        node: Any = self.root
        for shift in range(self.shift, -1, -_BITS):
            node = node[index >> shift & _WIDTH - 1]
        return node  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[T]:
        nodes: Iterable[Any] = self.root
        for _ in range(self.shift // _BITS):
            nodes = [child for node in nodes for child in node]
        return iter(nodes)

    def put(self, index: int, item: T) -> Vector[T]:
        """The same items but for one.

        Args:
            index: Its place, from 0, less than the length.
            item: What is to stand there.
        """
        return Vector(_put(self.root, self.shift, index, item), self.shift)


def _chunks(items: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    return [items[start : start + _WIDTH] for start in range(0, len(items), _WIDTH)]


def _put(node: tuple[Any, ...], shift: int, index: int, item: Any) -> tuple[Any, ...]:
    at = index >> shift & _WIDTH - 1
    child = _put(node[at], shift - _BITS, index, item) if shift else item
    return (*node[:at], child, *node[at + 1 :])
