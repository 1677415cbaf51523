"""Register the types of the contract with hypothesis, which calls `register` by an entry point when it is imported.

If the strategies import hypothesis, it calls `register` before they are defined. So this module imports the strategies
and hypothesis only inside its functions.
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

    ``st.builds`` draws the required arguments of a class by their annotations, and knows no rules about several fields:
    ``st.builds(Job)`` needs a strategy for ``script``, while ``st.from_type(Job)`` needs none.
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
        exported = [getattr(module, name) for name in module.__all__]
        yield from (each for each in exported if isinstance(each, type) and attrs.has(each))


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
    # Hypothesis knows a least length only by the package annotated-types.
    elif rule is SOME:
        with suppress(ImportError):
            from annotated_types import MinLen

            yield MinLen(1)
