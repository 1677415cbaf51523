"""The types of the contract, found by a search of the package, and the engines that are installed."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import attrs

import cicd_common
from cicd_common import ContractError, Problem, make_converter
from cicd_common._wire.diagnosis import Reading
from cicd_common._wire.json_text import parse
from cicd_common.converter import ContractConverter
from cicd_common.fields import Refusal, is_checked


def modules(*names: str) -> Iterator[ModuleType]:
    """The modules and packages with these names, and all modules inside the packages."""
    for name in names:
        module = import_module(f"{cicd_common.__name__}.{name}")
        yield module
        for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{module.__name__}."):
            if not found.name.endswith(".msgspec_engine") or find_spec("msgspec"):
                yield import_module(found.name)


def exported(*names: str) -> list[type]:
    """The attrs classes that these modules export, each once."""
    things = [getattr(module, name) for module in modules(*names) for name in getattr(module, "__all__", ())]
    return list(dict.fromkeys(thing for thing in things if isinstance(thing, type) and attrs.has(thing)))


TYPES = [cls for cls in exported("api", "dto", "model") if is_checked(cls)]


def _engines() -> Iterator[ContractConverter]:
    yield make_converter("json")
    try:
        yield make_converter("msgspec")
    except ImportError:
        return


ENGINES = list(_engines())


def name_of(thing: Any) -> str:
    """The name of a class or of an engine, for the ids of parametrised tests."""
    return str(getattr(thing, "engine", None) or thing.__name__)


def read_patiently(data: Any, cls: type, *, strict: bool = False) -> Any:
    """Read with `Reading`, which defines the valid documents, and without any faster path."""
    reading = Reading(ENGINES[0].get_structure_hook, strict)
    try:
        plain = parse(data)
    except Refusal as refusal:
        raise ContractError(cls, [refusal.problem()]) from None
    result = reading.read(plain, cls)
    if reading.problems:
        raise ContractError(cls, reading.problems)
    return result


def outcome(read: Any, *args: Any, **kwargs: Any) -> tuple[Any, str | tuple[Problem, ...]]:
    """An instance and its repr, or None and the problems. Errors other than ContractError are raised."""
    try:
        result = read(*args, **kwargs)
    except ContractError as error:
        return None, error.problems
    # The repr distinguishes 1 from True, and equal times in different time zones.
    return result, repr(result)
