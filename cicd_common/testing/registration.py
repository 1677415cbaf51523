"""What hypothesis is told when it is imported where this package is installed: an entry point names `register`.

Hypothesis may be imported by the strategies themselves, and calls `register` then before these are there. So nothing
here looks at them, or at hypothesis, before it is called.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import attrs

from .. import dto, model
from ..api import request, response
from ..fields import SOME, Rule
from ..fields.types import METADATA
from ..values import Environment, JsonObject

__all__ = ["register"]


def register() -> None:
    """Make ``st.from_type``, ``st.builds`` and ``@given`` draw valid instances of the types of the contract.

    ``st.builds`` draws the arguments that a class demands, by their annotations. Rules about several fields it cannot
    know: ``st.builds(Job)`` needs a strategy for ``script``, and ``st.from_type(Job)`` none.
    """
    from hypothesis import strategies as st

    for cls in _types():
        # Annotations may be strings, which hypothesis does not read.
        attrs.resolve_types(cls)
        st.register_type_strategy(cls, _instances)
    for value in (Environment, JsonObject):
        st.register_type_strategy(value, _values)
    METADATA.append(_metadata_of)


def _types() -> Iterator[type[Any]]:
    for module in (request, response, dto, model):
        things = [getattr(module, name) for name in module.__all__]
        yield from (thing for thing in things if isinstance(thing, type) and attrs.has(thing))


def _instances(cls: type[Any]) -> Any:
    from .strategies import from_type

    return from_type(cls)


def _values(cls: Any) -> Any:
    from .strategies.types import values

    return values(cls)


def _metadata_of(rule: Rule) -> Iterator[Any]:
    from .strategies.types import RULES

    if rule in RULES:
        yield RULES[rule]()
    # Without annotated-types hypothesis knows of no least length.
    elif rule is SOME:
        with suppress(ImportError):
            from annotated_types import MinLen

            yield MinLen(1)
