"""Forked child processes of a test."""

from __future__ import annotations

import signal

__all__ = ["end_if_stuck"]


def end_if_stuck() -> None:
    """Let a signal end this child process if it has not ended after a minute.

    The child has the handler of pytest-timeout, after which it would go on with the tests of its parent.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(60)
