"""The common module of a CI/CD system: messages, models, JSON, a store and a logger for CLI, Backend and Worker.

`dumps` writes a message as JSON, and `loads` reads it::

    >>> from cicd_common import dumps, loads
    >>> from cicd_common.api.request import ReportRequest

    >>> text = dumps(ReportRequest(pipeline_name="app"))
    >>> loads(text, ReportRequest).limit
    20

`loads` raises a `ContractError` that lists every problem of a wrong message.

- `cicd_common.api.request` and `cicd_common.api.response`: the messages between CLI, Backend and Worker.
- `cicd_common.model`: pipelines and their executions; `cicd_common.enums`: statuses and reasons.
- `cicd_common.logging`: a logger with fields that masks secrets.
- `cicd_common.store`, `cicd_common.artifacts`, `cicd_common.testing` and `cicd_common.integrations`: they need extras.

The documentation begins with ``docs/index.md`` in the repository of the project.
"""

from .converter import dumps, loads, make_converter, structure, unstructure
from .enums import ExecutionStatus
from .errors import ContractError, Problem

__all__ = [
    "ContractError",
    "ExecutionStatus",
    "Problem",
    "dumps",
    "loads",
    "make_converter",
    "structure",
    "unstructure",
]

__version__ = "0.2.0"
