"""The strategies draw the values that they promise, without which property tests would prove little."""

import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, date, datetime
from itertools import product
from typing import Annotated, Any, get_type_hints
from uuid import UUID

import attrs
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning, NoSuchExample

from cicd_common import ExecutionStatus, converter
from cicd_common.api.request import Artifact, JobStatusUpdate
from cicd_common.api.response import JobExecutionResponse
from cicd_common.dto import JobDTO
from cicd_common.fields import Between, Name, Refusal, Rule, split
from cicd_common.fields.times import read_time
from cicd_common.fields.uuids import read_uuid
from cicd_common.model import Job, Pipeline, PipelineExecution, Plan, Stage, StatusCounts
from cicd_common.testing.strategies import (
    History,
    deliveries,
    executions,
    from_type,
    histories,
    integers,
    names,
    pipelines,
    relative_paths,
    texts,
    times,
    uuids,
)
from cicd_common.testing.strategies.documents import Document, documents, time_texts, uuid_texts
from cicd_common.testing.strategies.leaves import ASTRAL
from cicd_common.values import Environment, JsonObject
from tests.support.contract import ENGINES, TYPES, name_of
from tests.support.moves import MOMENT
from tests.support.strategies import deep_pipeline

# Without shrinking, which takes long and is not needed here.
SOON = settings(
    max_examples=5_000,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)


def found(strategy: st.SearchStrategy[Any], condition: Callable[[Any], bool]) -> Any:
    """Return a value of the strategy that satisfies the condition, or fail if there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HypothesisWarning)  # The repr of a pipeline is long.
        return find(strategy, condition, settings=SOON)


def seen(strategy: st.SearchStrategy[Any], facts: Callable[[Any], Iterable[Any]], wanted: set[Any]) -> set[Any]:
    """Draw values until each wanted fact has held for one of them, and return the wanted facts that have held."""
    held: set[Any] = set()

    def are_all_held(value: Any) -> bool:
        held.update(facts(value))
        return held >= wanted

    with suppress(NoSuchExample):
        found(strategy, are_all_held)
    return held & wanted


def accepts(read: Callable[[str], Any]) -> Callable[[str], bool]:
    def is_accepted(text: str) -> bool:
        try:
            read(text)
        except Refusal:
            return False
        return True

    return is_accepted


class TestLeaves:
    @pytest.mark.parametrize("edge", ["", "\x00", ASTRAL, "\u2028", '"', "\\"])
    def test_texts_hold_what_is_written_in_another_way(self, edge: str) -> None:
        """Texts are empty or have characters beyond the first plane, controls, or quotes."""
        assert edge in found(texts(), lambda text: edge in text if edge else not text)

    def test_texts_may_be_long(self) -> None:
        """Some texts are longer than any buffer of a parser."""
        assert len(found(texts(), lambda text: len(text) > 5_000)) > 5_000

    @pytest.mark.parametrize("length", [1, 255])
    def test_names_are_as_short_and_as_long_as_they_may_be(self, length: int) -> None:
        """Names have from 1 to 255 characters."""
        assert length == len(found(names(), lambda name: len(name) == length))

    @pytest.mark.parametrize("limit", [-(2**63), -1, 0, 1, 2**63 - 1])
    def test_integers_reach_their_limits(self, limit: int) -> None:
        """Integers are drawn at both limits and between them."""
        assert limit == found(integers(), lambda value: value == limit)

    @pytest.mark.parametrize("year", [1, 9999])
    def test_times_reach_the_first_and_the_last_year(self, year: int) -> None:
        """Times in UTC reach the years 1 and 9999."""
        assert year == found(times(), lambda time: time.astimezone(UTC).year == year).astimezone(UTC).year

    @pytest.mark.parametrize("sign", [-1, 1])
    def test_times_have_offsets(self, sign: int) -> None:
        """Times have offsets to the east and to the west."""
        time = found(times(), lambda each: sign * each.utcoffset().total_seconds() > 0)

        assert isinstance(time, datetime)

    def test_uuids_are_of_any_version(self) -> None:
        """UUIDs have any version, and one has only zeros."""
        assert UUID(int=0) == found(uuids(), lambda uuid: uuid.int == 0)
        assert found(uuids(), lambda uuid: uuid.variant != "specified in RFC 4122") is not None

    def test_paths_have_parts(self) -> None:
        """Some paths have more than one part."""
        assert "/" in found(relative_paths(), lambda path: "/" in path)


class TestTypes:
    @pytest.mark.no_cover
    @pytest.mark.parametrize("cls", TYPES, ids=name_of)
    def test_every_field_that_may_be_null_is_and_is_not(self, cls: type) -> None:
        """Each optional field is drawn as None and with a value."""
        hints = get_type_hints(cls, include_extras=True)
        optional = [name for name in attrs.fields_dict(cls) if split(hints[name])[2]]
        wanted = set(product(optional, (True, False)))

        assert wanted == seen(
            from_type(cls), lambda each: [(name, getattr(each, name) is None) for name in optional], wanted
        )

    @pytest.mark.parametrize("cls", [JobStatusUpdate, Job], ids=name_of)
    def test_documents_are_good_and_bad_in_every_way(self, cls: type) -> None:
        """Some documents are valid, and each kind of problem is drawn."""

        def codes(document: Document[Any]) -> list[str | None]:
            return [None] if document.value is not None else [problem.code for problem in document.problems]

        wanted = {None, "syntax", "missing", "type", "value"}

        assert wanted == seen(documents(cls), codes, wanted)


class TestPipelines:
    def test_jobs_wait_for_earlier_stages(self) -> None:
        """Some jobs depend on jobs of earlier stages."""

        def crosses(pipeline: Pipeline) -> bool:
            first = {job.name for job in pipeline.stages[0].jobs}
            return any(first & set(job.dependencies) for stage in pipeline.stages[1:] for job in stage.jobs)

        assert len(found(pipelines(), crosses).stages) > 1

    def test_jobs_wait_for_jobs_further_down_in_their_stage(self) -> None:
        """Some jobs depend on jobs that are defined after them."""

        def looks_ahead(pipeline: Pipeline) -> bool:
            return any(
                set(stage.jobs[at].dependencies) & {job.name for job in stage.jobs[at + 1 :]}
                for stage in pipeline.stages
                for at in range(len(stage.jobs))
            )

        assert looks_ahead(found(pipelines(), looks_ahead))

    def test_a_dependency_may_be_named_twice(self) -> None:
        """Some jobs name a dependency twice, which changes nothing."""

        def repeats(pipeline: Pipeline) -> bool:
            jobs = [job for stage in pipeline.stages for job in stage.jobs]
            return any(len(set(job.dependencies)) < len(job.dependencies) for job in jobs)

        assert repeats(found(pipelines(), repeats))

    def test_executions_are_of_their_pipeline(self) -> None:
        """Executions have the jobs of their pipeline, in states of every kind."""

        def is_mixed(execution: PipelineExecution) -> bool:
            return len({job.status for stage in execution.stages for job in stage.jobs}) > 2

        execution = found(from_type(PipelineExecution), is_mixed)

        assert [stage.jobs for stage in execution.pipeline.stages] == [
            tuple(job.job for job in stage.jobs) for stage in execution.stages
        ]

    def test_executions_may_be_canceled(self) -> None:
        """Executions are canceled before their first job or after it."""
        assert found(executions(), lambda each: each.canceled_at is not None and each.start_time is None)
        assert found(executions(), lambda each: each.canceled_at is not None and each.start_time is not None)

    @pytest.mark.parametrize("engine", ENGINES, ids=name_of)
    def test_a_deep_pipeline_travels(self, engine: Any) -> None:
        """A pipeline of 2,000 stages, in which each job depends on the one before, and its run are read back."""
        pipeline = deep_pipeline(2_000)
        execution = PipelineExecution.of(pipeline, run_number=1)

        assert pipeline == engine.loads(engine.dumps(pipeline), Pipeline)
        assert execution == engine.loads(engine.dumps(execution), PipelineExecution)


class TestHistories:
    @given(pipelines(max_jobs=5), st.data())
    def test_any_delivery_ends_in_the_same_run(self, pipeline: Pipeline, data: st.DataObject) -> None:
        """Every job of the run ends, and the order of delivery makes no difference."""
        history = data.draw(histories(pipeline))
        ends = set()
        for updates in (history.updates, data.draw(deliveries(history))):
            execution, _ = history.execution.hand_out(MOMENT)
            for update in updates:
                execution, _ = execution.apply(update)
                execution, _ = execution.hand_out(MOMENT)
            ends.add(execution)
        (end,) = ends
        assert end.status.is_terminal

    @pytest.mark.parametrize("status", [status for status in ExecutionStatus if status.is_terminal])
    def test_runs_end_in_every_way(self, status: ExecutionStatus) -> None:
        """Some runs succeed, some fail, and some are canceled."""

        def end_of(history: History) -> ExecutionStatus:
            execution = history.execution
            for updates in history.rounds:
                execution, _ = execution.hand_out(MOMENT)
                for update in updates:
                    execution, _ = execution.apply(update)
            return execution.status

        assert end_of(found(pipelines().flatmap(histories), lambda history: end_of(history) is status)) is status

    def test_deliveries_repeat_and_reorder(self) -> None:
        """A delivery differs from the history in more than its repeats."""

        def is_mixed(pair: tuple[History, tuple[JobStatusUpdate, ...]]) -> bool:
            history, arrived = pair
            return len(arrived) > len(history.updates) and tuple(dict.fromkeys(arrived)) != history.updates

        both = pipelines().flatmap(histories).flatmap(lambda each: st.tuples(st.just(each), deliveries(each)))
        history, arrived = found(both, is_mixed)

        assert set(arrived) == set(history.updates)


class TestPipelineKnobs:
    @given(pipelines(min_jobs=3, max_jobs=4, max_stages=2, kinds=["script", "acme.http-check"]))
    def test_a_pipeline_has_what_was_asked_for(self, pipeline: Pipeline) -> None:
        """Jobs, stages and kinds are within the given bounds."""
        jobs = [job for stage in pipeline.stages for job in stage.jobs]
        assert 3 <= len(jobs) <= 4
        assert len(pipeline.stages) <= 2
        assert {job.kind for job in jobs} <= {"script", "acme.http-check"}

    @pytest.mark.no_cover
    def test_the_smallest_pipeline_is_small(self) -> None:
        """A failing test of a user shrinks to one job without irrelevant values."""
        smallest = find(pipelines(kinds=["script"]), lambda _: True, settings=settings(database=None))
        (stage,) = smallest.stages
        (job,) = stage.jobs
        assert (job.script, job.dependencies, job.artifacts, job.environment) == (("true",), (), (), Environment())
        assert len(repr(smallest)) < 1_000


@attrs.frozen(kw_only=True)
class Deployment:
    """A user's class with annotations of the contract and of the standard library, and with another rule."""

    target: Name
    port: Annotated[int, Rule("a port", Between(1, 65_535))]
    even: Annotated[int, Rule("an even number", lambda value: value % 2 == 0)]
    due: date
    update: JobStatusUpdate | None
    others: "tuple[Deployment, ...]" = ()
    version: tuple[int, str] = (1, "a")
    nothing: tuple[()] = ()
    _secret: bool = attrs.field(init=False, default=False)


class TestClassesOfUsers:
    @given(from_type(Deployment))
    def test_are_drawn_by_their_annotations(self, deployment: Deployment) -> None:
        """Rules hold, also in nested classes, and fields without an argument have their default."""
        assert 1 <= deployment.port <= 65_535
        assert deployment.even % 2 == 0
        assert isinstance(deployment.due, date)
        assert not deployment._secret
        assert converter.loads(converter.dumps(deployment), Deployment) == deployment

    def test_may_hold_others_of_their_own(self) -> None:
        """A recursive class is drawn, some values with instances of itself."""
        assert found(from_type(Deployment), lambda each: len(each.others) > 0).others


class TestPlainHypothesis:
    """The entry point registered the types before this module was imported."""

    @pytest.mark.parametrize("cls", [*TYPES, Plan, StatusCounts], ids=name_of)
    def test_from_type(self, cls: type) -> None:
        """Every exported type is drawn without an import of the kit."""
        assert isinstance(found(st.from_type(cls), lambda _: True), cls)

    @pytest.mark.parametrize("cls", [JobStatusUpdate, JobDTO, Stage, JobExecutionResponse, Artifact], ids=name_of)
    def test_builds(self, cls: type) -> None:
        """`st.builds` draws arguments that the rules of the fields accept."""
        assert isinstance(found(st.builds(cls), lambda _: True), cls)

    def test_rules_of_ones_own_are_passed_over(self) -> None:
        """Hypothesis draws any value of the type, since it does not know the user's rule."""
        assert found(st.from_type(Annotated[int, Rule("an odd number", bool)]), lambda value: value == 0) == 0

    @pytest.mark.parametrize(
        "first",
        ["hypothesis", "cicd_common.testing", "cicd_common.testing.strategies", "cicd_common.testing.registration"],
    )
    def test_needs_no_import(self, first: str) -> None:
        """A type of the contract is drawn, whatever module is imported first."""
        program = (
            f"import {first}; from hypothesis import Phase, find, settings, strategies as st\n"
            "from cicd_common.model import Job\n"
            "as_drawn = settings(phases=[Phase.generate], database=None)\n"
            "print(type(find(st.from_type(Job), bool, settings=as_drawn)).__name__)"
        )
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
        assert ran.stdout == "Job\n"


@given(...)
def test_given_reads_annotations(update: JobStatusUpdate, environment: Environment, parameters: JsonObject) -> None:
    """`@given(...)` draws the arguments of a test by their annotations."""
    assert converter.loads(converter.dumps(update), JobStatusUpdate) == update
    assert isinstance(environment, Environment)
    assert isinstance(parameters, JsonObject)


class TestTextForms:
    @pytest.mark.parametrize(("strategy", "read"), [(time_texts(), read_time), (uuid_texts(), read_uuid)])
    def test_right_and_wrong(self, strategy: st.SearchStrategy[str], read: Callable[[str], Any]) -> None:
        """Both valid and invalid texts are drawn."""
        assert accepts(read)(found(strategy, accepts(read)))
        assert not accepts(read)(found(strategy, lambda text: not accepts(read)(text)))

    def test_fractions_of_seconds_have_any_length(self) -> None:
        """Times have fractions of seconds that are longer and shorter than microseconds."""
        assert found(time_texts(), lambda text: accepts(read_time)(text) and re.search(r"\.\d{3}\D", text))
        assert found(time_texts(), lambda text: re.search(r"\.\d{7,}", text))
