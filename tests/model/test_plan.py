"""The plan of a pipeline: the order in which its jobs run."""

import pytest
from hypothesis import given

from cicd_common.model import PipelineExecution, Plan
from cicd_common.testing import strategies
from tests.support.moves import MOMENT, SUCCESS, job, pipeline, update


class TestPlan:
    def test_waves(self):
        """A job is in the wave after its last dependency."""
        plan = Plan.of(pipeline(["a", job("c", "b"), job("b", "a"), job("d", "a")], [job("e", "c")]))
        assert [stage.waves for stage in plan.stages] == [(("a",), ("b", "d"), ("c",)), (("e",),)]
        assert [stage.name for stage in plan.stages] == ["stage 0", "stage 1"]

    def test_as_text(self):
        """The text of a plan lists the waves of each stage."""
        text = str(Plan.of(pipeline(["a", "b", job("c", "a")], ["d"])))
        assert text == "stage 0:\n  1. a, b\n  2. c\nstage 1:\n  1. d"

    @given(strategies.pipelines())
    def test_it_comes_true_if_every_job_takes_as_long(self, pipeline):
        """If all jobs of a wave are handed out and succeed, the next ready jobs are the next wave."""
        execution = PipelineExecution.of(pipeline, run_number=1)
        waves = []
        while not execution.status.is_terminal:
            execution, jobs = execution.hand_out(MOMENT)
            waves.append(tuple(each.job.name for each in jobs))
            for each in jobs:
                execution, _ = execution.apply(update(execution, each.job.name, 1, SUCCESS))
        assert waves == [wave for stage in Plan.of(pipeline).stages for wave in stage.waves]


@pytest.mark.no_cover
class TestLength:
    """Plans of 100,000 jobs, without reaching the recursion limit."""

    COUNT = 100_000

    def test_chain(self):
        """Each job depends on the job before it."""
        jobs = [job(str(at), *([str(at - 1)] if at else [])) for at in range(self.COUNT)]
        plan = Plan.of(pipeline(jobs))
        assert len(plan.stages[0].waves) == self.COUNT

    def test_lattice(self):
        """Each job depends on two jobs of the row before it."""
        rows, width = self.COUNT // 100, 100
        jobs = [
            job(f"{row}/{at}", *([f"{row - 1}/{at}", f"{row - 1}/{(at + 1) % width}"] if row else []))
            for row in range(rows)
            for at in range(width)
        ]
        assert [len(wave) for wave in Plan.of(pipeline(jobs)).stages[0].waves] == [width] * rows

    def test_fan(self):
        """The last job depends on all jobs between, and these depend on the first job."""
        names = [str(at) for at in range(self.COUNT - 2)]
        jobs = [job("first"), *(job(name, "first") for name in names), job("last", *names)]
        assert [len(wave) for wave in Plan.of(pipeline(jobs)).stages[0].waves] == [1, self.COUNT - 2, 1]
