"""The errors of the package.

They form a tree::

    ContractError (a ValueError)
        A document or an object does not keep the contract.
        UnknownJobError
            The execution has no job of the given id.
        UnknownNameError
            A report names a pipeline, a stage or a job that does not exist.
        UnknownKindError
            The program does not know the kind of the parameters.
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
# The bounds of a key and of a text in characters, and of the entries and of the lines of a problem document in bytes.
_MAX_STEP, _MAX_SHOWN, _MAX_LIST = 200, 300, 28 * 1024


@attrs.frozen
class Problem:
    """A problem of a document or an object, with its place.

    Attributes:
        pointer: The place, as an RFC 6901 JSON pointer: ``/job/script/1``; empty for the whole document.
        code: The kind of problem: ``syntax`` (not JSON, or not in UTF-8), ``missing`` (a required key is absent),
            ``type`` (another kind of JSON value), ``value`` (the right kind, but refused) or ``unknown`` (a key that a
            strict reader does not know).
        message: The expected value, in one sentence. It never repeats a text of the document.
    """

    pointer: str
    code: str
    message: str

    def __str__(self) -> str:
        message = _shortened(_visible(self.message))
        return f"{_shortened(_visible(self.pointer))}: {message}" if self.pointer else message


class ContractError(ValueError):
    """A document or an object does not keep the contract. The root of every error of this package.

    Its text has a line for each problem. It never repeats a text of the document, since commands and logs may hold
    secrets.

    Args:
        type: The type of the document or the object.
        problems: The problems in the order of the document, at least one. Only the first `MAX_PROBLEMS` are kept.
        is_complete: Whether these are all problems.

    Attributes:
        type: As given.
        problems: As given, as a tuple of at most `MAX_PROBLEMS`.
        is_complete: Whether these are all problems; false if the reader stopped at `MAX_PROBLEMS`.
        status: The HTTP status of a response about the error, if the document is JSON.
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
        # Copying and pickling calls the class with these arguments.
        super().__init__(self.type, self.problems, self.is_complete)

    def __str__(self) -> str:
        name = getattr(self.type, "__name__", str(self.type))
        if len(self.problems) == 1 and self.is_complete:
            return f"{name}: {self.problems[0]}"
        more = "" if self.is_complete else " or more"
        lines = [f"{name}: {len(self.problems)} problems{more}", *map(str, self.problems)]
        return "\n  ".join(lines)

    def to_problem(self) -> dict[str, Any]:
        """Make a problem document for an HTTP response (RFC 9457), as plain JSON data.

        Its JSON is shorter than 64 KiB. Pointers and messages longer than 300 characters are shortened, and problems
        that do not fit are left out.

        Returns:
            A dict with ``type``, ``title``, ``status`` (400 for a text that is not JSON, else that of the class),
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
    """The pipeline execution has no job execution of the given id."""

    status = 404


class UnknownNameError(ContractError):
    """A report names a pipeline, a stage or a job that does not exist.

    The pointer of its problem has the level, and its message the name.
    """

    status = 404


class UnknownKindError(ContractError):
    """The program does not know the kind of the parameters. The message of its problem lists the known kinds."""


def json_pointer(*steps: str | int) -> str:
    """Write a JSON pointer (RFC 6901, section 3).

    Args:
        steps: Keys and places in lists. Keys longer than 200 characters are shortened.
    """
    texts = (str(step) for step in steps)
    return "".join("/" + _shortened(text, _MAX_STEP).replace("~", "~0").replace("/", "~1") for text in texts)


def _visible(text: str) -> str:
    """Escape what is not printed as it is: a line break in a key must not look like the next line of a log."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _shortened(text: str, most: int = _MAX_SHOWN) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _fitting(parts: Iterable[Any]) -> list[Any]:
    """Return the first parts, as many as fit into their share of a problem document."""
    left, found = _MAX_LIST, []
    for part in parts:
        left -= len(json.dumps(part)) + 2
        if left < 0:
            break
        found.append(part)
    return found


def _fragment(pointer: str) -> str:
    """Write a JSON pointer as a URI fragment (RFC 6901, section 6)."""
    # Imported here: only a problem document needs it, and it is slow to import.
    from urllib.parse import quote

    return "#" + quote(pointer, safe="/~!$&'()*+,;=:@", errors="replace")
