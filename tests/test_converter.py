"""The public behaviour of the converter. `tests/wire` tests annotations and documents in detail."""

import datetime as dt
import enum
import functools
import json
import sys
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import attrs
import cattrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cicd_common
from cicd_common import ContractError, ExecutionStatus, make_converter
from cicd_common import converter as module
from cicd_common.api.request import JobStatusUpdate
from cicd_common.converter import ContractConverter, converter
from cicd_common.dto import JobDTO, JobExecutionDTO
from cicd_common.fields import Name, Texts, checked
from cicd_common.model import ExecutionLog, Job, JobExecution, Stage
from tests.support.contract import ENGINES, TYPES, name_of
from tests.support.golden_files import full, least

every_engine = pytest.mark.parametrize("engine", ENGINES, ids=name_of)


class TestMakeConverter:
    def test_the_shared_one_is_a_cattrs_converter(self):
        """The shared converter is a cattrs converter, and the package exports its methods and its module."""
        assert isinstance(converter, ContractConverter)
        assert isinstance(converter, cattrs.Converter)
        assert cicd_common.converter is module
        for name in ("loads", "dumps", "structure", "unstructure"):
            assert getattr(cicd_common, name) == getattr(module, name) == getattr(converter, name)

    def test_engines_by_name(self):
        """`make_converter` takes the name of an engine, and the converter has this name."""
        assert [make_converter(engine.engine).engine for engine in ENGINES] == [engine.engine for engine in ENGINES]

    def test_by_default_the_fastest(self):
        """The default is the fastest installed engine."""
        assert make_converter().engine == converter.engine == ENGINES[-1].engine

    def test_an_engine_that_is_none(self):
        """An unknown engine is an error that names the known ones."""
        with pytest.raises(ValueError, match="expected the engine 'json' or 'msgspec'"):
            make_converter("orjson")  # type: ignore[arg-type]

    def test_without_msgspec(self, monkeypatch):
        """Without msgspec the default is json, and asking for msgspec is an error that names the extra."""
        monkeypatch.setitem(sys.modules, "cicd_common._wire.msgspec_engine", None)
        assert make_converter().engine == "json"
        with pytest.raises(ImportError, match=r"pip install 'cicd-common\[fast\]'"):
            make_converter("msgspec")

    @every_engine
    def test_hooks_of_ones_own_are_seen_by_no_one_else(self, engine):
        """Hooks of one converter have no effect on the shared converter."""
        own = make_converter(engine.engine)
        own.register_unstructure_hook(complex, lambda value: [value.real, value.imag])
        own.register_structure_hook(complex, lambda value, _: complex(*value))
        assert own.loads(own.dumps(Signal(value=1 + 2j)), Signal) == Signal(value=1 + 2j)
        with pytest.raises(ContractError, match="/value: expected a complex"):
            own.loads(b'{"value":[1,"x"]}', Signal)
        with pytest.raises(TypeError):
            converter.dumps(Signal(value=1j))


@attrs.frozen
class Signal:
    value: complex


@every_engine
class TestLoads:
    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, bytes.decode], ids=lambda kind: kind.__name__)
    def test_bytes_and_texts(self, engine, kind):
        """A document can be bytes, a bytearray, a memoryview or a str, with and without non-ASCII characters."""
        for make in (full, least):
            update = make(JobStatusUpdate)
            assert engine.loads(kind(engine.dumps(update)), JobStatusUpdate) == update

    def test_a_memoryview_that_is_not_contiguous(self, engine):
        """A memoryview of every second byte is read."""
        data = engine.dumps(full(JobStatusUpdate))
        spread = bytes(byte for each in data for byte in (each, 0))
        assert engine.loads(memoryview(spread)[::2], JobStatusUpdate) == full(JobStatusUpdate)

    @pytest.mark.parametrize("data", [1000, [123, 125], None, {}])
    def test_nothing_else_is_a_document(self, engine, data):
        """A value that is neither text nor bytes, such as a number or a list, raises a TypeError."""
        with pytest.raises(TypeError):
            engine.loads(data, JobStatusUpdate)

    def test_blanks_around_and_inside(self, engine):
        """The white space that RFC 8259 allows is ignored."""
        text = engine.dumps(full(JobStatusUpdate)).decode().replace(",", " ,\r\n\t").replace(":{", " : {")
        assert engine.loads(f"\n {text}\t", JobStatusUpdate) == full(JobStatusUpdate)

    def test_tuples_and_lists_of_types(self, engine):
        """Tuples and lists of a type are written and read, and pointers begin with the index."""
        jobs = (full(JobDTO), least(JobDTO))
        assert engine.loads(engine.dumps(jobs), tuple[JobDTO, ...]) == jobs
        assert engine.loads(engine.dumps(list(jobs)), list[JobDTO]) == list(jobs)
        with pytest.raises(ContractError) as caught:
            engine.loads(b"[{}, 1]", tuple[JobDTO, ...])
        assert {problem.pointer.split("/")[1] for problem in caught.value.problems} == {"0", "1"}

    def test_a_missing_key_takes_its_default(self, engine):
        """A field with a factory, such as the id, gets a new value each time."""
        text = b'{"name":"job","script":["true"]}'
        first, second = (engine.loads(text, Job) for _ in range(2))
        assert first.id != second.id
        assert attrs.evolve(first, id=second.id) == second

    def test_an_unknown_key_is_ignored_however_strange_it_is(self, engine):
        """The value of an unknown key can be any JSON, also a huge number."""
        text = engine.dumps(full(JobStatusUpdate)).decode()
        for strange in ("9" * 5_000, "-" + "9" * 5_000, "1e999", '"\\ud83d\\ude00"', "[[[{}]]]", '"\x7f"'):
            assert engine.loads(text.replace("{", '{"":' + strange + ",", 1), JobStatusUpdate) == full(JobStatusUpdate)

    def test_blanks_before_a_huge_integer(self, engine):
        """A document can have both blanks before it and a huge integer in it."""
        text = engine.dumps(full(JobStatusUpdate)).decode().replace("{", '{"":' + "9" * 5_000 + ",", 1)
        assert engine.loads(" " + text, JobStatusUpdate) == full(JobStatusUpdate)

    def test_the_data_is_not_changed(self, engine):
        """`loads` does not change its data."""
        data = bytearray(engine.dumps(full(JobExecutionDTO)))
        before = bytes(data)
        engine.loads(data, JobExecutionDTO)
        assert data == before

    def test_rules_about_several_fields_hold_when_a_time_had_to_be_shifted(self, engine):
        """Rules about several fields are checked also if a time is converted to UTC."""
        text = b'{"sequence":0,"timestamp":"2026-01-31T13:30:00+01:00","log_text":"","job_execution_id":"%s"}'
        read = engine.loads(text % (b"0" * 32), ExecutionLog)
        assert read.timestamp == dt.datetime(2026, 1, 31, 12, 30, tzinfo=dt.UTC)
        with pytest.raises(ContractError, match="expected at least one of"):
            engine.loads(text.replace(b'"%s"', b"null"), ExecutionLog)

    def test_a_type_that_cannot_be_read_is_no_problem_of_the_data(self, engine):
        """A type without hooks raises the error of cattrs, and not a ContractError."""
        with pytest.raises(cattrs.errors.StructureHandlerNotFoundError):
            engine.loads(b'{"value":1}', Unreadable)


class Opaque:
    """A class without hooks."""


@attrs.frozen
class Unreadable:
    value: Opaque


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@attrs.frozen
class Point:
    x: int = attrs.field(validator=attrs.validators.ge(0))
    y: float = 0.0


@attrs.frozen
class Foreign:
    """A class outside the contract, with many types of fields."""

    points: list[Point]
    by_name: dict[str, Point]
    colour: Colour
    kind: Literal["a", "b"]
    when: dt.datetime
    level: Level = Level.LOW
    tags: frozenset[str] = frozenset()
    pair: tuple[int, str] | None = None
    job: JobDTO | None = None
    status: ExecutionStatus = ExecutionStatus.PENDING
    text_or_number: str | int = 0
    anything: Any = None
    hidden: int = attrs.field(default=7, init=False)


@attrs.frozen
class Lax:
    """No field is required."""

    a: int = 1
    b: str = ""


NOW = dt.datetime(2026, 1, 31, 13, 30, tzinfo=dt.timezone(dt.timedelta(hours=1)))


def foreign(**changes):
    return Foreign(
        **{
            "points": [Point(1, 0.5)],
            "by_name": {"p": Point(2)},
            "colour": Colour.BLUE,
            "kind": "b",
            "when": NOW,
            "tags": frozenset({"x"}),
            "pair": (1, "one"),
            "job": full(JobDTO),
            **changes,
        }
    )


class Tag(str):
    """A class derived from str."""

    __slots__ = ()


class Seconds(float):
    """A class derived from float."""


@attrs.frozen
class Holder:
    """A class with only collections as fields."""

    numbers: list[int]
    ids: list[UUID]
    flags: set[bool]
    names: tuple[str, ...]
    levels: frozenset[Level]


NO_TAG, NO_REST = Tag(""), Seconds(0)


@attrs.frozen
class Borrower:
    """A class outside the contract that uses annotations of the contract and derived classes."""

    name: Name
    script: Texts = ("true",)
    count: Annotated[int, "how many"] = 0
    tag: Tag = NO_TAG
    rest: Seconds = NO_REST
    share: Annotated[float, "of all"] = 0.0


class TestForeignClasses:
    @every_engine
    def test_works_without_a_line_in_the_converter(self, engine):
        """A class outside the contract is read and written without hooks."""
        data = engine.dumps(foreign())
        read = engine.loads(data, Foreign)
        assert read == foreign()
        assert engine.loads(data, Foreign, strict=True) == read
        assert read.when.utcoffset() == dt.timedelta(0)

    def test_the_engines_write_the_same_bytes(self):
        """Both engines write the same bytes: times in UTC, enums as their values, sets as lists."""
        written = {engine.dumps(foreign()) for engine in ENGINES}
        assert len(written) == 1
        assert b'"colour":"blue","kind":"b","when":"2026-01-31T12:30:00Z","level":1,"tags":["x"]' in written.pop()

    @every_engine
    @pytest.mark.parametrize(
        ("changes", "pointer", "code"),
        [
            ({"points": "abc"}, "/points", "type"),
            ({"points": [{"x": -1}]}, "/points/0", "value"),
            ({"points": [{"x": 1.0}]}, "/points/0/x", "type"),
            ({"points": [{"x": 2**63}]}, "/points/0/x", "value"),
            ({"points": [{"x": 1, "y": "0"}]}, "/points/0/y", "type"),
            ({"points": [{"x": 1, "y": True}]}, "/points/0/y", "type"),
            ({"by_name": [1]}, "/by_name", "type"),
            ({"by_name": {"p": {"x": "1"}}}, "/by_name/p/x", "type"),
            ({"colour": "RED"}, "/colour", "value"),
            ({"colour": True}, "/colour", "type"),
            ({"kind": "c"}, "/kind", "value"),
            ({"when": "2026-01-31T12:30:00"}, "/when", "value"),
            ({"level": "1"}, "/level", "type"),
            ({"level": 3}, "/level", "value"),
            ({"tags": "x"}, "/tags", "type"),
            ({"tags": [1]}, "/tags/0", "type"),
            ({"pair": [1]}, "/pair", "type"),
            ({"pair": "1x"}, "/pair", "type"),
            ({"pair": ["1", "x"]}, "/pair/0", "type"),
            ({"job": {}}, "/job/id", "missing"),
            ({"status": "pending"}, "/status", "value"),
            ({"text_or_number": []}, "/text_or_number", "type"),
        ],
    )
    def test_what_is_wrong_is_one_contract_error(self, engine, changes, pointer, code):
        """A wrong value in a class outside the contract is a problem with its pointer."""
        plain = engine.unstructure(foreign()) | changes
        with pytest.raises(ContractError) as caught:
            engine.structure(plain, Foreign)
        assert (caught.value.problems[0].pointer, caught.value.problems[0].code) == (pointer, code)

    @every_engine
    @pytest.mark.parametrize("wrong", ["[]", '"a"', "null", "1"])
    def test_a_class_of_defaults_is_still_an_object(self, engine, wrong):
        """A class without required fields is read only from an object."""
        assert engine.loads("{}", Lax) == Lax()
        with pytest.raises(ContractError, match="expected a Lax as an object"):
            engine.loads(wrong, Lax)

    @every_engine
    def test_validators_are_asked_even_if_the_class_can_not_be_made(self, engine):
        """A validator is called even if another field is wrong, and both problems are listed."""
        with pytest.raises(ContractError) as caught:
            engine.loads(b'{"x":-1,"y":"0"}', Point)
        assert {problem.pointer for problem in caught.value.problems} == {"/x", "/y"}

    @every_engine
    def test_a_validator_that_wants_the_object_is_not_asked_without_it(self, engine):
        """A validator that compares fields is called only if all fields could be read."""
        assert engine.loads(b'{"low":1,"high":2}', Range) == Range(1, 2)
        with pytest.raises(ContractError) as caught:
            engine.loads(b'{"low":3,"high":2}', Range)
        assert [problem.pointer for problem in caught.value.problems] == [""]
        with pytest.raises(ContractError) as caught:
            engine.loads(b'{"low":"3","high":2}', Range)
        assert [problem.pointer for problem in caught.value.problems] == ["/low"]

    @every_engine
    def test_annotations_of_the_contract_and_kinds_of_ones_own(self, engine):
        """Rules of annotations are checked, and derived classes of str and float are created."""
        text = b'{"name":"n","script":["a"],"count":1,"tag":"t","rest":1.5,"share":0.5}'
        read = engine.loads(text, Borrower)
        assert read == Borrower("n", ("a",), 1, Tag("t"), Seconds(1.5), 0.5)
        assert (type(read.tag), type(read.rest)) == (Tag, Seconds)
        assert engine.dumps(read) == text
        for strict in (False, True):
            with pytest.raises(ContractError) as caught:
                engine.loads(
                    b'{"name":"","script":[],"count":true,"tag":1,"rest":"1","share":[]}', Borrower, strict=strict
                )
            assert [(problem.pointer, problem.code) for problem in caught.value.problems] == [
                ("/name", "value"),
                ("/script", "value"),
                ("/count", "type"),
                ("/tag", "type"),
                ("/rest", "type"),
                ("/share", "type"),
            ]
        for key, value in (("name", '" "'), ("script", "[]")):
            with pytest.raises(ContractError, match=f"/{key}: expected"):
                engine.loads(f'{{"name":"n","{key}":{value}}}', Borrower)

    @every_engine
    def test_sequences_of_every_kind(self, engine):
        """Collections are written as lists, and read as the type of the field."""
        holder = Holder(numbers=[1, 2], ids=[UUID(int=1)], flags={True}, names=("a",), levels=frozenset({Level.LOW}))
        text = engine.dumps(holder)
        assert text == (
            b'{"numbers":[1,2],"ids":["00000000-0000-0000-0000-000000000001"],"flags":[true],"names":["a"],"levels":[1]}'
        )
        assert engine.loads(text, Holder) == holder
        assert all(type(each) is list for each in engine.unstructure(holder).values())

    @every_engine
    @pytest.mark.parametrize("y", [float("nan"), float("inf"), float("-inf")])
    def test_what_json_can_not_say_is_not_written(self, engine, y):
        """NaN and infinity are not written."""
        with pytest.raises(ContractError, match="Point: /y: expected a number in the range of a double"):
            engine.dumps(Point(1, y))

    @every_engine
    @pytest.mark.parametrize(
        "wrong", [foreign(when=dt.datetime(2026, 1, 31)), foreign(when=dt.datetime.min.replace(tzinfo=NOW.tzinfo))]
    )
    def test_a_time_that_is_no_moment_is_not_written(self, engine, wrong):
        """A time without an offset, or before year 1 in UTC, is not written."""
        with pytest.raises(ContractError, match="expected a time with an offset"):
            engine.dumps(wrong)
        with pytest.raises(ContractError, match="expected a time with an offset"):
            engine.unstructure(wrong)

    @every_engine
    def test_half_of_a_character_is_not_written(self, engine):
        """A lone surrogate is neither written nor read, also in a class without checks."""
        with pytest.raises(ContractError, match="lone surrogates"):
            engine.dumps(Lax(b="\ud83d"))
        with pytest.raises(ContractError, match="/b: expected a text without lone surrogates"):
            engine.structure({"b": "\ud83d"}, Lax)

    @every_engine
    def test_a_number_out_of_the_range_of_a_double_is_refused(self, engine):
        """A number beyond the range of a double is refused, and not read as infinity."""
        with pytest.raises(ContractError, match="/y: expected a number in the range of a double"):
            engine.loads(b'{"x":1,"y":1e999}', Point)
        assert engine.loads(b'{"x":1,"y":2}', Point).y == 2.0


@attrs.frozen
class Range:
    low: int
    high: int = attrs.field()

    @high.validator
    def _check(self, _: Any, value: int) -> None:
        if value < self.low:
            raise ValueError("not a range")


@attrs.frozen
class Tree:
    """A recursive class."""

    child: "Tree | None" = None
    children: "tuple[Tree, ...]" = ()
    others: "frozenset[Tree]" = frozenset()
    anything: Any = None


attrs.resolve_types(Tree)


@attrs.frozen
class Endless:
    """A class whose construction never ends."""

    def __attrs_post_init__(self) -> None:
        Endless()


class Deep:
    """A class whose hook writes deeply nested data."""


TOO_DEEP = "expected JSON that nests at most 100 levels deep"


class TestStructure:
    """Plain data can contain values that JSON text cannot."""

    @every_engine
    @pytest.mark.parametrize(
        ("cls", "changes", "pointer", "code"),
        [
            (JobStatusUpdate, {"logs": "\ud83d"}, "/logs", "value"),
            (JobDTO, {"script": ["make", "\udc80"]}, "/script/1", "value"),
            (JobDTO, {"docker_image": "\udc80"}, "/docker_image", "value"),
            (JobStatusUpdate, {"status": ExecutionStatus.PENDING}, "/status", "type"),
            (JobStatusUpdate, {"logs": Tag("text")}, "/logs", "type"),
            (JobStatusUpdate, {"sequence": Level.LOW}, "/sequence", "type"),
            (JobStatusUpdate, {"job_execution_id": UUID(int=1)}, "/job_execution_id", "type"),
            (JobStatusUpdate, {"occurred_at": NOW}, "/occurred_at", "type"),
            (JobDTO, {"script": ("make",)}, "/script", "type"),
            (JobExecutionDTO, {"job": full(JobDTO)}, "/job", "type"),
        ],
    )
    def test_what_is_not_plain_is_refused(self, engine, cls, changes, pointer, code):
        """Lone surrogates and objects in plain data are refused, even if an object equals a plain value."""
        for strict in (False, True):
            with pytest.raises(ContractError) as caught:
                engine.structure(engine.unstructure(full(cls)) | changes, cls, strict=strict)
            assert [(problem.pointer, problem.code) for problem in caught.value.problems] == [(pointer, code)]

    @every_engine
    def test_a_checked_class_may_hold_what_those_of_the_contract_do_not(self, engine):
        """A checked class can have a field of any class, and is read and written with all its rules."""
        mixed = Mixed(name="n", share=0.5, point=Point(1, 2.0))
        text = b'{"name":"n","share":0.5,"point":{"x":1,"y":2.0}}'
        assert engine.dumps(mixed) == text
        assert engine.loads(text, Mixed) == mixed
        with pytest.raises(ContractError, match="expected a Mixed as an object"):
            engine.loads("[]", Mixed)
        with pytest.raises(ContractError) as caught:
            engine.loads(b'{"name":" ","share":true,"point":{"x":-1}}', Mixed)
        assert [problem.pointer for problem in caught.value.problems] == ["/name", "/share", "/point"]


@attrs.frozen(kw_only=True)
@checked
class Mixed:
    """A checked class outside the contract."""

    name: Name
    share: float
    point: Point


@attrs.frozen(kw_only=True)
class Longer(JobStatusUpdate):
    """A class derived from a class of the contract, with more fields."""

    worker: Name
    seen: dt.datetime | None = None
    size: int = 0


class TestInheriting:
    @staticmethod
    def longer(**changes: Any) -> Longer:
        return Longer(
            job_execution_id=UUID(int=1),
            sequence=1,
            status=ExecutionStatus.PENDING,
            occurred_at=NOW,
            worker="w",
            **changes,
        )

    @every_engine
    def test_what_is_added_is_read_as_strictly(self, engine):
        """Fields of a derived class are checked like those of its base."""
        plain = engine.unstructure(self.longer())
        for changes, pointer in (
            ({"worker": " "}, "/worker"),
            ({"seen": "2026-01-31T12:30:00"}, "/seen"),
            ({"size": 2**63}, "/size"),
            ({"sequence": 0}, "/sequence"),
        ):
            with pytest.raises(ContractError) as caught:
                engine.loads(json.dumps(plain | changes), Longer)
            assert [problem.pointer for problem in caught.value.problems] == [pointer]

    @every_engine
    def test_what_was_written_is_read(self, engine):
        """A derived class is equal after a round trip, and its times are in UTC."""
        longer = self.longer(seen=NOW)
        text = engine.dumps(longer)
        assert text.endswith(b'"worker":"w","seen":"2026-01-31T12:30:00Z","size":0}')
        assert engine.loads(text, Longer) == longer
        assert engine.loads(text, Longer).seen.tzinfo is dt.UTC
        assert engine.loads(text, JobStatusUpdate).occurred_at == NOW

    @every_engine
    def test_an_object_is_written_and_read_as_what_it_is(self, engine):
        """An instance of a derived class is written like its base, and read as the requested class."""
        own, job = OwnJob(id=UUID(int=1), name="n", script=("true",)), Job(id=UUID(int=1), name="n", script=("true",))
        assert engine.dumps(own) == engine.dumps(job)
        assert engine.dumps([own, job]) == b"[%b,%b]" % (engine.dumps(own), engine.dumps(job))
        for cls, other in ((OwnJob, job), (Job, own)):
            read = engine.loads(engine.dumps(other), cls)
            assert (type(read), read == other) == (cls, False)
        assert engine.loads(engine.dumps(own), OwnJob) == own
        assert engine.loads(engine.dumps((own,)), tuple[OwnJob, ...]) == (own,)

    @pytest.mark.parametrize(
        ("make", "problem"),
        [
            (lambda own: Stage(name="s", jobs=(full(Job), own)), "Stage: /jobs/1: expected a Job"),
            (lambda own: JobExecution(job=own), "JobExecution: /job: expected a Job"),
            (lambda _: Mixed(name="n", share=0.5, point=OwnPoint(1)), "Mixed: /point: expected a Point"),
        ],
    )
    def test_a_field_takes_none_of_a_derived_class(self, make, problem):
        """A field refuses an instance of a derived class, because reading would create an instance of the base."""
        with pytest.raises(ContractError) as caught:
            make(OwnJob(name="n", script=("true",)))
        assert str(caught.value) == f"{problem} itself, no instance of a derived class"
        assert [each.code for each in caught.value.problems] == ["type"]

    def test_a_field_takes_nothing_else(self):
        """For a value of another class, the message does not mention derived classes."""
        with pytest.raises(ContractError, match=r"^JobExecution: /job: expected a Job$"):
            JobExecution(job=full(JobDTO))


class OwnJob(Job):
    """A class derived from Job without further fields."""


class OwnPoint(Point):
    """A class derived from Point without further fields."""


@every_engine
class TestDepth:
    @pytest.mark.parametrize("depth", [1, 49, 50, 99, 100, 150, 200, 300, 900, 2_000, 20_000])
    @pytest.mark.parametrize(("opener", "closer"), [('{"child":', "}"), ('{"children":[', "]}"), ('{"others":[', "]}")])
    def test_reading_ends_in_an_instance_or_in_one_problem(self, engine, depth, opener, closer):
        """A recursive class is read up to 100 levels, and refused beyond them."""
        text = opener * depth + "{}" + closer * depth
        is_deep = depth * (opener.count("{") + opener.count("[")) + 1 > 100
        for strict in (False, True):
            try:
                ending = type(engine.loads(text, Tree, strict=strict))
            except ContractError as error:
                ending = str(error)
            assert ending == (f"Tree: {TOO_DEEP}" if is_deep else Tree)

    def test_writing_what_is_too_deep_is_one_contract_error(self, engine):
        """Data beyond 100 levels, or with a cycle, is not written."""
        # The innermost object contains an empty list, which is a level, too.
        deeper, deep = (
            functools.reduce(lambda tree, _: Tree(child=tree), range(levels - 2), Tree()) for levels in (101, 20_000)
        )
        around = []
        around.append(around)
        for each in (deeper, deep, Tree(anything=around)):
            for write in (engine.dumps, engine.unstructure):
                with pytest.raises(ContractError) as caught:
                    write(each)
                assert [(problem.code, problem.message) for problem in caught.value.problems] == [("value", TOO_DEEP)]

    def test_hooks_and_classes_of_others_may_go_too_deep_as_well(self, engine):
        """Constructors and hooks that nest too deep cause the same error."""
        with pytest.raises(ContractError, match=f"Endless: {TOO_DEEP}"):
            engine.loads(b"{}", Endless)
        own = make_converter(engine.engine)
        own.register_unstructure_hook(Deep, lambda _: functools.reduce(lambda inner, _: [inner], range(20_000), 1))
        with pytest.raises(ContractError, match=f"Deep: {TOO_DEEP}"):
            own.dumps(Deep())


class TestPlainValues:
    """The values that constructors accept and store."""

    class TheirUUID(UUID):
        """A derived class, as database drivers have."""

    class TheirText(str):
        __slots__ = ()

    class TheirTime(dt.datetime):
        """A derived class, as tests use to freeze the clock."""

    def update(self, **changes):
        return attrs.evolve(full(JobStatusUpdate), **changes)

    def test_subclasses_are_kept_as_the_plain_values_that_they_equal(self):
        """An instance of a derived class is stored as a plain value, so that equal objects have equal bytes."""
        ours = self.update()
        theirs = self.update(
            job_execution_id=self.TheirUUID(int=ours.job_execution_id.int),
            logs=self.TheirText(ours.logs),
            occurred_at=self.TheirTime.fromtimestamp(ours.occurred_at.timestamp(), dt.UTC),
        )
        assert theirs == ours
        kinds = [type(getattr(theirs, name)) for name in ("job_execution_id", "logs", "occurred_at")]
        assert kinds == [UUID, str, dt.datetime]
        assert len({engine.dumps(each) for engine in ENGINES for each in (ours, theirs)}) == 1

    @given(st.timezones() | st.just(dt.UTC), st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1)), st.booleans())
    def test_a_time_is_kept_in_utc(self, zone, naive, fold):
        """A time in any zone is stored in UTC, also in the repeated hour at the end of summer time."""
        moment = naive.replace(tzinfo=zone, fold=fold)
        for time in (moment, self.TheirTime.combine(moment.date(), moment.timetz())):
            kept = self.update(occurred_at=time).occurred_at
            assert (kept.tzinfo, kept.fold) == (dt.UTC, 0)
            assert kept == moment.astimezone(dt.UTC)

    @pytest.mark.parametrize(
        ("changes", "code", "message"),
        [
            ({"job_execution_id": str(uuid4())}, "type", "expected a UUID"),
            ({"sequence": True}, "type", "expected an integer"),
            ({"sequence": 1.0}, "type", "expected an integer"),
            ({"sequence": 2**63}, "value", "expected an integer of 1 or more, of at most 64 bits"),
            ({"status": "RUNNING"}, "type", "expected one of PENDING, RUNNING, SUCCESS, FAILED, CANCELED"),
            ({"occurred_at": "2026-01-31T12:30:00Z"}, "type", "expected a time"),
            ({"logs": b"bytes"}, "type", "expected a string"),
            ({"logs": ExecutionStatus.PENDING}, "type", "expected a string"),
            ({"logs": "\udc80"}, "value", "expected a text without lone surrogates, which UTF-8 cannot write"),
            ({"exit_code": "0"}, "type", "expected an integer"),
        ],
    )
    def test_what_is_refused(self, changes, code, message):
        """A wrong value is refused, and the pointer names the field."""
        with pytest.raises(ContractError) as caught:
            self.update(**changes)
        [problem] = caught.value.problems
        assert (problem.pointer, problem.code, problem.message) == (f"/{next(iter(changes))}", code, message)

    @pytest.mark.parametrize(
        ("script", "pointer", "message"),
        [
            (["make"], "/script", "expected a tuple"),
            ("make", "/script", "expected a tuple"),
            (("make", 1), "/script/1", "expected a string"),
        ],
    )
    def test_sequences_are_tuples(self, script, pointer, message):
        """A sequence must be a tuple. A list, which could be changed later, and a text are refused."""
        with pytest.raises(ContractError) as caught:
            attrs.evolve(full(JobDTO), script=script)
        assert [(problem.pointer, problem.message) for problem in caught.value.problems] == [(pointer, message)]

    def test_all_values_that_break_a_rule_are_told_at_once(self):
        """All values that break a rule are listed, with their pointers."""
        with pytest.raises(ContractError) as caught:
            attrs.evolve(full(Job), name="", kind="A", dependencies=("a", " ", ""))
        assert [problem.pointer for problem in caught.value.problems] == [
            "/name",
            "/kind",
            "/dependencies/1",
            "/dependencies/2",
        ]

    def test_the_first_value_of_another_type_is_told_alone(self):
        """A value of a wrong type is listed alone, without problems of other fields."""
        with pytest.raises(ContractError) as caught:
            attrs.evolve(full(JobDTO), name="", script=["make"], created_at=dt.datetime(2026, 1, 1))
        assert [problem.pointer for problem in caught.value.problems] == ["/script"]


class TestFastWays:
    """Valid documents are read by the fast path. Other tests cannot show this, because the slow path reads the same."""

    @pytest.mark.parametrize("cls", TYPES, ids=name_of)
    def test_msgspec_reads_every_type_of_the_contract_itself(self, cls, monkeypatch):
        """The msgspec engine reads every type without the json engine."""
        pytest.importorskip("msgspec")
        monkeypatch.setattr(ContractConverter, "loads", None)
        engine = make_converter("msgspec")
        assert [engine.loads(engine.dumps(make(cls)), cls) for make in (full, least)] == [full(cls), least(cls)]

    @pytest.mark.parametrize("cls", TYPES, ids=name_of)
    def test_json_reads_every_type_of_the_contract_without_a_second_look(self, cls, monkeypatch):
        """The json engine reads every type without `Reading`, which only finds the problems of wrong documents."""
        monkeypatch.setattr(sys.modules[ContractConverter.__module__], "Reading", None)
        engine = make_converter("json")
        assert [engine.loads(engine.dumps(make(cls)), cls) for make in (full, least)] == [full(cls), least(cls)]
