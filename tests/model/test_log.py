"""The executions to which a log record belongs."""

import attrs
import pytest

from cicd_common import ContractError
from cicd_common.model import ExecutionLog
from tests.support.golden_files import full

EXECUTIONS = ("pipeline_execution_id", "stage_execution_id", "job_execution_id")


class TestExecutionLog:
    @pytest.mark.parametrize("execution", EXECUTIONS)
    def test_one_execution_is_enough(self, execution: str) -> None:
        """The id of any one execution is enough."""
        log = attrs.evolve(full(ExecutionLog), **dict.fromkeys({*EXECUTIONS} - {execution}))

        assert [execution] == [each for each in EXECUTIONS if getattr(log, each) is not None]

    def test_none_is_not(self) -> None:
        """A log record without any id is refused, and the message names the fields."""
        with pytest.raises(ContractError, match=f"expected at least one of {EXECUTIONS[0]}, {EXECUTIONS[1]} and"):
            attrs.evolve(full(ExecutionLog), **dict.fromkeys(EXECUTIONS))
