"""A contender of the benchmark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

__all__ = ["Contender"]


@attrs.frozen
class Contender:
    """A way to read and write the messages.

    `read` and `write` are expressions, so that no further calls are measured.

    Attributes:
        name: The name in the tables.
        prepare: Takes the name of a type and returns the values of the other names in the expressions. It runs once.
        read: An expression that reads ``text``, JSON in bytes.
        write: An expression that writes ``obj`` as JSON in bytes.
    """

    name: str
    prepare: Callable[[str], dict[str, Any]]
    read: str = "read(text)"
    write: str = "write(obj)"
