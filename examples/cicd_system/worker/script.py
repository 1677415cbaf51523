"""The commands of a job as one shell script."""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote

__all__ = ["script_of"]

# The end of each command decides: `set -e` alone lets some go on that have failed, such as `false && true`.
_HEAD = """set -e
_cicd_ended() { [ "$1" -eq 0 ] || exit "$1"; }
"""
_COMMAND = """printf '%s\\n' {shown}
eval {command}
_cicd_ended $?
"""


def script_of(commands: Iterable[str]) -> str:
    """A script that shows and runs commands one after the other, in one shell, up to the first that fails.

    Args:
        commands: The commands, each of any number of lines.
    """
    return _HEAD + "".join(_COMMAND.format(shown=quote(f"$ {command}"), command=quote(command)) for command in commands)
