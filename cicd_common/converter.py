"""The converter of contract types from and to JSON.

Every engine keeps these wire rules:

- One JSON object in UTF-8; its keys are the attribute names, all are written, in field order, with no blanks.
- No coercion: a string is no number, ``true`` is no 1, ``1.0`` is no integer, a string is no list.
- A UUID is written in lower case with hyphens, and read in any case, with hyphens or without.
- A time is written as in RFC 3339 in UTC with ``Z``, and read with any offset.
- A missing key takes its default, or is a problem; ``null`` is allowed only where a value may be ``None``.
- Unknown keys are ignored, or refused by a strict reader.
- JSON that nests more than 100 levels deep is refused, and not written.
- Reading returns an instance, or raises one `ContractError` that lists the problems, 100 at most.

A new attrs class needs no line here: its annotations state the rules of its fields. Classes outside the contract may
hold the value types of the standard library, in the text forms of RFC 3339 (dates, times of day without an offset,
durations in days and seconds: ``P1DT5.5S``) and of ``cattrs.preconf.json`` (bytes in base 85), and a `Decimal` as a
string of its digits. Written values are read back equal. A value for which that is impossible is refused when it is
written, or its type has no hook.
"""

from __future__ import annotations

from ._wire.base import ContractConverter, Engine

__all__ = [
    "ContractConverter",
    "Engine",
    "converter",
    "dumps",
    "loads",
    "make_converter",
    "structure",
    "unstructure",
]


def make_converter(engine: Engine | None = None) -> ContractConverter:
    """Make a converter with hooks separate from those of the shared one, or with another engine.

    Args:
        engine: ``"json"`` uses the standard library; ``"msgspec"``, of the extra ``fast``, is faster and otherwise
            the same. By default ``msgspec`` if it is installed.

    Returns:
        A new converter.

    Raises:
        ImportError: The engine ``msgspec`` is not installed.
        ValueError: There is no engine of this name.
    """
    if engine not in (None, "json", "msgspec"):
        raise ValueError("expected the engine 'json' or 'msgspec'")
    if engine != "json":
        try:
            from ._wire.msgspec_engine import MsgspecConverter
        except ImportError as error:
            if engine == "msgspec":
                raise ImportError("the engine 'msgspec' needs the extra: pip install 'cicd-common[fast]'") from error
        else:
            return MsgspecConverter()
    return ContractConverter()


converter = make_converter()
"""The converter that the CLI, the Backend and the Worker share."""

loads = converter.loads
dumps = converter.dumps
structure = converter.structure
unstructure = converter.unstructure
