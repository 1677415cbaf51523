"""What takes part in a measurement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

__all__ = ["Contender"]


@attrs.frozen
class Contender:
    """A way to read and write the messages.

    Reading and writing are expressions, so that nothing is measured but the calls that one has to make.

    Attributes:
        name: Its name in the tables.
        prepare: Makes what can be made once for the type of a name: the values of the other names in the expressions.
        read: An expression that reads ``text``, JSON in bytes.
        write: An expression that writes ``obj`` as JSON in bytes.
    """

    name: str
    prepare: Callable[[str], dict[str, Any]]
    read: str = "read(text)"
    write: str = "write(obj)"
