"""Reading plain JSON data with patience: every problem is found, and each has its place.

This is what reading means. The converter has faster ways, which stop at the first problem and do not say where it is;
when they refuse something, this tells why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args, get_origin, get_type_hints

import attrs

from ._rules import Refusal, broken, describe, escape, split
from .errors import ContractError, Problem

__all__ = ["Reading"]

_Path = tuple[str | int, ...]
_REFUSED: Any = object()


@attrs.frozen
class Reading:
    """One reading of one document.

    Args:
        leaf: Gives the function that reads values of a type that has no parts.
        strict: Whether keys that a type does not know are problems.

    Attributes:
        problems: What was found wrong so far, in the order of the fields of each type.
    """

    leaf: Callable[[Any], Callable[[Any, Any], Any]]
    strict: bool
    problems: list[Problem] = attrs.field(factory=list, init=False)

    def read(self, value: Any, hint: Any, path: _Path = ()) -> Any:
        """Read plain data as an annotation says. Whoever gets problems does not use what is returned.

        Raises:
            RecursionError: The data nests deeper than the interpreter can follow.
        """
        base, rules, optional = split(hint)
        if optional and value is None:
            return None
        result = self._reader(base)(value, base, path)
        if result is not _REFUSED and rules:
            self.problems.extend(refusal.problem(*path) for refusal in broken(result, rules))
        return result

    def _reader(self, base: Any) -> Callable[[Any, Any, _Path], Any]:
        if attrs.has(get_origin(base) or base):
            return self._read_class
        if get_origin(base) is list or (get_origin(base) is tuple and get_args(base)[-1:] == (...,)):
            return self._read_items
        return self._read_mapping if get_origin(base) is dict else self._read_leaf

    def _refuse(self, refusal: Refusal, path: _Path) -> Any:
        self.problems.append(refusal.problem(*path))
        return _REFUSED

    def _read_leaf(self, value: Any, base: Any, path: _Path) -> Any:
        read = self.leaf(base)
        try:
            return read(value, base)
        except Refusal as refusal:
            return self._refuse(refusal, path)
        except RecursionError:
            raise
        except Exception:
            # A hook that someone else registered. Its text is not repeated: it may hold the value.
            return self._refuse(Refusal("value", f"expected {describe(base)}"), path)

    def _read_items(self, value: Any, base: Any, path: _Path) -> Any:
        if type(value) is not list:
            return self._refuse(Refusal("type", "expected a list"), path)
        item = get_args(base)[0]
        return get_origin(base)([self.read(each, item, (*path, at)) for at, each in enumerate(value)])

    def _read_mapping(self, value: Any, base: Any, path: _Path) -> Any:
        if type(value) is not dict:
            return self._refuse(Refusal("type", "expected an object"), path)
        key_hint, hint = get_args(base)
        return {
            self.read(key, key_hint, (*path, key)): self.read(each, hint, (*path, key)) for key, each in value.items()
        }

    def _read_class(self, value: Any, base: Any, path: _Path) -> Any:
        if type(value) is not dict:
            return self._refuse(Refusal("type", f"expected a {base.__name__} as an object"), path)
        found = len(self.problems)
        fields = [field for field in attrs.fields(base) if field.init]
        hints = get_type_hints(base, include_extras=True)
        values = {}
        for field in fields:
            if field.name in value:
                values[field.name] = self.read(value[field.name], hints.get(field.name, Any), (*path, field.name))
            elif field.default is attrs.NOTHING:
                self._refuse(Refusal("missing", f"expected {describe(hints[field.name])}"), (*path, field.name))
        if self.strict:
            self._refuse_unknown(value, {field.name for field in fields}, path)
        if len(self.problems) > found:
            self._validate(fields, values, path)
            return _REFUSED
        given = {field.alias: values[field.name] for field in fields if field.name in values}
        return self._construct(base, given, path)

    def _refuse_unknown(self, value: dict[str, Any], known: set[str], path: _Path) -> None:
        for key in value:
            if key not in known:
                self._refuse(Refusal("unknown", "expected no key of this name"), (*path, key))

    def _validate(self, fields: list[attrs.Attribute[Any]], values: dict[str, Any], path: _Path) -> None:
        """Ask the validators of a class that can't be constructed, so that their problems are told as well."""
        for field in fields:
            value = values.get(field.name, _REFUSED)
            if field.validator is not None and value is not _REFUSED:
                try:
                    field.validator(None, field, value)
                except (ValueError, TypeError):
                    self._refuse(Refusal("value", "expected a value that its validator accepts"), (*path, field.name))
                except Exception:
                    continue

    def _construct(self, base: Any, values: dict[str, Any], path: _Path) -> Any:
        try:
            return base(**values)
        except ContractError as error:
            above = "".join(f"/{escape(step)}" for step in path)
            self.problems.extend(attrs.evolve(each, pointer=above + each.pointer) for each in error.problems)
        except RecursionError:
            raise
        except Exception:
            self._refuse(Refusal("value", f"expected a {base.__name__} that its validators accept"), path)
        return _REFUSED
