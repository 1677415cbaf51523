"""The common module of a CI/CD system: what its CLI, its Backend and its Worker share.

`loads` and `dumps` read and write JSON. The messages are in `cicd_common.api`, the models in `cicd_common.model`.
The guides are in the directory ``docs`` of the project, and begin with ``docs/index.md``.
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
