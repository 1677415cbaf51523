"""The hooks of attrs classes and dataclasses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

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
    read_dict = cache(lambda: converter.gen_structure_attrs_fromdict(_resolved(cls)))

    def read(value: Any, _: Any) -> Any:
        # cattrs would read a list or a string as a class that has no required field.
        if type(value) is not dict:
            raise Refusal("type", f"expected a {name} as an object")
        return read_dict()(value, cls)

    has_other_keys = converter.type_overrides or converter.use_alias
    fast = compile_reader(cls, converter) if is_checked(cls) and not has_other_keys else read
    fast.is_own = True  # type: ignore[attr-defined]
    # Overrides may give fields other keys and hooks, which only the functions of cattrs know.
    return fast if converter.type_overrides else with_patience(fast, _ClassReader(cls, converter.use_alias).read)


def _resolved(cls: Any) -> Any:
    """Return a class after the names of classes in its annotations became these classes, which cattrs expects."""
    base = get_origin(cls) or cls
    if attrs.has(base):
        attrs.resolve_types(base)
    return cls


def write_class(cls: Any, converter: cattrs.Converter) -> Callable[[Any], Any]:
    """Make the hook that writes an instance of a class as an object."""
    base = get_origin(cls) or cls
    write_dict = cache(lambda: converter.gen_unstructure_attrs_fromdict(_resolved(cls)))

    def write(value: Any) -> Any:
        if type(value) is not base:
            raise Refusal("type", f"expected a {base.__name__} itself, which is what a reader makes of it")
        try:
            return write_dict()(value)
        except Refusal as refusal:
            raise located(value, refusal) from None

    def located(value: Any, refusal: Refusal) -> Refusal:
        """Return the refusal with the name of the field that caused it, if a single field did."""
        for key, field in fields_of(cls, converter.use_alias).items():
            try:
                converter.get_unstructure_hook(field.hint)(getattr(value, field.name))
            except Refusal as again:
                return Refusal(again.code, again.message, (key, *again.path))
        return refusal

    write.is_own = True  # type: ignore[attr-defined]
    return write


class _Field:
    """A field, as a reader sees it.

    Args:
        name: The name of the attribute.
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
        use_alias: As for `fields_of`.
    """

    def __init__(self, cls: Any, use_alias: bool) -> None:
        self.base = get_origin(cls) or cls
        self.fields = cache(lambda: fields_of(cls, use_alias))

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


def fields_of(cls: Any, use_alias: bool = False) -> dict[str, _Field]:
    """Return the fields of an attrs class or a dataclass that its constructor takes, by their keys.

    Args:
        cls: The class, or a generic one with its arguments.
        use_alias: Whether the keys are the aliases of the fields instead of their names, as an option of cattrs.
    """
    base, arguments = get_origin(cls) or cls, _type_arguments(cls)
    hints = {name: _filled_in(hint, arguments) for name, hint in get_type_hints(base, include_extras=True).items()}
    if attrs.has(base):
        fields = [
            _Field(
                each.name,
                each.alias or each.name,
                hints.get(each.name, Any),
                each.default is attrs.NOTHING,
                _validator_of(each),
            )
            for each in attrs.fields(base)
            if each.init
        ]
        return {field.argument if use_alias else field.name: field for field in fields}
    return {
        each.name: _Field(
            each.name,
            each.name,
            hints[each.name],
            each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING,
            None,
        )
        for each in dataclasses.fields(base)
        if each.init
    }


def _type_arguments(cls: Any) -> dict[Any, Any]:
    """Return the arguments of a generic class and of its generic bases, by their type variables."""
    base = get_origin(cls) or cls
    found = dict(zip(getattr(base, "__parameters__", ()), get_args(cls), strict=False))
    for parent in getattr(base, "__orig_bases__", ()):
        found.update((variable, _filled_in(hint, found)) for variable, hint in _type_arguments(parent).items())
    return found


def _filled_in(hint: Any, arguments: Mapping[Any, Any]) -> Any:
    """Return an annotation with arguments in place of its type variables."""
    variables = () if get_origin(hint) is None else getattr(hint, "__parameters__", ())
    return hint[tuple(arguments.get(each, each) for each in variables)] if variables else arguments.get(hint, hint)


def _validator_of(field: Any) -> Callable[[Any], Any] | None:
    return None if field.validator is None else lambda value: field.validator(None, field, value)
