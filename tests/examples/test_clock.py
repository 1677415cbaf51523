"""The Backend's clock, as its answers show it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from cicd_system.clock import BackendClock

TIME = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def clock_after(*dates: str | None) -> BackendClock:
    """A clock that has seen answers."""
    clock = BackendClock()
    for date in dates:
        clock.heed(httpx.Response(200, headers={} if date is None else {"Date": date}))
    return clock


def http_date(ahead: timedelta) -> str:
    return format_datetime(datetime.now(UTC) + ahead, usegmt=True)


@pytest.mark.parametrize("ahead", [DAY, -DAY])
def test_skewed(ahead):
    """Where the clocks differ, times of this machine are told by the Backend's."""
    clock = clock_after(http_date(ahead))
    assert abs(clock.at(TIME) - TIME - ahead) < timedelta(minutes=1)
    assert abs(clock.now() - datetime.now(UTC) - ahead) < timedelta(minutes=1)


def test_set_right():
    """The last answer counts; where the clocks agree, times are told as they are."""
    assert clock_after(http_date(DAY), http_date(timedelta())).at(TIME) == TIME


@pytest.mark.parametrize("date", [None, "", "soon", "Tue, 24 Nov 2026 12:00:00 -0000"])
def test_no_time(date):
    """An answer that does not say the time changes nothing."""
    clock = clock_after(date)
    assert (clock.ahead, clock.at(TIME)) == (None, TIME)
    clock = clock_after(http_date(DAY), date)
    assert clock.at(TIME) > TIME
