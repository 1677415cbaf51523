"""The Backend: it starts runs, joins what Workers report, hands out jobs, and answers what the CLI asks."""

from .app import MAX_BODY, create_app
from .dispatch import Dispatcher

__all__ = ["MAX_BODY", "Dispatcher", "create_app"]
