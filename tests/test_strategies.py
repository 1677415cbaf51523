"""The strategies reach what they promise: else the properties that rest on them would say little."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_type_hints
from uuid import UUID

import attrs
import pytest
from contract import ENGINES, TYPES, name_of, outcome, read_patiently
from documents import documents, time_texts, uuid_texts
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from strategies import (
    ASTRAL,
    deep_pipeline,
    integers,
    names,
    of,
    pipeline_executions,
    pipelines,
    relative_paths,
    texts,
    times,
    uuids,
)

from cicd_common._rules import Refusal, split
from cicd_common._wire import read_time, read_uuid
from cicd_common.api.request import JobStatusUpdate
from cicd_common.model import Job, Pipeline, PipelineExecution

# Found, and not made small, which would take long and is of no use here.
SOON = settings(
    max_examples=5_000,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)


def found(strategy: st.SearchStrategy[Any], condition: Callable[[Any], bool]) -> Any:
    """A value that the strategy gives and that keeps the condition; an error if there is none."""
    return find(strategy, condition, settings=SOON)


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
        """Characters past the first plane, controls, quotes; and there are empty texts."""
        assert edge in found(texts(), lambda text: edge in text if edge else not text)

    def test_texts_may_be_long(self) -> None:
        """Longer than any buffer of a parser."""
        assert len(found(texts(), lambda text: len(text) > 5_000)) > 5_000

    @pytest.mark.parametrize("length", [1, 255])
    def test_names_are_as_short_and_as_long_as_they_may_be(self, length: int) -> None:
        """From 1 character to 255."""
        assert length == len(found(names(), lambda name: len(name) == length))

    @pytest.mark.parametrize("limit", [-(2**63), -1, 0, 1, 2**63 - 1])
    def test_integers_reach_their_limits(self, limit: int) -> None:
        """Both ends, and the middle."""
        assert limit == found(integers(), lambda value: value == limit)

    @pytest.mark.parametrize("year", [1, 9999])
    def test_times_reach_the_first_and_the_last_year(self, year: int) -> None:
        """In UTC."""
        assert year == found(times(), lambda time: time.astimezone(UTC).year == year).astimezone(UTC).year

    @pytest.mark.parametrize("sign", [-1, 1])
    def test_times_have_offsets(self, sign: int) -> None:
        """East and west."""
        time = found(times(), lambda each: sign * each.utcoffset().total_seconds() > 0)

        assert isinstance(time, datetime)

    def test_uuids_are_of_any_version(self) -> None:
        """The one of zeros, too."""
        assert UUID(int=0) == found(uuids(), lambda uuid: uuid.int == 0)
        assert found(uuids(), lambda uuid: uuid.variant != "specified in RFC 4122") is not None

    def test_paths_have_parts(self) -> None:
        """More than one."""
        assert "/" in found(relative_paths(), lambda path: "/" in path)


class TestTypes:
    @pytest.mark.parametrize("cls", TYPES, ids=name_of)
    def test_every_field_that_may_be_null_is_and_is_not(self, cls: type) -> None:
        """Each by itself."""
        for name, hint in get_type_hints(cls, include_extras=True).items():
            if name in attrs.fields_dict(cls) and split(hint)[2]:
                is_null = of(cls).map(lambda each, name=name: getattr(each, name) is None)
                assert [found(is_null, lambda each: each), found(is_null, lambda each: not each)] == [True, False]

    @pytest.mark.parametrize("code", [None, "syntax", "missing", "type", "value"])
    @pytest.mark.parametrize("cls", [JobStatusUpdate, Job], ids=name_of)
    def test_documents_are_good_and_bad_in_every_way(self, cls: type, code: str | None) -> None:
        """Some are read, and each kind of problem is met."""

        def codes(document: bytes) -> list[str | None]:
            read, told = outcome(read_patiently, document, cls)
            return [None] if read is not None else [problem.code for problem in told]

        assert code in codes(found(documents(cls), lambda document: code in codes(document)))


class TestPipelines:
    def test_jobs_wait_for_earlier_stages(self) -> None:
        """Dependencies cross stages."""

        def crosses(pipeline: Pipeline) -> bool:
            first = {job.name for job in pipeline.stages[0].jobs}
            return any(first & set(job.dependencies) for stage in pipeline.stages[1:] for job in stage.jobs)

        assert len(found(pipelines(), crosses).stages) > 1

    def test_jobs_wait_for_jobs_further_down_in_their_stage(self) -> None:
        """The order of definition is not that of running."""

        def looks_ahead(pipeline: Pipeline) -> bool:
            return any(
                set(stage.jobs[at].dependencies) & {job.name for job in stage.jobs[at + 1 :]}
                for stage in pipeline.stages
                for at in range(len(stage.jobs))
            )

        assert looks_ahead(found(pipelines(), looks_ahead))

    def test_a_dependency_may_be_named_twice(self) -> None:
        """Which changes nothing."""

        def repeats(pipeline: Pipeline) -> bool:
            jobs = [job for stage in pipeline.stages for job in stage.jobs]
            return any(len(set(job.dependencies)) < len(job.dependencies) for job in jobs)

        assert repeats(found(pipelines(), repeats))

    def test_executions_are_of_their_pipeline(self) -> None:
        """Job for job, in states of every kind."""

        def is_mixed(execution: PipelineExecution) -> bool:
            return len({job.status for stage in execution.stages for job in stage.jobs}) > 2

        execution = found(pipeline_executions(), is_mixed)

        assert [stage.jobs for stage in execution.pipeline.stages] == [
            tuple(job.job for job in stage.jobs) for stage in execution.stages
        ]

    @pytest.mark.parametrize("engine", ENGINES, ids=name_of)
    def test_a_deep_pipeline_travels(self, engine: Any) -> None:
        """Of 2,000 stages, each job waiting for the one before; and so does a run of it."""
        pipeline = deep_pipeline(2_000)
        execution = pipeline.new_execution(run_number=1)

        assert pipeline == engine.loads(engine.dumps(pipeline), Pipeline)
        assert execution == engine.loads(engine.dumps(execution), PipelineExecution)


class TestTextForms:
    @pytest.mark.parametrize(("strategy", "read"), [(time_texts(), read_time), (uuid_texts(), read_uuid)])
    def test_right_and_wrong(self, strategy: st.SearchStrategy[str], read: Callable[[str], Any]) -> None:
        """Both are met."""
        assert accepts(read)(found(strategy, accepts(read)))
        assert not accepts(read)(found(strategy, lambda text: not accepts(read)(text)))
