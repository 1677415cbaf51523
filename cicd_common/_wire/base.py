"""The converter, with the JSON engine of the standard library."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, TypeVar, cast

import cattrs

from ..errors import ContractError, Problem
from ..fields.checks import is_checked
from ..fields.refusal import Refusal
from .codegen import LazyDict, compile_writer, is_contract, leaves_of
from .depth import TOO_DEEP, is_deep_data
from .diagnosis import Reading, is_refusal
from .hooks import is_own_class_hook, is_own_hook, register_hooks
from .json_text import encode, parse
from .kinds import is_union

__all__ = ["ContractConverter", "Engine"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
Engine = Literal["json", "msgspec"]
# The position of this argument of cattrs.Converter.
_DETAILED_VALIDATION = 8


def _forgetting(register: F) -> F:
    """Wrap a method of cattrs that registers a hook: readers and writers made from earlier hooks are dropped."""

    @wraps(register)
    def method(self: ContractConverter, *args: Any, **options: Any) -> Any:
        self._forget()
        return register(self, *args, **options)

    return cast(F, method)


class ContractConverter(cattrs.Converter):
    """A `cattrs.Converter` that keeps the wire rules and speaks JSON.

    Hooks can be registered, strategies of cattrs applied, and copies made, as with any `cattrs.Converter`. A hook
    refuses data by a `ValueError` or a `TypeError`; any other error is a bug of the hook and comes out as it is.
    `make_converter` makes one.

    Args:
        args: The positional arguments of `cattrs.Converter`.
        options: Its keyword arguments. Detailed validation is off by default: a `ContractError` lists every problem.
    """

    engine: Engine = "json"

    def __init__(self, *args: Any, **options: Any) -> None:
        if len(args) < _DETAILED_VALIDATION:
            # The hooks stop at the first problem; a `Reading` then finds all of them.
            options.setdefault("detailed_validation", False)
        super().__init__(*args, **options)
        register_hooks(self)
        self._forget()

    def _forget(self) -> None:
        self._writers = LazyDict(self._writer)

    register_structure_hook_func = _forgetting(cattrs.Converter.register_structure_hook_func)
    register_structure_hook_factory = _forgetting(cattrs.Converter.register_structure_hook_factory)
    register_unstructure_hook = _forgetting(cattrs.Converter.register_unstructure_hook)
    register_unstructure_hook_func = _forgetting(cattrs.Converter.register_unstructure_hook_func)
    register_unstructure_hook_factory = _forgetting(cattrs.Converter.register_unstructure_hook_factory)

    def register_structure_hook(self, cl: Any, func: Any = None) -> Any:
        """Register a hook as `cattrs.Converter` does."""
        self._forget()
        if func is not None and is_union(cl):
            # cattrs keeps the hooks of unions apart. Copies lose them, and our own hook for unions would come first.
            return self.register_structure_hook_func(lambda kind: kind == cl, func)
        return super().register_structure_hook(cl, cast(Any, func))

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
            ContractError: The text is not JSON or not what ``type`` demands; it lists the problems, 100 at most.
            TypeError: The data is neither a text nor bytes.
        """
        try:
            plain = parse(data)
        except Refusal as refusal:
            problem = refusal.problem()
        else:
            return self._structure(plain, type, strict)
        raise ContractError(type, [problem])

    def dumps(self, obj: Any) -> bytes:
        """Write JSON: every key, in field order, in UTF-8, with no blanks.

        Args:
            obj: An instance of a contract type, of any other attrs class, or a tuple or list of them. An instance of a
                derived class is written with all fields of that class.

        Returns:
            The JSON text. Equal objects of the contract have equal bytes.

        Raises:
            ContractError: An instance of a class outside the contract holds a value that JSON cannot express (``NaN``,
                a naive time, a lone surrogate) or that a reader would read as another one, or nests more than 100
                levels deep.
            TypeError: It holds a value of a type that JSON does not know.
        """
        return self._writers[obj.__class__](obj)  # type: ignore[no-any-return]

    def _writer(self, cls: type) -> Callable[[Any], bytes]:
        return self._compile_writer(cls) if is_checked(cls) and self._keeps_contract(cls) else self._write_plain

    def _compile_writer(self, cls: type) -> Callable[[Any], bytes]:
        write = compile_writer(cls)
        return lambda obj: write(obj).encode()

    def _keeps_contract(self, type: Any) -> bool:
        """Tell whether a type belongs to the contract, and only hooks of this package read and write it."""
        has_options = self.omit_if_default or self.forbid_extra_keys or self.type_overrides or self.use_alias
        if has_options or not is_contract(type):
            return False
        classes, leaves = leaves_of(type)
        return all(
            is_own_class_hook(self.get_structure_hook(each)) and is_own_class_hook(self.get_unstructure_hook(each))
            for each in classes
        ) and all(
            is_own_hook(self.get_structure_hook(leaf.type), leaf)
            and is_own_hook(self.get_unstructure_hook(leaf.type), leaf)
            for leaf in leaves
        )

    def _write_plain(self, obj: Any) -> bytes:
        try:
            return encode(self.unstructure(obj))
        except ContractError:
            raise
        except ValueError:
            problem = Problem("", "value", "expected finite numbers and texts without lone surrogates")
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
            ContractError: The data is not what ``cl`` demands; it lists the problems, 100 at most.
        """
        if is_deep_data(obj):
            raise ContractError(cl, [Problem("", "syntax", TOO_DEEP)])
        return self._structure(obj, cl, strict)

    def _structure(self, obj: Any, cl: type[T], strict: bool) -> T:
        """Do what `structure` does, for data whose depth was checked."""
        strict = strict or self.forbid_extra_keys
        if not strict:
            try:
                return super().structure(obj, cl)
            except RecursionError:
                pass  # The reading below reports it.
            except Exception as error:
                if not is_refusal(error):
                    raise
        reading = Reading(self.get_structure_hook, strict)
        result = reading.read_whole(obj, cl)
        if reading.problems:
            raise ContractError(cl, reading.problems, reading.is_complete)
        return result  # type: ignore[no-any-return]

    def unstructure(self, obj: Any, unstructure_as: Any = None) -> Any:
        """Make plain JSON data from an instance: dicts, lists, strings, numbers, booleans and None.

        Args:
            obj: An instance, or a tuple or list of instances.
            unstructure_as: The type that it is written as; its own by default.

        Returns:
            The plain data. Its dicts and lists are new.

        Raises:
            ContractError: As in `dumps`.
        """
        try:
            plain = self._plain(obj) if unstructure_as is None else super().unstructure(obj, unstructure_as)
            if is_contract(obj.__class__) or not is_deep_data(plain):
                return plain
            problem = Problem("", "value", TOO_DEEP)
        except Refusal as refusal:
            problem = refusal.problem()
        except RecursionError:
            problem = Problem("", "value", TOO_DEEP)
        raise ContractError(type(obj), [problem])

    def _plain(self, obj: Any) -> Any:
        """Make plain data by the class of an object, and of a list, a tuple or a dict by the classes of its items."""
        write = self.get_unstructure_hook(type(obj))
        if not getattr(write, "is_of_anything", False):
            return write(obj)
        if type(obj) is dict:
            return {self._plain(key): self._plain(each) for key, each in obj.items()}
        return [self._plain(each) for each in obj]
