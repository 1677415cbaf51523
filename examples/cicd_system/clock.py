"""The Backend's clock, which counts wherever times of several machines are shown together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

__all__ = ["BackendClock"]

_TOLERANCE = timedelta(seconds=10)  # Below it, a difference may be the time that an answer has taken.


class BackendClock:
    """The Backend's time by the header ``Date`` of its answers: the clock of this machine may differ by hours.

    Attributes:
        ahead: How far the Backend's clock is ahead of this machine's; none as long as there was no answer.
    """

    def __init__(self) -> None:
        self.ahead: timedelta | None = None

    def heed(self, response: httpx.Response) -> None:
        """Look at an answer; fit to be an event hook of an `httpx.Client`.

        Args:
            response: The answer.
        """
        try:
            ahead = parsedate_to_datetime(response.headers["date"]) - datetime.now(UTC)
        except (KeyError, ValueError, TypeError):  # There is none, it is no time, or one without an offset.
            return
        self.ahead = ahead if abs(ahead) > _TOLERANCE else timedelta()

    def now(self) -> datetime:
        """The Backend's time; as long as it is not known, this machine's."""
        return self.at(datetime.now(UTC))

    def at(self, time: datetime) -> datetime:
        """What the Backend's clock shows when this machine's shows a time.

        Args:
            time: The time of this machine.
        """
        return time + (self.ahead or timedelta())
