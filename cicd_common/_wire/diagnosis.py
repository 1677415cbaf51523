"""The patient reader of plain JSON data: it finds every problem and the place of each.

The converter first reads in a faster way, which stops at the first problem and does not say where it is. If that fails,
the patient reader reads the data again. Each hook of this package has a patient counterpart, in an attribute; any other
hook is called as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs
from cattrs.errors import BaseValidationError, StructureHandlerNotFoundError

from ..errors import MAX_PROBLEMS, ContractError, Problem, json_pointer
from ..fields.codegen import GENERATED
from ..fields.hints import broken, describe
from ..fields.refusal import Refusal
from ..fields.types import Rule
from .depth import TOO_DEEP

__all__ = ["REFUSED", "Path", "Reading", "is_refusal", "with_patience"]

Path = tuple[str | int, ...]
REFUSED: Any = object()
"""What a patient hook returns if it found a problem."""


class _Enough(Exception):
    """The reading has found `MAX_PROBLEMS` and looks for no more."""


def with_patience(
    read: Callable[[Any, Any], Any], patient: Callable[[Reading, Any, Path], Any]
) -> Callable[[Any, Any], Any]:
    """Give a hook its patient counterpart.

    Args:
        read: The hook. It is changed.
        patient: The counterpart: takes a reading, a value and its place, and returns what it read, or `REFUSED`.
    """
    read.patient = patient  # type: ignore[attr-defined]
    return read


def is_refusal(error: Exception) -> bool:
    """Tell whether an error of a hook says that the data is wrong. Any other error is a bug of the hook.

    A hook refuses data by a `ValueError` or a `TypeError`. Generated code, also that of cattrs, may raise any other
    error, such as a `KeyError` for a missing key.
    """
    if isinstance(error, (StructureHandlerNotFoundError, RecursionError)):
        return False
    if isinstance(error, (Refusal, ValueError, TypeError, BaseValidationError)):
        return True
    code = module = ""
    trace = error.__traceback__
    while trace is not None:
        code, module = trace.tb_frame.f_code.co_filename, str(trace.tb_frame.f_globals.get("__name__"))
        trace = trace.tb_next
    return code == GENERATED or code.startswith("<cattrs generated") or module.partition(".")[0] == "cattrs"


class Reading:
    """One reading of one document.

    Args:
        hook_of: Gives the hook that reads values of a type.
        strict: Whether keys that a type does not know are problems.

    Attributes:
        problems: The problems found so far, in the order of the fields of each type.
        is_complete: Whether the reading looked for all problems.
    """

    def __init__(self, hook_of: Callable[[Any], Callable[[Any, Any], Any]], strict: bool) -> None:
        self.hook_of = hook_of
        self.strict = strict
        self.problems: list[Problem] = []
        self.is_complete = True

    def read_whole(self, value: Any, hint: Any) -> Any:
        """Read a document, up to `MAX_PROBLEMS`. If there are problems, the result is of no use."""
        try:
            return self.read(value, hint)
        except _Enough:
            self.is_complete = False
        except RecursionError:
            self.problems = [Refusal("syntax", TOO_DEEP).problem()]
        return REFUSED

    def read(self, value: Any, hint: Any, path: Path = ()) -> Any:
        """Read plain data as an annotation says, or return `REFUSED`.

        Raises:
            RecursionError: The data nests deeper than the interpreter can follow.
        """
        hook = self.hook_of(hint)
        patient = getattr(hook, "patient", None)
        return self._call(hook, value, hint, path) if patient is None else patient(self, value, path)

    def refuse(self, refusal: Refusal, path: Path) -> Any:
        """Note a problem."""
        return self._note(refusal.problem(*path))

    def add(self, error: ContractError, path: Path) -> Any:
        """Note the problems of an error that the part of the document at a path led to."""
        above = json_pointer(*path)
        for each in error.problems:
            self._note(attrs.evolve(each, pointer=above + each.pointer))
        self.is_complete = self.is_complete and error.is_complete
        return REFUSED

    def keep(self, value: Any, rules: Iterable[Rule], path: Path) -> Any:
        """Return a value of the right type if it keeps rules."""
        refusals = broken(value, rules)
        for refusal in refusals:
            self.refuse(refusal, path)
        return REFUSED if refusals else value

    def _note(self, problem: Problem) -> Any:
        self.problems.append(problem)
        if len(self.problems) >= MAX_PROBLEMS:
            raise _Enough
        return REFUSED

    def _call(self, hook: Callable[[Any, Any], Any], value: Any, hint: Any, path: Path) -> Any:
        try:
            return hook(value, hint)
        except Refusal as refusal:
            return self.refuse(refusal, path)
        except ContractError as error:
            return self.add(error, path)
        except Exception as error:
            if not is_refusal(error):
                raise
        # The text of the error is left out: it may hold the value.
        return self.refuse(Refusal("value", f"expected {describe(hint)}"), path)
