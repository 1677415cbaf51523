"""The Backend's clock, used where times of several machines are shown together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

__all__ = ["BackendClock"]

_TOLERANCE = timedelta(seconds=10)  # A smaller difference may be the duration of the request.


class BackendClock:
    """The Backend's time, from the header ``Date`` of its answers. The clock of this machine may differ by hours.

    Attributes:
        ahead: How far the Backend's clock is ahead of this machine's; None before the first answer.
    """

    def __init__(self) -> None:
        self.ahead: timedelta | None = None

    def heed(self, response: httpx.Response) -> None:
        """Read the time of an answer. This is an event hook for `httpx.Client`.

        Args:
            response: The answer.
        """
        try:
            ahead = parsedate_to_datetime(response.headers["date"]) - datetime.now(UTC)
        except (KeyError, ValueError, TypeError):  # The header is missing, is not a time, or has no offset.
            return
        self.ahead = ahead if abs(ahead) > _TOLERANCE else timedelta()

    def now(self) -> datetime:
        """The Backend's time; before the first answer, the time of this machine."""
        return self.at(datetime.now(UTC))

    def at(self, time: datetime) -> datetime:
        """Convert a time of this machine to the Backend's time.

        Args:
            time: The time of this machine.
        """
        return time + (self.ahead or timedelta())
