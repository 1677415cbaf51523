"""Options that several programs share, and the secrets in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click

__all__ = ["maskable", "passwords_in", "queue_options", "run_with", "setting", "with_log_level"]

_MASKABLE = 8  # Characters; shorter secrets cannot be masked.


with_log_level = click.option(
    "--log-level",
    default="INFO",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]),
    help="The lowest level that is logged.",
)


def setting(flag: str, **options: Any) -> Callable[[Any], Any]:
    """An option like that of `click.option` whose value may also come from a variable ``CICD_`` with its name."""
    variable = "CICD_" + flag.lstrip("-").replace("-", "_").upper()
    return click.option(flag, envvar=variable, show_envvar=True, **options)


def queue_options(command: Any) -> Any:
    """Give a command the options of the queue of jobs: ``broker`` and ``queue``."""
    command = setting("--queue", default="cicd.jobs", help="The name of the queue of jobs.")(command)
    return setting("--broker", default=_broker_in_file, help="The URL of the broker.")(command)


def _broker_in_file() -> str:
    return f"sqla+sqlite:///{Path('broker.db').absolute()}"


def run_with(own: Mapping[str, str], command: click.Command, name: str) -> None:
    """Run a command of a program whose `own` variables are not in its environment; it gets them as its object, too."""
    given = {option.name: own[str(option.envvar)] for option in command.params if own.get(str(option.envvar))}
    command.main(prog_name=name, obj=own, default_map=given)


def passwords_in(*urls: str) -> list[str]:
    """The passwords in URLs that are long enough to be masked."""
    found = [re.match(r"[^:/]+://[^:/@]*:([^/]+)@", url) for url in urls]
    return maskable(*[unquote(each[1]) for each in found if each])


def maskable(*secrets: str) -> list[str]:
    """The secrets that are long enough to be masked."""
    return [secret for secret in secrets if len(secret) >= _MASKABLE]
