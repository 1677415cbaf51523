"""The execution that a thread or a task works for: every line that it logs says so."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, Self, TypeVar, cast

from .fields import NO_FIELDS, Fields

__all__ = ["current_fields", "execution_context", "propagate_context"]

P = ParamSpec("P")
R = TypeVar("R")


class _Scope:
    """The fields in force, and the scope around this one. Never changed: leaving needs no memory of entering."""

    __slots__ = ("fields", "outer")

    def __init__(self, fields: Fields, outer: _Scope | None) -> None:
        self.fields = fields
        self.outer = outer


_OUTERMOST = _Scope(NO_FIELDS, None)
_scope: ContextVar[_Scope] = ContextVar("cicd_common.logging.scope", default=_OUTERMOST)


def current_fields() -> Fields:
    """The fields of the execution context in force."""
    return _scope.get().fields


class execution_context:  # noqa: N801 - used like a function, as those of contextlib are
    """Put fields on every line that is logged in a block or by a function, by any logger of the process.

    As a context manager or as a decorator, of coroutine functions too. Contexts nest: an inner one adds its fields,
    and wins where both have a name. Tasks of asyncio start with the context of their creator; threads do not, see
    `propagate_context`. One object can be used any number of times, at once too.

    Args:
        pipeline_execution_id: The pipeline execution worked for; none by default.
        stage_execution_id: The stage execution worked for; none by default.
        job_execution_id: The job execution worked for; none by default.
        fields: Any other fields.
    """

    __slots__ = ("_fields",)

    def __init__(
        self,
        /,
        *,
        pipeline_execution_id: object = None,
        stage_execution_id: object = None,
        job_execution_id: object = None,
        **fields: Any,
    ) -> None:
        ids = {
            "pipeline_execution_id": pipeline_execution_id,
            "stage_execution_id": stage_execution_id,
            "job_execution_id": job_execution_id,
        }
        known = {name: value for name, value in ids.items() if value is not None}
        self._fields = Fields.of({**known, **fields})

    def __enter__(self) -> Self:
        outer = _scope.get()
        _scope.set(_Scope(outer.fields.join(self._fields), outer))
        return self

    def __exit__(self, *_: object) -> None:
        _scope.set(_scope.get().outer or _OUTERMOST)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function, or a coroutine function.

        Args:
            function: Runs in this context whenever it is called.

        Raises:
            TypeError: It is a generator function: what it yields to would run in the context too.
        """
        return _around(lambda: self, function)


def propagate_context(function: Callable[P, R]) -> Callable[P, R]:
    """Carry the context in force now to wherever a function is called: to a thread or an executor.

    Args:
        function: A function or coroutine function.

    Returns:
        A function that does the same, in the context of this call, and leaves that of its caller as it is.

    Raises:
        TypeError: It is a generator function.
    """
    scope = _scope.get()
    return _around(lambda: _Entered(scope), function)


class _Entered:
    """A scope as a context manager: in force within the block, in place of the one around it."""

    __slots__ = ("_scope",)

    def __init__(self, scope: _Scope) -> None:
        self._scope = scope

    def __enter__(self) -> None:
        _scope.set(_Scope(self._scope.fields, _scope.get()))

    def __exit__(self, *_: object) -> None:
        _scope.set(_scope.get().outer or _OUTERMOST)


# Bits of co_flags. The inspect module knows them by name, and takes as long to import as all of logging.
_COROUTINE, _GENERATOR, _ASYNC_GENERATOR = 0x80, 0x20, 0x200


def _around(enter: Callable[[], Any], function: Callable[P, R]) -> Callable[P, R]:
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if flags & (_GENERATOR | _ASYNC_GENERATOR):
        raise TypeError("a generator function cannot carry an execution context, use a with statement in its caller")

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with enter():
            return function(*args, **kwargs)

    @wraps(function)
    async def run_coroutine(*args: P.args, **kwargs: P.kwargs) -> Any:
        with enter():
            return await cast(Any, function(*args, **kwargs))

    return cast(Callable[P, R], run_coroutine) if flags & _COROUTINE else run
