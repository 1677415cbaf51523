"""What a piece of a log is of."""

import attrs
import pytest

from cicd_common import ContractError
from cicd_common.model import ExecutionLog
from tests.support.golden_files import full

EXECUTIONS = ("pipeline_execution_id", "stage_execution_id", "job_execution_id")


class TestExecutionLog:
    @pytest.mark.parametrize("execution", EXECUTIONS)
    def test_one_execution_is_enough(self, execution: str) -> None:
        """Whichever it is of."""
        log = attrs.evolve(full(ExecutionLog), **dict.fromkeys({*EXECUTIONS} - {execution}))

        assert [execution] == [each for each in EXECUTIONS if getattr(log, each) is not None]

    def test_none_is_not(self) -> None:
        """It says which there are."""
        with pytest.raises(ContractError, match=f"expected at least one of {EXECUTIONS[0]}, {EXECUTIONS[1]} and"):
            attrs.evolve(full(ExecutionLog), **dict.fromkeys(EXECUTIONS))
