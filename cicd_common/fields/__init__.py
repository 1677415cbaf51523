"""Annotations that say what a field demands of its value, and `checked`, which makes a class enforce them.

`checked` below ``attrs.frozen`` makes a class check its fields by their annotations. `Name`, `Ordinal` and the other
types here demand more of a value than its Python type does. A `Rule` in ``Annotated`` makes another such type.
"""

from .checks import checked, is_checked
from .hints import broken, describe, split
from .leaves import LEAVES, Leaf, leaf_of
from .refusal import Refusal, refuse
from .times import in_utc
from .types import (
    INTEGER,
    SOME,
    TIME,
    Between,
    Count,
    Kind,
    Name,
    Ordinal,
    PageSize,
    RelativePath,
    Retries,
    Rule,
    Sha256,
    Texts,
    Time,
)

__all__ = [
    "INTEGER",
    "LEAVES",
    "SOME",
    "TIME",
    "Between",
    "Count",
    "Kind",
    "Leaf",
    "Name",
    "Ordinal",
    "PageSize",
    "Refusal",
    "RelativePath",
    "Retries",
    "Rule",
    "Sha256",
    "Texts",
    "Time",
    "broken",
    "checked",
    "describe",
    "in_utc",
    "is_checked",
    "leaf_of",
    "refuse",
    "split",
]
