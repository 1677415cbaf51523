"""The rules of a pipeline definition, and their messages."""

import itertools
import random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicd_common import ContractError
from cicd_common.model import Job, Pipeline
from cicd_common.testing import strategies
from tests.support.moves import job, pipeline


def problems(*stages):
    with pytest.raises(ContractError) as caught:
        pipeline(*stages)
    assert caught.value.type is Pipeline
    assert {problem.code for problem in caught.value.problems} == {"value"}
    return [(problem.pointer, problem.message) for problem in caught.value.problems]


def cycle_in(*jobs):
    """The names of the jobs in the cycle that the error names."""
    [(_, message)] = problems(list(jobs))
    return message.removeprefix("expected no cycle of dependencies, found ").split(" -> ")


class TestNamesAndIds:
    def test_two_stages_of_one_name(self):
        """Every stage with the name of an earlier stage is a problem."""
        stages = [attrs.evolve(stage, name="same") for stage in pipeline(["a"], ["b"], ["c"]).stages]
        with pytest.raises(ContractError) as caught:
            attrs.evolve(pipeline(["x"]), stages=tuple(stages))
        assert [(problem.pointer, problem.message) for problem in caught.value.problems] == [
            ("/stages/1/name", "expected one stage named same, found another"),
            ("/stages/2/name", "expected one stage named same, found another"),
        ]

    def test_two_jobs_of_one_name(self):
        """Every job with the name of an earlier job is a problem, in the same stage or in another."""
        assert problems(["a", "a"], ["a"]) == [
            ("/stages/0/jobs/1/name", "expected one job named a, found another"),
            ("/stages/1/jobs/0/name", "expected one job named a, found another"),
        ]

    def test_two_of_one_id(self):
        """Two jobs or two stages with one id are refused, because records refer to them by id."""
        first = job("a")
        found = problems([first, job("b", id=first.id)])
        assert found == [
            ("/stages/0/jobs/1/id", "expected another id for the job b, found that of a job before it"),
        ]
        stage = pipeline(["a"]).stages[0]
        with pytest.raises(ContractError, match="/stages/1/id: expected another id for the stage other"):
            attrs.evolve(pipeline(["x"]), stages=(stage, attrs.evolve(stage, name="other", jobs=(job("b"),))))

    def test_one_job_twice(self):
        """A repeated job has two problems, its name and its id, in the same stage or in another."""
        same = job("a")
        for stages, pointer in (([[same, same]], "/stages/0/jobs/1"), ([[same], [same]], "/stages/1/jobs/0")):
            assert problems(*stages) == [
                (f"{pointer}/name", "expected one job named a, found another"),
                (f"{pointer}/id", "expected another id for the job a, found that of a job before it"),
            ]

    def test_one_stage_twice(self):
        """A repeated stage with other jobs has two problems, its name and its id."""
        stage = pipeline(["a"]).stages[0]
        with pytest.raises(ContractError) as caught:
            attrs.evolve(pipeline(["x"]), stages=(stage, attrs.evolve(stage, jobs=(job("b"),))))
        assert [(problem.pointer, problem.code, problem.message) for problem in caught.value.problems] == [
            ("/stages/1/name", "value", f"expected one stage named {stage.name}, found another"),
            (
                "/stages/1/id",
                "value",
                f"expected another id for the stage {stage.name}, found that of a stage before it",
            ),
        ]


class TestScript:
    def test_a_job_of_the_kind_script_has_commands(self) -> None:
        """A job of the kind script needs a command. A job of another kind does not."""
        assert Job(name="a", kind="http-check").script == ()
        with pytest.raises(ContractError, match="/script: expected at least one command for a job of the kind script"):
            Job(name="a")


class TestDependencies:
    def test_one_wrong_job_and_nothing_else(self):
        """A dependency on an unknown job, or of a job on itself, is a problem."""
        for name, message in (
            ("a", "expected job a not to depend on itself"),
            ("b", "expected job a to depend on jobs of this pipeline, which has no job b"),
        ):
            assert problems([job("a", name)]) == [("/stages/0/jobs/0/dependencies/0", message)]

    def test_all_that_is_wrong_is_told_at_once(self):
        """All wrong dependencies are listed: on the job itself, on an unknown job, and on a later stage."""
        found = problems([job("a", "a"), job("b", "a", "nowhere", "late")], ["late"])
        assert found == [
            ("/stages/0/jobs/0/dependencies/0", "expected job a not to depend on itself"),
            (
                "/stages/0/jobs/1/dependencies/1",
                "expected job b to depend on jobs of this pipeline, which has no job nowhere",
            ),
            (
                "/stages/0/jobs/1/dependencies/2",
                "expected job b not to depend on job late, which is in a later stage",
            ),
        ]

    def test_on_an_earlier_stage_and_on_one_s_own(self):
        """Dependencies on earlier stages and on the same stage are valid, also if repeated."""
        made = pipeline(["a"], [job("b", "a", "c", "c"), "c"])
        assert made.stages[1].jobs[0].dependencies == ("a", "c", "c")


class TestCycles:
    def test_each_waits_for_the_one_behind_it(self):
        """The message names the jobs of the cycle, each before its dependency, and repeats the first one at the end."""
        found = cycle_in(job("a", "b"), job("b", "c"), job("c", "a"))
        assert found in (["a", "b", "c", "a"], ["b", "c", "a", "b"], ["c", "a", "b", "c"])

    @pytest.mark.parametrize("needs", [("b", "d"), ("d", "b")])
    def test_the_shortest_way_round(self, needs):
        """The message names the shortest cycle, in any order of the dependencies."""
        jobs = [job("a", *needs), job("b", "c"), job("c", "a"), job("d", "a")]
        found = cycle_in(*jobs)
        assert set(found) == {"a", "d"}

    def test_two_ways_round_of_one_length(self):
        """Of two cycles of the same length, either can be named."""
        found = cycle_in(job("a", "b", "c"), job("b", "d"), job("c", "d"), job("d", "a"))
        assert len(found) == 4
        assert set(found) in ({"a", "b", "d"}, {"a", "c", "d"})

    def test_jobs_that_only_wait_for_a_cycle_are_not_part_of_it(self):
        """Jobs before or after a cycle are not part of the message."""
        found = cycle_in(job("before"), job("a", "b", "before"), job("b", "a"), job("after", "a"), job("last", "after"))
        assert set(found) == {"a", "b"}
        assert set(cycle_in(job("after", "a"), job("a", "b"), job("b", "a"))) == {"a", "b"}

    def test_in_a_later_stage(self):
        """A cycle in a later stage has the pointer of a job in it."""
        found = problems(["x"], ["y", job("a", "b"), job("b", "a")])
        assert found == [("/stages/1/jobs/1/dependencies", "expected no cycle of dependencies, found a -> b -> a")]

    @given(strategies.pipelines(max_stages=1, max_jobs=6), st.data())
    def test_a_dependency_more_closes_a_cycle_or_leaves_a_pipeline(self, made, data):
        """A new dependency is refused exactly if it closes a cycle, and the message names a shortest cycle."""
        jobs = list(made.stages[0].jobs)
        at = data.draw(st.integers(0, len(jobs) - 1))
        other = data.draw(st.sampled_from([each.name for each in jobs]))
        jobs[at] = attrs.evolve(jobs[at], dependencies=(*jobs[at].dependencies, other))
        needs = {each.name: set(each.dependencies) for each in jobs}
        if other == jobs[at].name:
            return
        if distance(needs, other, jobs[at].name) is None:
            assert pipeline(jobs).stages[0].jobs == tuple(jobs)
            return
        [(_, message)] = problems(jobs)
        found = message.removeprefix("expected no cycle of dependencies, found ")
        names = next(path for path in paths(found, set(needs)) if path[0] == path[-1])
        assert all(after in needs[before] for before, after in itertools.pairwise(names))
        assert len(names) - 1 == 1 + min(
            distance(needs, each, names[0]) for each in needs[names[0]] & reachers(needs, names[0])
        )

    @pytest.mark.no_cover
    def test_a_hundred_thousand_jobs_in_a_circle(self):
        """A cycle of 100,000 jobs is named without reaching the recursion limit."""
        count = 100_000
        jobs = [job(str(at), str((at + 1) % count)) for at in range(count)]
        random.Random(1).shuffle(jobs)
        found = cycle_in(*jobs)
        assert len(found) == count + 1
        assert found[0] == found[-1]


def distance(needs, start, goal):
    """The least number of dependencies from one job to another, or None if there is no path."""
    reached, steps = {start}, 0
    while goal not in reached:
        more = reached.union(*(needs[name] for name in reached))
        if more == reached:
            return None
        reached, steps = more, steps + 1
    return steps


def reachers(needs, goal):
    return {name for name in needs if distance(needs, name, goal) is not None}


def paths(text, names):
    """All ways to read a text as a path of names, which may contain arrows themselves."""
    for name in names:
        if text == name:
            yield [name]
        if text.startswith(f"{name} -> "):
            yield from ([name, *rest] for rest in paths(text.removeprefix(f"{name} -> "), names))
