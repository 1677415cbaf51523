"""What lets a shell complete commands, options and names of pipelines."""

from __future__ import annotations

import os
from contextlib import suppress

import click
from click.shell_completion import get_completion_class

from .client import BackendError, Client

__all__ = ["COMPLETE", "PROGRAM", "completion", "names_of_pipelines"]

PROGRAM = "cicd"
"""The name by which a shell knows the program."""
COMPLETE = "_CICD_COMPLETE"
"""The variable by which a shell asks the program."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what lets a shell complete commands, options, and names of pipelines.

    For bash: eval "$(scripts/cicd completion bash)"
    """
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(context.find_root().command, {}, PROGRAM, COMPLETE).source())


def names_of_pipelines(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of pipelines for a shell; none where the Backend does not answer at once.

    Args:
        context: That of the command with the argument.
        incomplete: What was typed.
    """
    url, token = context.find_root().params["backend"], os.environ.get("CICD_TOKEN")
    with suppress(BackendError, ValueError), Client(url, token, patience=0) as client:
        names = [each.pipeline_name for each in client.runs().reports]
        return [name for name in names if name.startswith(incomplete)]
    return []
