"""Kombu's transport for Redis, with a consumer that does not end at an item that is no message."""

# mypy: allow-untyped-calls
# Only a part of kombu has types.

from __future__ import annotations

import logging
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis

__all__ = ["Transport", "register"]

_log = logging.getLogger(__name__)


def register() -> None:
    """Let kombu and Celery use it for ``redis://`` and ``rediss://``."""
    TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"))


class Channel(redis.Channel):
    """Whoever may write to Redis may push anything into a list; RabbitMQ and the spool see to their messages."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # It is off the list already, and no one else gets it.
            _log.error("dropped what is no message: %s", type(error).__name__)
            return True


class Transport(redis.Transport):
    """That of kombu, with the channel above."""

    Channel = Channel
