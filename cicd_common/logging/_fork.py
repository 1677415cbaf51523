"""Renew locks and threads in a forked process, where the other threads of its parent do not exist."""

from __future__ import annotations

import os
import weakref
from typing import Any

__all__ = ["renew_in_child", "renew_lock_in_child"]

_locked: weakref.WeakSet[Any] = weakref.WeakSet()
_renewed: weakref.WeakSet[Any] = weakref.WeakSet()


def renew_lock_in_child(owner: Any) -> None:
    """Release ``owner.lock``, an ``RLock``, in every child process: the thread that held it does not exist there."""
    _locked.add(owner)


def renew_in_child(owner: Any) -> None:
    """Call ``owner.renew()`` in every child process, before anything else uses it there."""
    _renewed.add(owner)


def _in_child() -> None:
    for owner in list(_locked):
        # In place, as `logging` does it for its handlers, which may share the lock.
        owner.lock._at_fork_reinit()
    for owner in list(_renewed):
        owner.renew()


# A platform without fork needs no hook.
getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_in_child)
