"""Hypothesis strategies for every type of the contract, edge values included.

`of` gives the strategy of a type, and `values` that of an annotation. Most types follow from their annotations; those
with rules about several fields have a function of their own, which is named after them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs
from hypothesis import strategies as st

from cicd_common._rules import INTEGER, SOME, Count, Name, Ordinal, PageSize, RelativePath, Rule, Sha256, split
from cicd_common.api.request import JobStatusUpdate, PipelineExecutionRequest, ReportRequest
from cicd_common.enums import ExecutionStatus
from cicd_common.model import (
    ExecutionLog,
    Job,
    JobExecution,
    Pipeline,
    PipelineExecution,
    Stage,
    StageExecution,
)

T = TypeVar("T")

# --- leaves ----------------------------------------------------------------------------------------------------

ASTRAL = "\U0001f680\U0010ffff"
EDGE_TEXTS = [
    "",
    " ",
    "\x00",
    "\x7f\x80\x9f",
    '"\\/\b\f\n\r\t',
    "\u2028\u2029\ufeff\ufffe\uffff",
    "\\ud800",
    ASTRAL,
    "e\u0301\u200d",
    "null",
    "true",
    "1",
    "</script>",
    "x" * 9_000,
    ASTRAL * 1_000,
]
EDGE_NAMES = ["x", "x" * 255, ASTRAL, "a/b~c", "a -> b", "\u200b", "null", "0", "\ufffd", "\u65e5\u672c"]
INT64 = (-(2**63), 2**63 - 1)


@cache
def texts() -> st.SearchStrategy[str]:
    """Any text that UTF-8 can write."""
    # By their index, so that no report of a strategy shows a huge text.
    edges = st.integers(0, len(EDGE_TEXTS) - 1).map(EDGE_TEXTS.__getitem__)
    return st.text(st.characters(codec="utf-8"), max_size=20) | edges


@cache
def names() -> st.SearchStrategy[str]:
    """What a `Name` may be."""
    no_control = st.characters(codec="utf-8", exclude_categories=["Cc"])
    usual = st.text(no_control, min_size=1, max_size=20).map(str.strip).filter(bool)
    return usual | st.sampled_from(EDGE_NAMES)


@cache
def integers(low: int = INT64[0], high: int = INT64[1]) -> st.SearchStrategy[int]:
    """Integers of 64 bits, those at the limits often."""
    edges = {low, low + 1, high - 1, high} | {edge for edge in (-1, 0, 1, 2**53 + 1) if low <= edge <= high}
    return st.integers(low, high) | st.sampled_from(sorted(edges))


@cache
def uuids() -> st.SearchStrategy[UUID]:
    """UUIDs of every version and of none."""
    return st.uuids() | st.integers(0, 2**128 - 1).map(lambda value: UUID(int=value)) | st.just(UUID(int=0))


@cache
def distinct_uuids(count: int) -> st.SearchStrategy[list[UUID]]:
    """A number of UUIDs, all different."""
    return st.lists(st.uuids(), min_size=count, max_size=count, unique=True)


@cache
def offsets() -> st.SearchStrategy[timezone]:
    """Fixed offsets, to the minute, as RFC 3339 writes them."""
    minutes = st.integers(-23 * 60 - 59, 23 * 60 + 59) | st.sampled_from([-1439, -1, 0, 330, 1439])
    return minutes.map(lambda each: timezone(timedelta(minutes=each)))


_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
EDGE_TIMES = [
    _FIRST,
    _LAST,
    _LAST.replace(microsecond=0),
    datetime(1, 1, 1, 23, 59, tzinfo=timezone(timedelta(hours=23, minutes=59))),
    datetime(9999, 12, 31, tzinfo=timezone(-timedelta(hours=23, minutes=59))),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2024, 2, 29, 12, tzinfo=UTC),
    datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=timezone(timedelta(hours=2))),
    datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=timezone(timedelta(seconds=1))),
]


def _is_in_range(time: datetime) -> bool:
    try:
        time.astimezone(UTC)
    except OverflowError:
        return False
    return True


@cache
def times() -> st.SearchStrategy[datetime]:
    """Times with any offset that are in the years 1 to 9999 in UTC."""
    anywhere = st.datetimes(timezones=offsets()).filter(_is_in_range).map(lambda each: each.replace(fold=0))
    in_utc = st.datetimes().map(lambda each: each.replace(tzinfo=UTC, fold=0))
    return anywhere | in_utc | st.sampled_from(EDGE_TIMES)


def sha256s() -> st.SearchStrategy[str]:
    """64 lower-case hexadecimal digits."""
    return st.integers(0, 2**256 - 1).map("{:064x}".format)


def relative_paths() -> st.SearchStrategy[str]:
    """Relative POSIX paths that do not climb."""
    part = st.text(st.characters(codec="utf-8", exclude_characters="/\\\x00:"), min_size=1, max_size=8)
    parts = st.lists(part.filter(lambda each: each != ".."), min_size=1, max_size=4)
    return parts.map("/".join) | st.sampled_from(["...", "a/..b/c", "a//b", "a/", ".", "a b/" + ASTRAL, "a/c:x"])


# --- annotations ------------------------------------------------------------------------------------------------

_LEAVES: dict[Any, Callable[[], st.SearchStrategy[Any]]] = {
    str: texts,
    int: integers,
    bool: st.booleans,
    float: lambda: st.floats(allow_nan=False, allow_infinity=False),
    UUID: uuids,
    datetime: times,
}


def _rule(hint: Any) -> Rule:
    return split(hint)[1][0]


_RULES: dict[Rule, Callable[[], st.SearchStrategy[Any]]] = {
    INTEGER: integers,
    _rule(Name): names,
    _rule(Count): lambda: integers(low=0),
    _rule(Ordinal): lambda: integers(low=1),
    _rule(PageSize): lambda: integers(1, 1000),
    _rule(Sha256): sha256s,
    _rule(RelativePath): relative_paths,
}


@cache
def values(hint: Any) -> st.SearchStrategy[Any]:
    """What a field of an annotation may hold."""
    base, rules, optional = split(hint)
    strategy = _values_of(base, rules)
    return st.none() | strategy if optional else strategy


def _values_of(base: Any, rules: tuple[Rule, ...]) -> st.SearchStrategy[Any]:
    if get_origin(base) is tuple:
        least = 1 if SOME in rules else 0
        return st.lists(values(get_args(base)[0]), min_size=least, max_size=least + 2).map(tuple)
    if attrs.has(base):
        return of(base)
    if issubclass(base, Enum):
        return st.sampled_from(base)
    known = [_RULES[rule] for rule in rules if rule in _RULES]
    return (known[0] if known else _LEAVES[base])()


@cache
def fields(cls: type, *without: str) -> st.SearchStrategy[dict[str, Any]]:
    """Values for the fields of a class, by their annotations; but for those that are not wanted."""
    hints = get_type_hints(cls, include_extras=True)
    names = [field.name for field in attrs.fields(cls) if field.name not in without]
    return st.fixed_dictionaries({name: values(hints[name]) for name in names})


# --- types ------------------------------------------------------------------------------------------------------


@cache
def of(cls: type[T]) -> st.SearchStrategy[T]:
    """Instances of a type of the contract, with every field given."""
    special = _SPECIAL.get(cls)
    return special() if special else fields(cls).map(lambda values: cls(**values))


def _some_given(cls: type[T], *names: str) -> st.SearchStrategy[T]:
    """Instances of a class that demands that at least one of some optional fields is given."""
    given = fields(cls).filter(lambda values: any(values[name] is not None for name in names))
    return given.map(lambda values: cls(**values))


def pipeline_execution_requests() -> st.SearchStrategy[PipelineExecutionRequest]:
    """With at least one thing that says which pipeline to run."""
    return _some_given(PipelineExecutionRequest, "pipeline_id", "file_path", "pipeline")


def execution_logs() -> st.SearchStrategy[ExecutionLog]:
    """Of at least one execution."""
    return _some_given(ExecutionLog, "pipeline_execution_id", "stage_execution_id", "job_execution_id")


def report_requests() -> st.SearchStrategy[ReportRequest]:
    """At each level; a job has its stage."""
    given = fields(ReportRequest).filter(lambda values: values["stage_name"] or not values["job_name"])
    return given.map(lambda values: ReportRequest(**values))


@st.composite
def pipelines(draw: st.DrawFn, max_stages: int = 3, max_jobs: int = 3) -> Pipeline:
    """Pipelines whose dependencies point wherever they may: to earlier stages, and forth and back inside a stage."""
    sizes = draw(st.lists(st.integers(1, max_jobs), min_size=1, max_size=max_stages))
    stage_names, stage_ids = draw(_distinct_names(len(sizes))), draw(distinct_uuids(len(sizes)))
    job_names, job_ids = draw(_distinct_names(sum(sizes))), draw(distinct_uuids(sum(sizes)))
    ids = dict(zip(job_names, job_ids, strict=True))
    stages = []
    earlier: list[str] = []
    for stage_name, stage_id, size in zip(stage_names, stage_ids, sizes, strict=True):
        here, job_names = job_names[:size], job_names[size:]
        jobs = {}
        for name in draw(st.permutations(here)):
            needed = tuple(draw(st.lists(st.sampled_from(earlier), max_size=3))) if earlier else ()
            rest = draw(fields(Job, "id", "name", "dependencies"))
            jobs[name] = Job(id=ids[name], name=name, dependencies=needed, **rest)
            earlier.append(name)
        stages.append(Stage(id=stage_id, name=stage_name, jobs=tuple(jobs[name] for name in here)))
    return Pipeline(**draw(fields(Pipeline, "stages")), stages=tuple(stages))


@cache
def _distinct_names(count: int) -> st.SearchStrategy[list[str]]:
    return st.lists(names(), min_size=count, max_size=count, unique=True)


@st.composite
def pipeline_executions(draw: st.DrawFn, of_pipeline: st.SearchStrategy[Pipeline] | None = None) -> PipelineExecution:
    """Executions of a pipeline with all its jobs, in any state, whether they can come to it or not."""
    pipeline = draw(of_pipeline or pipelines())
    stage_ids = draw(distinct_uuids(len(pipeline.stages)))
    job_ids = iter(draw(distinct_uuids(sum(len(stage.jobs) for stage in pipeline.stages))))
    stages = tuple(
        StageExecution(
            id=stage_id,
            name=stage.name,
            jobs=tuple(
                JobExecution(id=next(job_ids), job=job, **draw(fields(JobExecution, "id", "job"))) for job in stage.jobs
            ),
        )
        for stage, stage_id in zip(pipeline.stages, stage_ids, strict=True)
    )
    return PipelineExecution(**draw(fields(PipelineExecution, "pipeline", "stages")), pipeline=pipeline, stages=stages)


def deep_pipeline(length: int) -> Pipeline:
    """A pipeline of as many stages, each with a job that waits for that of the stage before."""
    return Pipeline(
        id=UUID(int=0),
        name="deep",
        repo_url="",
        stages=tuple(
            Stage(
                id=UUID(int=at),
                name=f"stage {at}",
                jobs=(
                    Job(
                        id=UUID(int=at),
                        name=f"job {at}",
                        script=("true",),
                        dependencies=(f"job {at - 1}",) if at else (),
                    ),
                ),
            )
            for at in range(length)
        ),
    )


_SPECIAL: dict[Any, Callable[[], st.SearchStrategy[Any]]] = {
    ExecutionLog: execution_logs,
    Pipeline: pipelines,
    PipelineExecution: pipeline_executions,
    PipelineExecutionRequest: pipeline_execution_requests,
    ReportRequest: report_requests,
}


# --- executions that move ----------------------------------------------------------------------------------------

_DAY = datetime(2026, 1, 31, tzinfo=UTC)
_SOME_JOB = UUID(int=1)


def statuses() -> st.SearchStrategy[ExecutionStatus]:
    """Every status."""
    return st.sampled_from(ExecutionStatus)


@st.composite
def histories(draw: st.DrawFn, job_execution_id: UUID = _SOME_JOB) -> list[JobStatusUpdate]:
    """True histories of a job: sequences rising by one, ranks never falling, one end."""
    pending, running = draw(st.integers(0, 1)), draw(st.integers(0, 3))
    end = draw(st.sampled_from([status for status in ExecutionStatus if status.is_terminal]))
    told = [ExecutionStatus.PENDING] * pending + [ExecutionStatus.RUNNING] * running + [end]
    seconds = draw(st.lists(st.integers(0, 86_399), min_size=len(told), max_size=len(told)))
    return [
        JobStatusUpdate(
            job_execution_id=job_execution_id,
            sequence=sequence,
            status=status,
            # Clocks may be set back: the order of the times is not that of the sequences.
            occurred_at=_DAY + timedelta(seconds=second),
            logs=draw(st.text(max_size=3)),
            exit_code=draw(st.integers(0, 255)) if status.is_terminal else None,
        )
        for sequence, (status, second) in enumerate(zip(told, seconds, strict=True), 1)
    ]


def shortest_history(job_execution_id: UUID) -> list[JobStatusUpdate]:
    """A job that succeeds at once."""
    update = JobStatusUpdate(
        job_execution_id=job_execution_id, sequence=1, status=ExecutionStatus.SUCCESS, occurred_at=_DAY
    )
    return [update]


@st.composite
def moved_executions(draw: st.DrawFn, of_pipeline: st.SearchStrategy[Pipeline] | None = None) -> PipelineExecution:
    """Executions in a state that they came to by the rules."""
    pipeline = draw(pipelines() if of_pipeline is None else of_pipeline)
    execution = pipeline.new_execution(run_number=draw(integers(1, 2**31)))
    for step in range(draw(st.integers(0, 8))):
        execution, jobs = execution.hand_out(_DAY + timedelta(hours=step))
        for job in jobs:
            history = draw(histories(job.id))
            for update in history[: draw(st.integers(0, len(history)))]:
                execution, _ = execution.apply(update)
        if draw(st.integers(0, 9)) == 0:
            execution, _ = execution.cancel(_DAY)
    return execution


@st.composite
def past_executions(draw: st.DrawFn) -> list[PipelineExecution]:
    """Runs of two pipelines of one name and of one of another, in any order; each has its runs numbered from 1."""
    runs = []
    for name in ("shared", "shared", "other"):
        pipeline = attrs.evolve(draw(pipelines(max_stages=2, max_jobs=2)), name=name, id=draw(st.uuids()))
        for number in range(1, draw(st.integers(0, 6)) + 1):
            moved = draw(moved_executions(st.just(pipeline)))
            runs.append(attrs.evolve(moved, run_number=number))
    return draw(st.permutations(runs))


# --- secrets ------------------------------------------------------------------------------------------------------


@st.composite
def _place(draw: st.DrawFn, plain: Any) -> tuple[Any, Any]:
    """A place in plain data, at any depth: what holds it, and its key or index there."""
    holder = plain
    while True:
        key = draw(st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder))))
        inner = holder[key]
        if not (isinstance(inner, dict | list) and inner) or draw(st.integers(0, 3)) == 0:
            return holder, key
        holder = inner


@st.composite
def with_secret(draw: st.DrawFn, plain: Any, secret: str) -> Any:
    """Plain data with a secret in some places where a text, or anything else, stood; but not in names."""
    plain = json.loads(json.dumps(plain))
    for _ in range(3):
        holder, key = draw(_place(plain))
        if key not in ("name", "dependencies") and not (isinstance(holder, list) and isinstance(holder[key], str)):
            holder[key] = draw(st.sampled_from([secret, [secret], {"key": secret}, secret + "\x00"]))
    return plain
