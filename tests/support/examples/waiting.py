"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

DEADLINE = 120  # Seconds; for what takes one or two.


def until(condition: Callable[[], T], what: str, *, deadline: float = DEADLINE, pause: float = 0.05) -> T:
    """Ask until the answer is true, and return it; fail when the deadline has passed."""
    end = time.monotonic() + deadline
    while not (answer := condition()):
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline} s in vain for: {what}")
        time.sleep(pause)
    return answer
