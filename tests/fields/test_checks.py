"""Constructors of checked classes: their signatures, and the values that they accept and refuse."""

from __future__ import annotations

import copy
import inspect
import json
import pydoc
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Flag, auto
from typing import Any, ClassVar, Literal, NewType, get_type_hints
from uuid import UUID

import attrs
import pytest

from cicd_common import ContractError
from cicd_common.api.request import JobStatusUpdate
from cicd_common.converter import ContractConverter
from cicd_common.dto import StageDTO
from cicd_common.enums import ExecutionStatus
from cicd_common.fields import Name, Ordinal, checked, refuse
from tests.support.contract import ENGINES, TYPES, name_of
from tests.support.golden_files import full


@pytest.mark.parametrize("cls", TYPES, ids=name_of)
class TestSignature:
    def test_shows_the_types_of_the_fields(self, cls: Any) -> None:
        """``inspect.signature`` shows the types of the fields."""
        hints = get_type_hints(cls)
        parameters = inspect.signature(cls).parameters
        assert {name: each.annotation for name, each in parameters.items()} == {
            field.name: hints[field.name] for field in attrs.fields(cls) if field.init
        }

    def test_has_hints_that_resolve(self, cls: Any) -> None:
        """``typing.get_type_hints`` of the constructor returns the types of the fields."""
        hints = get_type_hints(cls)
        fields = {field.name: hints[field.name] for field in attrs.fields(cls) if field.init}
        assert get_type_hints(cls.__init__) == fields | {"return": type(None)}


def test_help_shows_the_types() -> None:
    """``help()`` shows the types of the fields, and no type Any."""
    shown = pydoc.render_doc(JobStatusUpdate, renderer=pydoc.plaintext)
    assert "job_execution_id: uuid.UUID" in shown
    assert "status: cicd_common.enums.ExecutionStatus" in shown
    assert "Any" not in shown


REPLACERS = [attrs.evolve] + ([copy.replace] if sys.version_info >= (3, 13) else [])


@pytest.mark.parametrize("replace", REPLACERS, ids=lambda each: each.__name__)
class TestReplacing:
    def test_changes_a_field(self, replace: Any) -> None:
        """A replaced field has its new value, and other fields do not change."""
        update = full(JobStatusUpdate)
        changed = replace(update, sequence=7)
        assert changed.sequence == 7
        assert replace(changed, sequence=update.sequence) == update

    def test_checks_the_new_value(self, replace: Any) -> None:
        """A value of a wrong type and a name that is no field are refused."""
        with pytest.raises(ContractError, match="/sequence: expected an integer"):
            replace(full(JobStatusUpdate), sequence="7")
        with pytest.raises(TypeError):
            replace(full(JobStatusUpdate), colour="red")


class Access(Flag):
    READ = auto()
    WRITE = auto()


@attrs.frozen(kw_only=True)
@checked
class Probe:
    """A checked class outside the contract, with all kinds of leaves."""

    name: Name
    port: Ordinal = 80
    day: date | None = None
    clock: time | None = None
    period: timedelta | None = None
    seal: bytes = b""
    price: Decimal = Decimal(0)
    share: float = 0.0
    access: Access = Access.READ
    ids: tuple[UUID, ...] = ()
    since: datetime | None = None
    status: ExecutionStatus = ExecutionStatus.PENDING


PROBE = Probe(
    name="probe",
    day=date(2026, 1, 31),
    clock=time(12, 30),
    period=timedelta(minutes=5),
    seal=b"seal",
    price=Decimal("1.50"),
    share=0.25,
    access=Access.READ | Access.WRITE,
    ids=(UUID(int=1),),
    since=datetime(2026, 1, 31, tzinfo=UTC),
)


@attrs.frozen(kw_only=True)
@checked
class Day:
    """A checked class whose leaves msgspec would read differently."""

    begin: date
    prices: tuple[Decimal, ...] = ()
    clock: time | None = None


class OwnDate(date):
    """A derived class, as tests use to freeze the date."""


class OwnDecimal(Decimal):
    """A derived class, as database drivers have."""


@pytest.mark.parametrize("engine", ENGINES, ids=name_of)
def test_a_time_with_an_offset_is_held_in_utc(engine: ContractConverter) -> None:
    """A time with an offset is read as UTC in a class without rules about several fields."""
    stage = full(StageDTO)
    text = engine.dumps(stage).replace(b"Z", b"+00:00")
    read = engine.loads(text, StageDTO)
    assert read == stage
    assert read.created_at.tzinfo is UTC
    read = engine.loads(text.replace(b"+00:00", b"+01:00"), StageDTO)
    assert (read.created_at, read.created_at.tzinfo) == (stage.created_at - timedelta(hours=1), UTC)


class TestClassesOfOthers:
    @pytest.mark.parametrize("engine", ENGINES, ids=name_of)
    def test_come_back(self, engine: ContractConverter) -> None:
        """A checked class with every kind of leaf is equal after a round trip, with equal bytes on both engines."""
        day = Day(begin=date(2026, 1, 31), prices=(Decimal("1.50"), Decimal(2)), clock=time(12))
        for probe in (PROBE, Probe(name="least"), day, Day(begin=date(2026, 2, 1))):
            assert engine.loads(engine.dumps(probe), type(probe)) == probe
            assert engine.structure(engine.unstructure(probe), type(probe)) == probe
            assert len({each.dumps(probe) for each in ENGINES}) == 1

    def test_keep_plain_values(self) -> None:
        """An instance of a derived class is stored as the plain value."""
        probe = attrs.evolve(PROBE, day=OwnDate(2026, 1, 31), price=OwnDecimal("1.50"))
        assert probe == PROBE
        assert (type(probe.day), type(probe.price)) == (date, Decimal)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"day": datetime(2026, 1, 31, tzinfo=UTC)}, "/day: expected a date"),
            ({"clock": time(12, tzinfo=UTC)}, "/clock: expected a time of day without an offset"),
            ({"period": 5}, "/period: expected a duration"),
            ({"seal": "text"}, "/seal: expected bytes"),
            ({"price": Decimal("NaN")}, "/price: expected a finite decimal number"),
            ({"share": float("inf")}, "/share: expected a number in the range of a double"),
            ({"share": 1}, "/share: expected a number"),
            ({"access": 1}, "/access: expected a sum of some of 1, 2"),
            ({"port": 0}, "/port: expected an integer of 1 or more"),
            ({"ids": (UUID(int=1), "x")}, "/ids/1: expected a UUID"),
        ],
    )
    def test_refuse_what_does_not_fit(self, changes: dict[str, Any], message: str) -> None:
        """A wrong value is refused with a message that has its pointer and what was expected."""
        with pytest.raises(ContractError) as caught:
            attrs.evolve(PROBE, **changes)
        assert str(caught.value).startswith(f"Probe: {message}")


@attrs.frozen(kw_only=True)
@checked
class Service(Probe):
    """A checked class that is derived from a checked class."""

    kind: ClassVar[str] = "service"
    replicas: Ordinal = 1
    started: datetime | None = None

    def __attrs_post_init__(self) -> None:
        if self.port == self.replicas:
            raise refuse(type(self), "/replicas", "expected another number than that of the port")


@attrs.frozen(slots=False)
@checked
class Loose:
    """A class without slots."""

    _port: Ordinal = 80


class TestDerivedClasses:
    @pytest.mark.parametrize("engine", ENGINES, ids=name_of)
    def test_check_the_fields_of_their_bases(self, engine: ContractConverter) -> None:
        """Constructor and reader of a derived class check the rules of its base, too."""
        for changes, message in (
            ({"port": 0}, "/port: expected an integer of 1 or more"),
            ({"replicas": 0}, "/replicas: expected an integer of 1 or more"),
            ({"port": 7, "replicas": 7}, "/replicas: expected another number"),
        ):
            with pytest.raises(ContractError, match=f"Service: {message}"):
                Service(name="a", **changes)
            with pytest.raises(ContractError, match=f"Service: {message}"):
                engine.structure({"name": "a", **changes}, Service)
            with pytest.raises(ContractError, match=f"Service: {message}"):
                engine.loads(json.dumps({"name": "a", **changes}), Service)

    @pytest.mark.parametrize("engine", ENGINES, ids=name_of)
    def test_come_back(self, engine: ContractConverter) -> None:
        """A derived class is equal after a round trip, and its class variables are not written."""
        service = Service(name="a", since=PROBE.since, started=PROBE.since, port=8080)
        text = engine.dumps(service)
        assert b'"kind"' not in text
        assert engine.loads(text.replace(b"Z", b"+00:00"), Service) == service

    def test_have_checked_bases(self) -> None:
        """A base that does not check its fields is refused."""
        with pytest.raises(TypeError, match="expected the base Open of the checked class Made to be checked"):
            checked(type("Made", (attrs.make_class("Open", ["x"]),), {}))


@pytest.mark.parametrize("engine", ENGINES, ids=name_of)
def test_a_class_may_have_no_slots(engine: ContractConverter) -> None:
    """A class without slots is read and checked like one with slots."""
    assert engine.loads(engine.dumps(Loose(7)), Loose) == Loose(7)
    assert engine.structure({}, Loose) == Loose()
    with pytest.raises(ContractError, match="/_port: expected an integer of 1 or more"):
        engine.loads(b'{"_port":0}', Loose)


@pytest.mark.parametrize(
    "hint",
    [list[int], dict[str, int], int | str, tuple[int, str], tuple[()], Literal["a"], NewType("Id", int), Any],
    ids=str,
)
def test_fields_of_other_types_are_refused(hint: Any) -> None:
    """The decorator refuses fields of other types."""
    with pytest.raises(TypeError, match=r"expected a class or tuple.* as the type of a checked field, and not "):
        checked(type("Made", (), {"__annotations__": {"field": hint}}))


def test_a_field_is_declared_by_its_annotation() -> None:
    """The decorator refuses ``attrs.field``, which it would ignore."""
    with pytest.raises(TypeError, match=r"expected a default or a Factory for Made\.port, and not attrs\.field"):
        checked(type("Made", (), {"__annotations__": {"port": int}, "port": attrs.field(default=1)}))


@attrs.frozen(kw_only=True)
@checked
class Matrix:
    """A class with tuples of tuples, and of items that may be None."""

    names: tuple[Name | None, ...] = ()
    ids: tuple[tuple[UUID, ...] | None, ...] = ()
    times: tuple[tuple[datetime, ...], ...] | None = None
    days: tuple[Day | None, ...] = ()
    ports: tuple[tuple[Ordinal, ...], ...] = ()
    more: tuple[tuple[Ordinal, ...], ...] = attrs.Factory(lambda self: self.ports, takes_self=True)


class TestTuplesOfOptionalItemsAndTuples:
    @pytest.mark.parametrize("engine", ENGINES, ids=name_of)
    @pytest.mark.parametrize(
        "changes",
        [
            {"names": (None, "a")},
            {"ids": ((UUID(int=1),), None, ())},
            {"times": ((datetime(2026, 1, 31, tzinfo=UTC),),)},
            {"days": (None, Day(begin=date(2026, 1, 31)))},
            {"ports": ((1, 2), ())},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_come_back(self, engine: ContractConverter, changes: dict[str, Any]) -> None:
        """Nested tuples and optional items are equal after a round trip, with equal bytes on both engines."""
        matrix = Matrix(**changes)
        assert engine.loads(engine.dumps(matrix), Matrix) == matrix
        assert len({each.dumps(matrix) for each in ENGINES}) == 1

    @pytest.mark.parametrize("engine", ENGINES, ids=name_of)
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"names": (None, " ")}, "/names/1: expected a name"),
            ({"ports": ((1,), (2, 0)), "more": ()}, "/ports/1/1: expected an integer of 1 or more"),
        ],
    )
    def test_keep_their_rules(self, engine: ContractConverter, changes: dict[str, Any], message: str) -> None:
        """Constructor and readers check items at any depth, and the pointer has their place."""
        with pytest.raises(ContractError, match=f"Matrix: {message}"):
            Matrix(**changes)
        with pytest.raises(ContractError, match=f"Matrix: {message}"):
            engine.loads(json.dumps(changes), Matrix)

    @pytest.mark.parametrize("engine", ENGINES, ids=name_of)
    def test_of_a_default_that_follows_from_the_object(self, engine: ContractConverter) -> None:
        """The factory of a default can use earlier fields of the object."""
        assert engine.loads(b'{"ports":[[1]]}', Matrix) == Matrix(ports=((1,),), more=((1,),))
