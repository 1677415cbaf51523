"""Waves of nodes that may run side by side, and cycles, in a graph of dependencies. All functions take linear time.

A node is an integer, its place from 0. ``needs`` lists for each node the nodes that it waits for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

__all__ = ["shortest_cycle", "waves"]


def waves(needs: Sequence[Sequence[int]]) -> list[list[int]]:
    """Put nodes into waves: each node into the first wave behind all nodes that it waits for.

    Args:
        needs: For each node the different nodes that it waits for.

    Returns:
        The waves. They leave out nodes that are on a cycle, or that wait for such a node.
    """
    dependents: list[list[int]] = [[] for _ in needs]
    for node, others in enumerate(needs):
        for other in others:
            dependents[other].append(node)
    left = [len(others) for others in needs]
    found = []
    wave = [node for node, count in enumerate(left) if not count]
    while wave:
        found.append(wave)
        after = []
        for node in wave:
            for dependent in dependents[node]:
                left[dependent] -= 1
                if not left[dependent]:
                    after.append(dependent)
        wave = sorted(after)
    return found


def shortest_cycle(needs: Sequence[Sequence[int]]) -> list[int]:
    """Find a cycle: the shortest one through one of the nodes that are on a cycle.

    Args:
        needs: For each node the nodes that it waits for.

    Returns:
        The nodes of the cycle, the first one again at the end; empty if there is no cycle.
    """
    free = {node for wave in waves(needs) for node in wave}
    if len(free) == len(needs):
        return []
    blocked = [[other for other in others if other not in free] for others in needs]
    start = _node_on_a_cycle(blocked)
    before: dict[int, int] = {}
    reached = deque([start])
    while start not in before:
        node = reached.popleft()
        for other in blocked[node]:
            if other not in before:
                before[other] = node
                reached.append(other)
    path = [start]
    while len(path) == 1 or path[-1] != start:
        path.append(before[path[-1]])
    return path[::-1]


def _node_on_a_cycle(needs: Sequence[Sequence[int]]) -> int:
    """Walk from a node that waits to one that it waits for, until a node comes a second time."""
    seen: set[int] = set()
    node = next(node for node, others in enumerate(needs) if others)
    while node not in seen:
        seen.add(node)
        node = needs[node][0]
    return node
