"""The execution that a thread or a task works for, whose ids are on every line that it logs."""

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
    """The current fields, and the scope around this one. It is never changed, so leaving it needs no other state."""

    __slots__ = ("fields", "outer")

    def __init__(self, fields: Fields, outer: _Scope | None) -> None:
        self.fields = fields
        self.outer = outer


_OUTERMOST = _Scope(NO_FIELDS, None)
_scope: ContextVar[_Scope] = ContextVar("cicd_common.logging.scope", default=_OUTERMOST)


def current_fields() -> Fields:
    """Return the fields of the current execution context."""
    return _scope.get().fields


class execution_context:  # noqa: N801 - used like a function, as those of contextlib are
    """Put fields on every line that is logged in a block or by a function, by any logger of the process.

    It is a context manager and a decorator, also of coroutine functions. Contexts nest: an inner one adds its fields,
    and replaces those of the same name. Tasks of asyncio start with the context of their creator; threads do not, see
    `propagate_context`. One object can be used any number of times, also at once.

    Args:
        pipeline_execution_id: The pipeline execution; none by default.
        stage_execution_id: The stage execution; none by default.
        job_execution_id: The job execution; none by default.
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
            function: The function, which then always runs in this context.

        Raises:
            TypeError: It is a generator function: its caller would run in the context, too.
        """
        return _around(lambda: self, function)


def propagate_context(function: Callable[P, R]) -> Callable[P, R]:
    """Carry the current context into a function that another thread or an executor calls.

    Args:
        function: A function or coroutine function.

    Returns:
        A function that does the same in the context of this call.

    Raises:
        TypeError: It is a generator function.
    """
    scope = _scope.get()
    return _around(lambda: _Entered(scope), function)


class _Entered:
    """A context manager that makes a scope the current one within the block."""

    __slots__ = ("_scope",)

    def __init__(self, scope: _Scope) -> None:
        self._scope = scope

    def __enter__(self) -> None:
        _scope.set(_Scope(self._scope.fields, _scope.get()))

    def __exit__(self, *_: object) -> None:
        _scope.set(_scope.get().outer or _OUTERMOST)


# Bits of co_flags. The module inspect has names for them, but its import takes as long as that of all of logging.
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
