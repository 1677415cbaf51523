"""THE converter: contract types from and to JSON.

The wire rules, which every engine keeps:

- One JSON object in UTF-8; its keys are the attribute names, all are written, in field order, with no blanks.
- No coercion: a string is no number, ``true`` is no 1, ``1.0`` is no integer, a string is no list.
- A UUID is written in lower case with hyphens, and read in any case, with hyphens or without.
- A time is written as in RFC 3339 in UTC with ``Z``, and read with any offset.
- A missing key takes its default, or is a problem; ``null`` is for what may be ``None`` alone.
- Unknown keys are ignored, or refused by a strict reader.
- Reading ends in an instance or in one `ContractError` that lists every problem.

A new attrs class needs no line here. What its fields demand beyond their types, it says itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import cattrs

from ._compiled import Made, compile_writer, is_contract
from ._fields import is_checked
from ._hooks import register_hooks
from ._reading import Reading
from ._rules import Refusal
from ._wire import TOO_DEEP, encode, parse
from .errors import ContractError

__all__ = ["ContractConverter", "Engine", "converter", "make_converter"]

T = TypeVar("T")
Engine = Literal["json", "msgspec"]


class ContractConverter(cattrs.Converter):
    """A `cattrs.Converter` that keeps the wire rules and speaks JSON.

    Hooks for types of one's own can be registered as with any `cattrs.Converter`. Made by `make_converter`.
    """

    engine: Engine = "json"

    def __init__(self) -> None:
        # The fast way stops at the first problem; a `Reading` then finds them all.
        super().__init__(detailed_validation=False)
        register_hooks(self)
        self._writers = Made(self._writer)

    def loads(self, data: bytes | bytearray | memoryview | str, type: type[T], *, strict: bool = False) -> T:
        """Read JSON.

        Args:
            data: JSON text; bytes are in UTF-8.
            type: What to read: a contract type, any other attrs class, or a tuple or list of them.
            strict: Whether keys that a type does not know are problems; by default they are ignored, so that an old
                reader reads what a newer writer wrote.

        Returns:
            An instance of ``type``.

        Raises:
            ContractError: The text is not JSON or not what ``type`` demands; it lists every problem.
        """
        try:
            plain = parse(data)
        except Refusal as refusal:
            problem = refusal.problem()
        else:
            return self.structure(plain, type, strict=strict)
        raise ContractError(type, [problem])

    def dumps(self, obj: Any) -> bytes:
        """Write JSON: every key, in field order, in UTF-8, with no blanks.

        Args:
            obj: An instance of a contract type, of any other attrs class, or a tuple or list of them. One of a derived
                class is written with all its fields, to be read as what it is.

        Returns:
            The JSON text. Equal objects have equal bytes.

        Raises:
            ContractError: A class outside the contract holds what JSON cannot say: ``NaN``, a naive time, half of a
                character; or it nests deeper than the interpreter can follow.
            TypeError: It holds a value of a type that has no place in JSON.
        """
        return self._writers[obj.__class__](obj)  # type: ignore[no-any-return]

    def _writer(self, cls: type) -> Callable[[Any], bytes]:
        return self._compile_writer(cls) if is_checked(cls) and is_contract(cls) else self._write_plain

    def _compile_writer(self, cls: type) -> Callable[[Any], bytes]:
        write = compile_writer(cls)
        return lambda obj: write(obj).encode()

    def _write_plain(self, obj: Any) -> bytes:
        try:
            return encode(self.unstructure(obj))
        except ValueError as error:
            if isinstance(error, ContractError):
                raise
            problem = Refusal("value", "expected finite numbers and texts without lone surrogates").problem()
        except RecursionError:
            problem = Refusal("value", TOO_DEEP).problem()
        raise ContractError(type(obj), [problem])

    def structure(self, obj: Any, cl: type[T], *, strict: bool = False) -> T:
        """Make an instance from plain JSON data: dicts, lists, strings, numbers, booleans and None.

        Args:
            obj: The plain data. It is not changed.
            cl: As ``type`` of `loads`.
            strict: As in `loads`.

        Returns:
            An instance of ``cl``.

        Raises:
            ContractError: The data is not what ``cl`` demands; it lists every problem.
        """
        if not strict:
            try:
                return super().structure(obj, cl)
            except (cattrs.errors.StructureHandlerNotFoundError, NameError):
                raise  # Nothing is wrong with the data: the type is not one that can be read.
            except Exception:
                pass
        reading = Reading(self.get_structure_hook, strict)
        result, problems = None, reading.problems
        try:
            result = reading.read(obj, cl)
        except RecursionError:
            problems = [Refusal("syntax", TOO_DEEP).problem()]
        if problems:
            raise ContractError(cl, problems)
        return result  # type: ignore[return-value]

    def unstructure(self, obj: Any, unstructure_as: Any = None) -> Any:
        """Make plain JSON data from an instance: dicts, lists, strings, numbers, booleans and None.

        Args:
            obj: An instance, or a tuple or list of instances.
            unstructure_as: The type to take it for; its own by default.

        Returns:
            The plain data, new all through.

        Raises:
            ContractError: A class outside the contract holds a time that cannot be written, or nests too deeply.
        """
        try:
            return super().unstructure(obj, unstructure_as)
        except Refusal as refusal:
            problem = refusal.problem()
        except RecursionError:
            problem = Refusal("value", TOO_DEEP).problem()
        raise ContractError(type(obj), [problem])


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
            from ._msgspec import MsgspecConverter
        except ImportError as error:
            if engine == "msgspec":
                raise ImportError("the engine 'msgspec' needs the extra: pip install 'cicd-common[fast]'") from error
        else:
            return MsgspecConverter()
    return ContractConverter()


converter = make_converter()
"""The converter that the CLI, the Backend and the Worker share."""
