"""Descriptions of classes and their fields, from docstrings."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable
from enum import Enum
from itertools import pairwise
from typing import Any

__all__ = ["description_of", "descriptions_of_fields"]

_ENTRY = re.compile(r"^    (\w+)(?: \(.*?\))?:\s+(.*(?:\n     .*)*)", re.MULTILINE)
# The first words of "Raises" in the contract's types, about single fields. The schema has their rules as keywords.
_FIELD_RULES = re.compile(r"A (?:field|name or a value) is refused(?:[,;.] *|$)(?:or )?")


def _docstring(cls: type) -> str:
    """Return the docstring that a class has in its source; empty if Python was started without docstrings."""
    text = inspect.cleandoc(vars(cls).get("__doc__") or "")
    # A dataclass without a docstring gets one with its signature.
    return "" if text.startswith(f"{cls.__name__}(") else text


def _section(docstring: str, name: str) -> str:
    match = re.search(rf"^{name}:\n((?: .*\n?|\n)*)", docstring, re.MULTILINE)
    return match[1] if match else ""


def _plain(text: str) -> str:
    """Make one paragraph of a text, without the marks of reStructuredText."""
    return " ".join(text.split()).replace("``", "").replace("`", "")


def description_of(cls: type) -> str:
    """Return a description of a class in Markdown.

    It consists of the first paragraph of the docstring, the descriptions of an enum's values, and the rules about
    several fields in the section "Raises".

    Args:
        cls: A class.
    """
    docstring = _docstring(cls)
    raised = re.search(r"^    ContractError: (.*(?:\n     .*)*)", _section(docstring, "Raises"), re.MULTILINE)
    refused = _plain(_FIELD_RULES.sub("", raised[1], count=1)).partition(". ")[0] if raised else ""
    values = [f"- {member.value}: {member.description}" for member in _members(cls) if hasattr(member, "description")]
    paragraphs = [
        _plain(docstring.split("\n\n")[0]),
        "\n".join(values),
        f"Refused if {refused[0].lower()}{refused[1:].removesuffix('.')}." if refused else "",
    ]
    return "\n\n".join(filter(None, paragraphs))


def _members(cls: type) -> Iterable[Any]:
    return cls if issubclass(cls, Enum) else ()


def descriptions_of_fields(cls: type, names: Iterable[str]) -> dict[str, str]:
    """Return the descriptions of fields by their names.

    They come from the sections "Attributes" and "Args" of the docstrings of a class and of its bases, or from string
    literals below the fields, if the source is available.

    Args:
        cls: A class.
        names: The fields.
    """
    bases = cls.__mro__[:-1]
    docstrings = [_docstring(base) for base in reversed(bases)]
    sections = [_section(text, name) for text in docstrings for name in ("Args", "Attributes")]
    found = {name: _plain(text) for section in sections for name, text in _ENTRY.findall(section)}
    # The source is read only if necessary, since that is slow.
    for base in bases:
        if not found.keys() >= set(names):
            found = _literals_below(base) | found
    return found


def _literals_below(cls: type) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}
    # For a class that was made at run time, the source may be that of another object.
    bodies = [each.body for each in tree.body if isinstance(each, ast.ClassDef) and each.name == cls.__name__]
    return {
        field.target.id: _plain(inspect.cleandoc(below.value.value).split("\n\n")[0])
        for body in bodies
        for field, below in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }
