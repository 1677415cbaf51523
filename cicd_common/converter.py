"""THE converter: contract types from and to JSON.

The wire rules, which every engine keeps:

- One JSON object in UTF-8; its keys are the attribute names, all are written, in field order, with no blanks.
- No coercion: a string is no number, ``true`` is no 1, ``1.0`` is no integer, a string is no list.
- A UUID is written in lower case with hyphens, and read in any case, with hyphens or without.
- A time is written as in RFC 3339 in UTC with ``Z``, and read with any offset.
- A missing key takes its default, or is a problem; ``null`` is for what may be ``None`` alone.
- Unknown keys are ignored, or refused by a strict reader.
- JSON that nests more than 100 levels deep is refused, and not written.
- Reading ends in an instance or in one `ContractError` that lists the problems, 100 at most.

A new attrs class needs no line here. What its fields demand beyond their types, it says itself. Classes outside the
contract may hold the value types of the standard library, in the text forms of RFC 3339 (dates, times of day without an
offset, durations in days and seconds: ``P1DT5.5S``) and of ``cattrs.preconf.json`` (bytes in base 85), and a `Decimal`
as a string of its digits. What they write is read back equal; what could not be is refused when it is written, or has
no hook.
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
    """Make a converter of one's own, to register hooks with that no one else sees, or to choose the engine.

    Args:
        engine: ``"json"`` is the standard library; ``"msgspec"``, of the extra ``fast``, is faster and otherwise
            the same. By default ``msgspec`` where it is installed.

    Returns:
        A new converter.

    Raises:
        ImportError: ``msgspec`` was asked for and is not installed.
        ValueError: There is no such engine.
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
