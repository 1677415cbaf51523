"""Completion of commands, options and names of pipelines in a shell."""

from __future__ import annotations

import os
from contextlib import suppress

import click
from click.shell_completion import get_completion_class

from .client import BackendError, Client

__all__ = ["COMPLETE", "PROGRAM", "completion", "names_of_pipelines"]

PROGRAM = "cicd"
"""The name of the program in the shell."""
COMPLETE = "_CICD_COMPLETE"
"""The variable with which the shell asks for completions."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that makes a shell complete commands, options and names of pipelines.

    For bash: eval "$(scripts/cicd completion bash)"
    """
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(context.find_root().command, {}, PROGRAM, COMPLETE).source())


def names_of_pipelines(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of pipelines for a shell; empty if the Backend does not answer at once.

    Args:
        context: The context of the command.
        incomplete: The beginning of the name.
    """
    url, token = context.find_root().params["backend"], os.environ.get("CICD_TOKEN")
    with suppress(BackendError, ValueError), Client(url, token, patience=0) as client:
        names = [each.pipeline_name for each in client.runs().reports]
        return [name for name in names if name.startswith(incomplete)]
    return []
