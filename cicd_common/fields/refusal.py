"""How code refuses a value without knowing the place of the value in a document."""

from __future__ import annotations

from typing import Any

from ..errors import ContractError, Problem, json_pointer

__all__ = ["Refusal", "refuse"]


class Refusal(Exception):
    """A value is refused.

    Args:
        code: The ``code`` of the `Problem`.
        message: The ``message`` of the `Problem`.
        path: The steps from the value to the part of it that is wrong.
    """

    def __init__(self, code: str, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(code, message, path)
        self.code = code
        self.message = message
        self.path = path

    def problem(self, *above: str | int) -> Problem:
        """Return the refusal as a problem.

        Args:
            above: The steps from the whole document to the value.
        """
        return Problem(json_pointer(*above, *self.path), self.code, self.message)


def refuse(type: Any, pointer: str, message: str, code: str = "value") -> ContractError:
    """Return the error for one problem that a type has found."""
    return ContractError(type, [Problem(pointer, code, message)])
