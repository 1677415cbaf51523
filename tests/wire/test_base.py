"""Copies, options and strategies of cattrs, on both engines."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import attrs
import pytest
from cattrs import override
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn
from cattrs.strategies import configure_tagged_union, include_subclasses, use_class_methods

from cicd_common import ContractError, make_converter
from cicd_common.api.request import ArtifactUploadRequest, JobStatusUpdate
from cicd_common.converter import ContractConverter
from cicd_common.errors import MAX_PROBLEMS
from cicd_common.fields import checked
from cicd_common.model import Job
from tests.support.contract import ENGINES
from tests.support.golden_files import full

pytestmark = pytest.mark.parametrize("engine", [engine.engine for engine in ENGINES])


@attrs.frozen
class Step:
    name: str


@attrs.frozen
class Shell(Step):
    lines: list[str]


@attrs.frozen
class Fetch(Step):
    url: str
    revision: UUID | None = None


@attrs.frozen
class Recipe:
    step: Shell | Fetch


@attrs.frozen
class Plan:
    steps: list[Step]


@attrs.frozen
class Celsius:
    degrees: float

    @classmethod
    def from_plain(cls, plain: Any) -> Celsius:
        return cls(float(plain.removesuffix("C")))

    def to_plain(self) -> str:
        return f"{self.degrees}C"


@attrs.frozen
class Room:
    temperature: Celsius
    others: list[Celsius] = attrs.field(factory=list)


@attrs.frozen
@checked
class Door:
    _width: int = 1
    label: str = ""


SHELL, FETCH = Shell("build", ["make"]), Fetch("get", "https://example.com", UUID(int=1))


def twice(converter: ContractConverter) -> list[ContractConverter]:
    return [converter, converter.copy(), converter.copy().copy()]


class TestCopy:
    def test_has_the_hooks_that_were_registered_before(self, engine: Any) -> None:
        """A copy has the engine and the hooks of its original."""
        own = make_converter(engine)
        own.register_unstructure_hook(complex, lambda value: [value.real, value.imag])
        own.register_structure_hook(complex, lambda value, _: complex(*value))
        for converter in twice(own):
            assert converter.engine == engine
            assert converter.loads(converter.dumps([1j]), list[complex]) == [1j]
            assert converter.loads(converter.dumps(full(JobStatusUpdate)), JobStatusUpdate) == full(JobStatusUpdate)

    def test_is_independent(self, engine: Any) -> None:
        """Hooks of a copy have no effect on its original."""
        own = make_converter(engine)
        own.copy().register_unstructure_hook(UUID, lambda value: value.hex)
        assert own.unstructure(UUID(int=1)) == "00000000-0000-0000-0000-000000000001"

    def test_takes_the_options_of_cattrs(self, engine: Any) -> None:
        """The options of `copy` in cattrs also apply to types of the contract and to checked classes."""
        update = full(JobStatusUpdate)
        short = make_converter(engine).copy(omit_if_default=True)
        assert b'"is_released":false' not in short.dumps(attrs.evolve(update, is_released=False))
        strict = make_converter(engine).copy(forbid_extra_keys=True)
        with pytest.raises(ContractError, match="/surprise: expected no key of this name"):
            strict.structure(strict.unstructure(update) | {"surprise": 1}, JobStatusUpdate)
        aliased = make_converter(engine).copy(use_alias=True)
        assert aliased.loads(aliased.dumps(Door(3, "a")), Door, strict=True) == Door(3, "a")
        for is_strict in (False, True):
            with pytest.raises(ContractError, match="/width: expected an integer"):
                aliased.loads(b'{"width":"3","label":"a"}', Door, strict=is_strict)
        renamed = make_converter(engine).copy(type_overrides={int: override(rename="number")})
        assert renamed.loads(renamed.dumps(Door(3, "a")), Door) == Door(3, "a")
        with pytest.raises(ContractError, match="Door: expected an integer"):
            renamed.loads(b'{"number":"3"}', Door)
        detailed = make_converter(engine).copy(detailed_validation=True)
        with pytest.raises(ContractError, match="/lines/0: expected a string"):
            detailed.structure({"name": "a", "lines": [1]}, Shell)


class TestStrategies:
    def test_tagged_unions(self, engine: Any) -> None:
        """A tag selects the class, also in a field. An unknown or missing tag is a problem."""
        own = make_converter(engine)
        configure_tagged_union(Shell | Fetch, own)
        for converter in twice(own):
            for step in (SHELL, FETCH):
                text = converter.dumps(Recipe(step))
                assert f'"_type":"{type(step).__name__}"'.encode() in text
                assert converter.loads(text, Recipe) == Recipe(step)
            for plain in ({"_type": "Other"}, {"name": "build"}):
                with pytest.raises(ContractError, match="/step: expected a Fetch or a Shell"):
                    converter.structure({"step": plain}, Recipe)

    def test_unions_of_classes(self, engine: Any) -> None:
        """Without a tag, cattrs selects the class by its unique fields."""
        own = make_converter(engine)
        for step in (SHELL, FETCH):
            assert own.loads(own.dumps(Recipe(step)), Recipe) == Recipe(step)

    def test_subclasses(self, engine: Any) -> None:
        """A field can contain instances of derived classes."""
        own = make_converter(engine)
        include_subclasses(Step, own)
        plan = Plan([SHELL, FETCH, Step("plain")])
        for converter in twice(own):
            assert converter.loads(converter.dumps(plan), Plan) == plan

    def test_tagged_subclasses(self, engine: Any) -> None:
        """`include_subclasses` works with `configure_tagged_union`."""
        own = make_converter(engine)
        include_subclasses(Step, own, union_strategy=configure_tagged_union)
        plan = Plan([SHELL, FETCH, Step("plain")])
        for converter in twice(own):
            assert converter.loads(converter.dumps(plan), Plan) == plan
            with pytest.raises(ContractError):
                converter.structure({"steps": [{"_type": "Other"}]}, Plan)

    def test_class_methods(self, engine: Any) -> None:
        """`use_class_methods` reads and writes a class with its own methods."""
        own = make_converter(engine)
        use_class_methods(own, "from_plain", "to_plain")
        room = Room(Celsius(20.5), [Celsius(1)])
        for converter in twice(own):
            assert converter.dumps(room) == b'{"temperature":"20.5C","others":["1C"]}'
            assert converter.loads(converter.dumps(room), Room) == room
            with pytest.raises(ContractError, match="/temperature: expected a Celsius"):
                converter.structure({"temperature": "warm"}, Room)

    def test_generated_functions(self, engine: Any) -> None:
        """Generated functions with a renamed field work, and a missing key is a problem."""
        own = make_converter(engine)
        own.register_structure_hook(Step, make_dict_structure_fn(Step, own, name=override(rename="Name")))
        own.register_unstructure_hook(Step, make_dict_unstructure_fn(Step, own, name=override(rename="Name")))
        assert own.loads(own.dumps(Step("a")), Step) == Step("a")
        with pytest.raises(ContractError, match="expected a Step"):
            own.loads(b"{}", Step)


class TestBounds:
    def test_the_reader_stops_after_100_problems(self, engine: Any) -> None:
        """Reading stops after 100 problems, and the error says that there may be more."""
        converter = make_converter(engine)
        for count in (33, 34, 50_000):
            text = b'{"job_execution_id":"%s","artifacts":[%s]}' % (b"0" * 32, b",".join([b"{}"] * count))
            with pytest.raises(ContractError) as caught:
                converter.loads(text, ArtifactUploadRequest)
            assert len(caught.value.problems) == min(3 * count, MAX_PROBLEMS)
            assert caught.value.is_complete is (3 * count < MAX_PROBLEMS)

    def test_a_rule_stops_after_100_problems(self, engine: Any) -> None:
        """A constructor also stops after 100 problems."""
        plain = make_converter(engine).unstructure(full(Job)) | {"dependencies": [""] * 1_000}
        for make in (
            lambda: attrs.evolve(full(Job), dependencies=("",) * 1_000),
            lambda: make_converter(engine).structure(plain, Job),
        ):
            with pytest.raises(ContractError) as caught:
                make()
            assert [each.pointer for each in caught.value.problems] == [f"/dependencies/{at}" for at in range(100)]
            assert not caught.value.is_complete
