"""Options that several programs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click

__all__ = ["maskable", "passwords_in", "queue_options", "setting", "with_log_level"]

_MASKABLE = 8  # Characters; shorter secrets cannot be masked.


def setting(flag: str, **options: Any) -> Callable[[Any], Any]:
    """An option whose value may also come from a variable ``CICD_`` with its name.

    Args:
        flag: The option, such as ``--job-timeout``.
        **options: What `click.option` takes.
    """
    variable = "CICD_" + flag.lstrip("-").replace("-", "_").upper()
    return click.option(flag, envvar=variable, show_envvar=True, **options)


_QUEUE = (
    setting(
        "--broker", default=lambda: f"sqla+sqlite:///{Path('broker.db').absolute()}", help="The URL of the broker."
    ),
    setting("--queue", default="cicd.jobs", help="The name of the queue of jobs."),
)


def queue_options(command: Any) -> Any:
    """Give a command the options of the queue of jobs: ``broker`` and ``queue``."""
    for option in reversed(_QUEUE):
        command = option(command)
    return command


with_log_level = click.option(
    "--log-level",
    default="INFO",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]),
    help="The lowest level that is logged.",
)


def passwords_in(*urls: str) -> list[str]:
    """The passwords in URLs that are long enough to be masked.

    Args:
        *urls: URLs; wrong ones are ignored.
    """
    return maskable(*map(_password, urls))


def maskable(*secrets: str) -> list[str]:
    """The secrets that are long enough to be masked.

    Args:
        *secrets: The secrets.
    """
    return [secret for secret in secrets if len(secret) >= _MASKABLE]


def _password(url: str) -> str:
    try:
        return unquote(urlsplit(url).password or "")
    except ValueError:
        return ""
