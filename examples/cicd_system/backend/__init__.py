"""The Backend: it starts runs, applies the updates of Workers, hands out jobs, and answers the CLI."""

from .app import create_app
from .dispatch import Dispatcher

__all__ = ["Dispatcher", "create_app"]
