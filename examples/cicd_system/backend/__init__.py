"""The Backend: it starts runs, applies the updates of Workers, hands out jobs, and answers the CLI."""

from .app import MAX_BODY, create_app
from .dispatch import Dispatcher

__all__ = ["MAX_BODY", "Dispatcher", "create_app"]
