"""The common module of a CI/CD system: what its CLI, its Backend and its Worker share."""

from .converter import converter, make_converter
from .enums import ExecutionStatus
from .errors import ContractError, Problem

__all__ = ["ContractError", "ExecutionStatus", "Problem", "converter", "make_converter"]
