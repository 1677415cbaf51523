"""The time limit of a job, by a clock that the test turns."""

from __future__ import annotations

from math import inf

import pytest
from cicd_system.worker.time_limit import TimeLimit


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


class TestTimeLimit:
    def test_counts(self, clock):
        limit = TimeLimit(8, clock)
        clock.now += 3
        assert limit.left == 5
        clock.now += 6
        assert limit.left == -1

    def test_pause(self, clock):
        """Seconds of a pause do not count, and the time is never up in it."""
        limit = TimeLimit(8, clock)
        clock.now += 3
        limit.pause("a")
        clock.now += 100
        limit.pause("a")
        assert limit.left == inf
        limit.go_on("a")
        assert limit.left == 5

    def test_pauses_that_overlap(self, clock):
        """The pause ends with the last of its reasons."""
        limit = TimeLimit(8, clock)
        limit.pause("a")
        with limit.paused():
            clock.now += 1
            limit.go_on("a")
            clock.now += 1
            assert limit.left == inf
        assert limit.left == 8

    def test_go_on_without_a_pause(self, clock):
        """It changes nothing."""
        limit = TimeLimit(8, clock)
        clock.now += 1
        limit.go_on("a")
        assert limit.left == 7
