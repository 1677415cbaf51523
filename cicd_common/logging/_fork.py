"""What a child process does about the locks that other threads of its parent held when it was forked."""

from __future__ import annotations

import os
import weakref
from typing import Any

__all__ = ["renew_in_child", "renew_lock_in_child"]

_locked: weakref.WeakSet[Any] = weakref.WeakSet()
_renewed: weakref.WeakSet[Any] = weakref.WeakSet()


def renew_lock_in_child(owner: Any) -> None:
    """Free ``owner.lock``, an ``RLock``, in every child process: its holder does not exist there."""
    _locked.add(owner)


def renew_in_child(owner: Any) -> None:
    """Call ``owner.renew()`` in every child process, before anything else uses it there."""
    _renewed.add(owner)


def _in_child() -> None:
    for owner in list(_locked):
        # In place, as logging does it for its handlers: a lock may be shared with one of them.
        owner.lock._at_fork_reinit()
    for owner in list(_renewed):
        owner.renew()


# Where there is no fork there is nothing to do.
getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_in_child)
