"""Rules about several fields of requests, and the level of a report."""

import attrs
import pytest

from cicd_common import ContractError
from cicd_common.api.request import PipelineExecutionRequest, ReportRequest
from tests.support.golden_files import full


class TestPipelineExecutionRequest:
    WAYS = ("pipeline_id", "file_path", "pipeline")

    @pytest.mark.parametrize("way", WAYS)
    def test_one_way_to_say_which_pipeline_is_enough(self, way: str) -> None:
        """A pipeline id, a file path or a pipeline is enough."""
        request = attrs.evolve(full(PipelineExecutionRequest), **dict.fromkeys({*self.WAYS} - {way}))

        assert [way] == [each for each in self.WAYS if getattr(request, each) is not None]

    def test_none_is_not(self) -> None:
        """A request without a pipeline is refused, and the message names the fields."""
        with pytest.raises(ContractError, match="expected at least one of pipeline_id, file_path and pipeline"):
            attrs.evolve(full(PipelineExecutionRequest), **dict.fromkeys(self.WAYS))


class TestReportRequest:
    @pytest.mark.parametrize(
        ("names", "level"),
        [({}, "pipeline"), ({"stage_name": "s"}, "stage"), ({"stage_name": "s", "job_name": "j"}, "job")],
    )
    def test_its_level_is_that_of_the_last_name_given(self, names: dict[str, str], level: str) -> None:
        """The level of a report is that of its last name: pipeline, stage or job."""
        assert level == ReportRequest(pipeline_name="p", **names).level  # type: ignore[arg-type]

    def test_a_job_needs_its_stage(self) -> None:
        """A request with a job and without its stage is refused."""
        with pytest.raises(ContractError, match="/stage_name: expected the name of the job's stage"):
            ReportRequest(pipeline_name="p", job_name="j")

    @pytest.mark.parametrize("limit", [1, 20, 1000])
    def test_pages_hold_1_to_1000(self, limit: int) -> None:
        """A page limit of 1 to 1000 is accepted, and the default is 20."""
        assert limit == ReportRequest(pipeline_name="p", **({} if limit == 20 else {"limit": limit})).limit
