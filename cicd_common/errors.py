"""The errors of the package.

ContractError (a ValueError)
    Something does not keep the contract: a document that was read, or an object that was constructed.
    UnknownJobError
        An update or a question is about a job that is not in the execution.
    UnknownNameError
        A report was asked of a pipeline, a stage or a job of which there is none of that name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

__all__ = ["ContractError", "Problem", "UnknownJobError", "UnknownNameError"]

_TITLES = {400: "The document is not JSON", 422: "The document does not keep the contract"}


@attrs.frozen
class Problem:
    """One thing that is wrong with a document or an object, and where.

    Attributes:
        pointer: The place, as an RFC 6901 JSON pointer: ``/job/script/1``; empty for the whole.
        code: What kind of problem it is: ``syntax`` (not JSON, or not in UTF-8), ``missing`` (a required key is
            absent), ``type`` (another kind of JSON value), ``value`` (the right kind, but refused) or ``unknown``
            (a key that a strict reader does not know).
        message: What was expected, in one sentence. It never repeats a text from the document.
    """

    pointer: str
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.pointer}: {self.message}" if self.pointer else self.message


class ContractError(ValueError):
    """What was read or constructed does not keep the contract. The root of every error of this package.

    Printed, it says every problem on a line of its own. It never repeats a text that it was given, since
    commands and logs carry secrets.

    Args:
        type: The type that was to be read or constructed.
        problems: Everything that is wrong with it, in the order of the document; at least one problem.

    Attributes:
        type: As given.
        problems: As given, as a tuple.
    """

    type: Any
    problems: tuple[Problem, ...]

    def __init__(self, type: Any, problems: Iterable[Problem]) -> None:
        self.type = type
        self.problems = tuple(problems)
        # Exceptions are copied and pickled by calling them again with their args.
        super().__init__(self.type, self.problems)

    def __str__(self) -> str:
        name = getattr(self.type, "__name__", str(self.type))
        if len(self.problems) == 1:
            return f"{name}: {self.problems[0]}"
        lines = [f"{name}: {len(self.problems)} problems", *map(str, self.problems)]
        return "\n  ".join(lines)

    def to_problem(self) -> dict[str, Any]:
        """Say the same as a problem document for an HTTP answer (RFC 9457), as plain JSON data.

        Returns:
            A dict with ``type``, ``title``, ``status`` (400 for what is not JSON, 422 for the rest), ``detail`` and
            ``errors``: for each problem its ``pointer`` (as a URI fragment, RFC 6901 section 6, as in the example of
            RFC 9457 section 3), ``code`` and ``detail``.
        """
        status = 400 if any(problem.code == "syntax" for problem in self.problems) else 422
        return {
            "type": "urn:cicd-common:problem:contract",
            "title": _TITLES[status],
            "status": status,
            "detail": str(self),
            "errors": [
                {"pointer": _fragment(problem.pointer), "code": problem.code, "detail": problem.message}
                for problem in self.problems
            ],
        }


class UnknownJobError(ContractError):
    """An update or a question is about a job execution that is not in the pipeline execution."""


class UnknownNameError(ContractError):
    """A report was asked of a pipeline, a stage or a job of which there is none of that name.

    The pointer of its problem says at which level, its message which name.
    """


def _fragment(pointer: str) -> str:
    """Write a JSON pointer as a URI fragment (RFC 6901, section 6)."""
    # Imported here: only an error on its way to HTTP needs it, and it is slow to import.
    from urllib.parse import quote

    return "#" + quote(pointer, safe="/~!$&'()*+,;=:@")
