"""JSON Schema (draft 2020-12) of the contract's types, and the breaking changes between two versions of it.

The schemas are made from the classes: their annotations, rules, defaults and docstrings. A document is valid exactly if
a strict reader accepts it, except for the differences that `NOT_IN_SCHEMA` lists.
"""

from .build import contract_types, schema
from .changes import Change, ChangeKind, Effect
from .comparison import compare
from .exceptions import NOT_IN_SCHEMA
from .openapi import openapi_components

__all__ = [
    "NOT_IN_SCHEMA",
    "Change",
    "ChangeKind",
    "Effect",
    "compare",
    "contract_types",
    "openapi_components",
    "schema",
]
