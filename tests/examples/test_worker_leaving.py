"""When a Worker ends."""

from __future__ import annotations

import contextlib

import pytest
from cicd_system.worker.leaving import Leaving, LeavingError


@pytest.fixture
def ends():
    return []


@pytest.fixture
def leaving(ends):
    return Leaving(lambda: ends.append(True))


def test_idle(leaving, ends):
    """A Worker without a job ends at once, and takes no other."""
    leaving.tell()
    assert ends == [True]
    with pytest.raises(LeavingError), leaving.job():
        pytest.fail("took a job")
    assert not leaving.at_once.is_set()


def test_told_once(leaving, ends):
    """A job comes to its end; until then the main loop goes on, and with it the heartbeats."""
    with leaving.job():
        leaving.tell()
        assert (ends, leaving.at_once.is_set()) == ([], False)
    assert ends == [True]


def test_told_twice(leaving, ends):
    """The job is to be stopped."""
    with leaving.job():
        leaving.tell()
        leaving.tell()
        assert (ends, leaving.at_once.is_set()) == ([], True)
    assert ends == [True]


def test_job_that_fails(leaving, ends):
    """However a job ends, the Worker does, too."""
    with contextlib.suppress(ZeroDivisionError), leaving.job():
        leaving.tell()
        raise ZeroDivisionError
    assert ends == [True]


def test_not_told(leaving, ends):
    for _ in range(2):
        with leaving.job():
            pass
    assert ends == []
