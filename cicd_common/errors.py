"""The errors of the package.

They form a tree::

    ContractError (a ValueError)
        Something does not keep the contract: a document that was read, or an object that was constructed.
        UnknownJobError
            An update or a question is about a job that is not in the execution.
        UnknownNameError
            A report was asked of a pipeline, a stage or a job, and there is none of that name.
        UnknownKindError
            Parameters were to be read or made whose kind is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from typing import Any, ClassVar

import attrs

__all__ = [
    "MAX_PROBLEMS",
    "ContractError",
    "Problem",
    "UnknownJobError",
    "UnknownKindError",
    "UnknownNameError",
    "json_pointer",
]

MAX_PROBLEMS = 100
"""The most problems that one error lists."""

_TITLES = {
    400: "The document is not JSON",
    404: "There is nothing of this id or name",
    409: "It conflicts with what there is already",
    422: "The document does not keep the contract",
    503: "The service cannot answer at the moment",
}
# In characters; and in bytes, for all entries and for all lines of a problem document.
_MAX_STEP, _MAX_SHOWN, _MAX_LIST = 200, 300, 28 * 1024


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
        message = _shortened(self.message)
        return f"{_shortened(self.pointer)}: {message}" if self.pointer else message


class ContractError(ValueError):
    """What was read or constructed does not keep the contract. The root of every error of this package.

    Printed, it says every problem on a line of its own. It never repeats a text that it was given, since
    commands and logs carry secrets.

    Args:
        type: The type that was to be read or constructed.
        problems: What is wrong with it, in the order of the document; at least one problem. No more than
            `MAX_PROBLEMS` are looked at.
        is_complete: Whether these are all problems.

    Attributes:
        type: As given.
        problems: As given, as a tuple of at most `MAX_PROBLEMS`.
        is_complete: Whether these are all problems. It is false if whoever looked for them stopped at
            `MAX_PROBLEMS`.
        status: The status of HTTP that an answer about such an error has, if the document is JSON.
    """

    status: ClassVar[int] = 422

    type: Any
    problems: tuple[Problem, ...]
    is_complete: bool

    def __init__(self, type: Any, problems: Iterable[Problem], is_complete: bool = True) -> None:
        self.type = type
        problems = iter(problems)
        self.problems = tuple(islice(problems, MAX_PROBLEMS))
        self.is_complete = is_complete and next(problems, None) is None
        # Exceptions are copied and pickled by calling them again with their args.
        super().__init__(self.type, self.problems, self.is_complete)

    def __str__(self) -> str:
        name = getattr(self.type, "__name__", str(self.type))
        if len(self.problems) == 1 and self.is_complete:
            return f"{name}: {self.problems[0]}"
        more = "" if self.is_complete else " or more"
        lines = [f"{name}: {len(self.problems)} problems{more}", *map(str, self.problems)]
        return "\n  ".join(lines)

    def to_problem(self) -> dict[str, Any]:
        """Say the same as a problem document for an HTTP answer (RFC 9457), as plain JSON data.

        It is shorter than 64 KiB as JSON. Pointers and messages longer than 300 characters are shortened, and what
        does not fit is left out.

        Returns:
            A dict with ``type``, ``title``, ``status`` (400 for what is not JSON, that of the class for the rest),
            ``detail``, ``is_complete`` and ``errors``: for each problem its ``pointer`` (as a URI fragment, RFC 6901
            section 6, as in the example of RFC 9457 section 3), ``code`` and ``detail``.
        """
        status = 400 if any(problem.code == "syntax" for problem in self.problems) else self.status
        errors = _fitting(
            {
                "pointer": _shortened(_fragment(_shortened(problem.pointer))),
                "code": problem.code,
                "detail": _shortened(problem.message),
            }
            for problem in self.problems
        )
        return {
            "type": "urn:cicd-common:problem:contract",
            "title": _TITLES[status],
            "status": status,
            "detail": "\n".join(_fitting(str(self).split("\n"))),
            "is_complete": self.is_complete and len(errors) == len(self.problems),
            "errors": errors,
        }


class UnknownJobError(ContractError):
    """An update or a question is about a job execution that is not in the pipeline execution."""

    status = 404


class UnknownNameError(ContractError):
    """A report was asked of a pipeline, a stage or a job, and there is none of that name.

    The pointer of its problem says at which level, its message which name.
    """

    status = 404


class UnknownKindError(ContractError):
    """Parameters were to be read or made of a kind that is not among the known ones.

    The message of its problem lists those.
    """


def json_pointer(*steps: str | int) -> str:
    """Write a JSON pointer (RFC 6901, section 3).

    Args:
        steps: Keys and places in lists. Keys longer than 200 characters are shortened.
    """
    texts = (str(step) for step in steps)
    return "".join("/" + _shortened(text, _MAX_STEP).replace("~", "~0").replace("/", "~1") for text in texts)


def _shortened(text: str, most: int = _MAX_SHOWN) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _fitting(parts: Iterable[Any]) -> list[Any]:
    """The first parts, as many as take no more than their share of a problem document as JSON."""
    left, found = _MAX_LIST, []
    for part in parts:
        left -= len(json.dumps(part)) + 2
        if left < 0:
            break
        found.append(part)
    return found


def _fragment(pointer: str) -> str:
    """Write a JSON pointer as a URI fragment (RFC 6901, section 6)."""
    # Imported here: only an error on its way to HTTP needs it, and it is slow to import.
    from urllib.parse import quote

    return "#" + quote(pointer, safe="/~!$&'()*+,;=:@", errors="replace")
