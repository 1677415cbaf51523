"""The hooks of attrs classes and dataclasses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, get_origin, get_type_hints

import attrs
import cattrs

from ..errors import ContractError
from ..fields.checks import is_checked
from ..fields.hints import describe
from ..fields.refusal import Refusal
from .codegen import compile_reader
from .diagnosis import REFUSED, Path, Reading, is_refusal, with_patience

__all__ = ["fields_of", "read_class", "write_class"]


def read_class(cls: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    """Make the hook that reads an object as an instance of a class."""
    name = (get_origin(cls) or cls).__name__
    # Made on first use, when the hook of the class itself is registered: the class may contain itself.
    read_dict = cache(lambda: converter.gen_structure_attrs_fromdict(cls))

    def read(value: Any, _: Any) -> Any:
        # cattrs would read a list or a string as a class that has no required field.
        if type(value) is not dict:
            raise Refusal("type", f"expected a {name} as an object")
        return read_dict()(value, cls)

    fast = compile_reader(cls, converter) if is_checked(cls) else read
    fast.is_own = True  # type: ignore[attr-defined]
    return with_patience(fast, _ClassReader(cls).read)


def write_class(cls: Any, converter: cattrs.Converter) -> Callable[[Any], Any]:
    """Make the hook that writes an instance of a class as an object."""
    base = get_origin(cls) or cls
    write_dict = cache(lambda: converter.gen_unstructure_attrs_fromdict(cls))

    def write(value: Any) -> Any:
        if type(value) is not base:
            raise Refusal("type", f"expected a {base.__name__} itself, which is what a reader makes of it")
        try:
            return write_dict()(value)
        except Refusal as refusal:
            raise located(value, refusal) from None

    def located(value: Any, refusal: Refusal) -> Refusal:
        """Return the refusal with the name of the field that caused it, if a single field did."""
        for name, field in fields_of(base).items():
            try:
                converter.get_unstructure_hook(field.hint)(getattr(value, name))
            except Refusal as again:
                return Refusal(again.code, again.message, (name, *again.path))
        return refusal

    write.is_own = True  # type: ignore[attr-defined]
    return write


class _Field:
    """A field, as a reader sees it.

    Args:
        name: The key.
        argument: The name of the argument of the constructor.
        hint: The annotation.
        is_required: Whether the key may not be missing.
        validator: Takes a value and raises an error if the value is refused; None if there is none.
    """

    def __init__(
        self, name: str, argument: str, hint: Any, is_required: bool, validator: Callable[[Any], Any] | None
    ) -> None:
        self.name = name
        self.argument = argument
        self.hint = hint
        self.is_required = is_required
        self.validator = validator


class _ClassReader:
    """The patient hook of a class.

    Args:
        cls: The class.
    """

    def __init__(self, cls: Any) -> None:
        self.cls = cls
        self.base = get_origin(cls) or cls
        self.fields = cache(lambda: fields_of(self.base))

    def read(self, reading: Reading, value: Any, path: Path) -> Any:
        if type(value) is not dict:
            return reading.refuse(Refusal("type", f"expected a {self.base.__name__} as an object"), path)
        found = len(reading.problems)
        values = {}
        for name, field in self.fields().items():
            if name in value:
                values[name] = reading.read(value[name], field.hint, (*path, name))
            elif field.is_required:
                reading.refuse(Refusal("missing", f"missing: expected {describe(field.hint)}"), (*path, name))
        if reading.strict:
            for key in value:
                if key not in self.fields():
                    reading.refuse(Refusal("unknown", "expected no key of this name"), (*path, key))
        if len(reading.problems) > found:
            self._validate(reading, values, path)
            return REFUSED
        return self._construct(reading, {self.fields()[name].argument: each for name, each in values.items()}, path)

    def _validate(self, reading: Reading, values: Mapping[str, Any], path: Path) -> None:
        """Run the validators of fields without an instance, so that their problems are reported as well."""
        for name, value in values.items():
            validator = self.fields()[name].validator
            if validator is None or value is REFUSED:
                continue
            try:
                validator(value)
            except (ValueError, TypeError):
                reading.refuse(Refusal("value", "expected a value that its validator accepts"), (*path, name))
            except Exception:  # The validator needs the instance.
                continue

    def _construct(self, reading: Reading, values: dict[str, Any], path: Path) -> Any:
        try:
            return self.base(**values)
        except ContractError as error:
            return reading.add(error, path)
        except Exception as error:
            if not is_refusal(error):
                raise
        return reading.refuse(Refusal("value", f"expected a {self.base.__name__} that its validators accept"), path)


def fields_of(cls: Any) -> dict[str, _Field]:
    """Return the fields of an attrs class or a dataclass that its constructor takes, by their keys."""
    hints = get_type_hints(cls, include_extras=True)
    if attrs.has(cls):
        return {
            each.name: _Field(
                each.name,
                each.alias or each.name,
                hints.get(each.name, Any),
                each.default is attrs.NOTHING,
                _validator_of(each),
            )
            for each in attrs.fields(cls)
            if each.init
        }
    return {
        each.name: _Field(
            each.name,
            each.name,
            hints[each.name],
            each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING,
            None,
        )
        for each in dataclasses.fields(cls)
        if each.init
    }


def _validator_of(field: Any) -> Callable[[Any], Any] | None:
    return None if field.validator is None else lambda value: field.validator(None, field, value)
