"""The kinds that a program knows, with an attrs class for the parameters of each.

Programs that do not know a kind store and forward its parameters unchanged. A distribution adds a kind by an entry
point::

    [options.entry_points]
    cicd_common.kinds =
        acme.http-check = acme_http_check:HttpCheck
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import attrs

from .api.request import JobExecutionRequest
from .converter import ContractConverter
from .converter import converter as shared_converter
from .dto import JobDTO, PipelineDTO
from .errors import MAX_PROBLEMS, ContractError, Problem, UnknownKindError, json_pointer
from .fields import Kind, Refusal, broken, checked, refuse, split
from .model import Job, Pipeline
from .values import JsonObject

__all__ = ["GROUP", "HasKind", "Kinds", "PipelineParameters", "ScriptParameters", "Shell"]

GROUP = "cicd_common.kinds"
"""The group of the entry points by which distributions add kinds: the name is the kind, the object is the class."""

T = TypeVar("T")
_, _RULES, _ = split(Kind)


class Shell(StrEnum):
    """The shell that runs the commands of a script."""

    SH = "sh"
    BASH = "bash"


@attrs.frozen(kw_only=True)
@checked
class ScriptParameters:
    """The parameters of the kind ``script``: a job that runs shell commands.

    Attributes:
        shell: The shell that runs the commands; ``sh`` by default.
        submodules: Whether the submodules of the repository are checked out, too; false by default.

    Raises:
        ContractError: A field is refused.
    """

    shell: Shell = Shell.SH
    submodules: bool = False


@attrs.frozen(kw_only=True)
@checked
class PipelineParameters:
    """The parameters of the kind ``pipeline``, which has none."""


_OWN: Mapping[str, type] = {"script": ScriptParameters, "pipeline": PipelineParameters}


def _with_own(classes: Mapping[str, type]) -> Mapping[str, type]:
    return {**_OWN, **classes}


HasKind = Job | JobDTO | JobExecutionRequest | Pipeline | PipelineDTO
"""The types that have a kind and parameters."""


@attrs.frozen
class Kinds(Mapping[str, type]):
    """The kinds that a program knows: a mapping from their names to the classes of their parameters.

    The kinds ``script`` and ``pipeline`` are always in it.

    Example:
        ``Kinds({"acme.http-check": HttpCheck})``, or ``Kinds.installed()`` for all installed kinds.

    Args:
        classes: The attrs class for the parameters of each further kind.
        converter: The converter of the parameters; that of `cicd_common.converter` by default.

    Raises:
        ContractError: A name is not valid for a kind, a class is not an attrs class, or a kind of this package has
            another class.
    """

    classes: Mapping[str, type] = attrs.field(factory=dict, converter=_with_own)
    converter: ContractConverter = attrs.field(default=shared_converter, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if problems := [refusal.problem(name) for name, cls in self.classes.items() for refusal in _wrong(name, cls)]:
            raise ContractError(type(self), problems)

    @classmethod
    def installed(cls, converter: ContractConverter = shared_converter) -> Kinds:
        """Find the kinds that installed distributions add by entry points of the group ``cicd_common.kinds``.

        Args:
            converter: As for the constructor.

        Raises:
            ContractError: Two distributions add the same kind, or an entry point does not name an attrs class.
            ImportError: A module that an entry point names cannot be imported.
        """
        # Imported here: only programs that look for installed kinds need it, and it is slow to import.
        from importlib.metadata import entry_points

        found: dict[str, type] = {}
        for entry in sorted(entry_points(group=GROUP), key=lambda each: (each.name, each.value)):
            if entry.name in found:
                raise refuse(cls, json_pointer(entry.name), f"expected one entry point of this name in {GROUP}")
            try:
                found[entry.name] = entry.load()
            except AttributeError as error:
                message = f"expected an attrs class at {entry.value}, which the entry point names"
                raise refuse(cls, json_pointer(entry.name), message) from error
        return cls(found, converter)

    def __getitem__(self, kind: str) -> type:
        return self.classes[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    def __hash__(self) -> int:
        return hash(frozenset(self.classes.items()))

    def job_of(self, kind: str, parameters: object, **fields: Any) -> Job:
        """Make a job from the typed object of its parameters.

        Args:
            kind: The kind of the job, which must be known.
            parameters: An instance of the class of the kind.
            fields: The other fields of the `cicd_common.model.Job`.

        Raises:
            UnknownKindError: The kind is not known.
            ContractError: The parameters are not an instance of the class of the kind, or could not be read back from
                a `JsonObject`; or a field is refused.
        """
        return Job(kind=kind, parameters=self._plain(Job, kind, parameters), **fields)

    def pipeline_of(self, kind: str, parameters: object, **fields: Any) -> Pipeline:
        """Make a pipeline from the typed object of its parameters.

        Args:
            kind: The kind of the pipeline, which must be known.
            parameters: An instance of the class of the kind.
            fields: The other fields of the `cicd_common.model.Pipeline`.

        Raises:
            UnknownKindError: The kind is not known.
            ContractError: As for `job_of`.
        """
        return Pipeline(kind=kind, parameters=self._plain(Pipeline, kind, parameters), **fields)

    def parameters_of(self, holder: HasKind, *, strict: bool = False) -> Any:
        """Read parameters into an instance of the class of their kind.

        Args:
            holder: A job, a pipeline, a record of one of them, or a request to run a job.
            strict: Whether parameters that the class does not know are problems; by default they are ignored.

        Returns:
            An instance of the class of the kind.

        Raises:
            UnknownKindError: The kind is not known.
            ContractError: The class refuses the parameters. Pointers start at the holder: ``/parameters/url``.
        """
        cls = self._class_of(type(holder), holder.kind)
        try:
            return self.converter.structure(holder.parameters.to_plain(), cls, strict=strict)
        except ContractError as error:
            raise ContractError(type(holder), _below(error, "/parameters"), error.is_complete) from None

    def check(self, document: T, *, strict: bool = False) -> T:
        """Check the parameters of all known kinds in a document, at any depth. Unknown kinds are skipped.

        Args:
            document: A pipeline, a `cicd_common.api.request.PipelineExecutionRequest`, or any other attrs object.
            strict: As for `parameters_of`.

        Returns:
            The same document.

        Raises:
            ContractError: A class refuses the parameters of its kind. The error lists at most 100 problems, with
                pointers from the root of the document: ``/stages/0/jobs/1/parameters/url``.
        """
        problems: list[Problem] = []
        is_complete = True
        for path, holder in _holders(document, ()):
            if holder.kind not in self:
                continue
            try:
                self.parameters_of(holder, strict=strict)
            except ContractError as error:
                problems += _below(error, json_pointer(*path))
                is_complete = is_complete and error.is_complete
            if len(problems) > MAX_PROBLEMS:
                break  # A large document takes no longer to refuse than to check.
        if problems:
            raise ContractError(type(document), problems, is_complete)
        return document

    def _class_of(self, holder: Any, kind: str) -> type:
        if kind not in self:
            known = ", ".join(sorted(self))
            raise UnknownKindError(holder, [Problem("/kind", "value", f"expected a kind that is known here: {known}")])
        return self[kind]

    def _plain(self, holder: type, kind: str, parameters: object) -> JsonObject:
        cls = self._class_of(holder, kind)
        if type(parameters) is not cls:
            raise refuse(holder, "/parameters", f"expected an instance of {cls.__name__}", "type")
        try:
            made = JsonObject(self.converter.unstructure(parameters))
            # A large integer is a float in a JsonObject, and would not be read back.
            self.converter.structure(made.to_plain(), cls)
        except ContractError as error:
            raise ContractError(holder, _below(error, "/parameters"), error.is_complete) from None
        return made


def _wrong(name: str, cls: Any) -> Iterator[Refusal]:
    """Yield the problems with the name and the class of a kind."""
    yield from broken(name, _RULES)
    if not (isinstance(cls, type) and attrs.has(cls)):
        yield Refusal("type", "expected an attrs class")
    elif cls is not _OWN.get(name, cls):
        yield Refusal("value", f"expected no other class than {_OWN[name].__name__} for a kind of this package")


def _holders(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], HasKind]]:
    """Yield each object with a kind inside a value, with its place."""
    if isinstance(value, tuple | list):
        for at, each in enumerate(value):
            yield from _holders(each, (*path, at))
    elif attrs.has(type(value)):
        if isinstance(value, HasKind):
            yield path, value
        for field in attrs.fields(type(value)):
            yield from _holders(getattr(value, field.name), (*path, field.name))


def _below(error: ContractError, pointer: str) -> list[Problem]:
    """Return the problems of a part, with pointers from the root."""
    return [Problem(pointer + each.pointer, each.code, each.message) for each in error.problems]
