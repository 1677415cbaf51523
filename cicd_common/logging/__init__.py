"""CicdLogger: one logging system for CLI, Backend and Worker. Importing it sets up nothing."""

from .capture import capture_logs
from .configuration import configure
from .console_format import ConsoleFormatter
from .context import execution_context, propagate_context
from .execution_log import ExecutionLogHandler
from .failures import mask_logging_errors
from .handler import LineHandler
from .json_format import JsonFormatter
from .logger import CicdLogger, get_logger
from .masking import SecretMasker
from .masking_stream import MaskingStream

__all__ = [
    "CicdLogger",
    "ConsoleFormatter",
    "ExecutionLogHandler",
    "JsonFormatter",
    "LineHandler",
    "MaskingStream",
    "SecretMasker",
    "capture_logs",
    "configure",
    "execution_context",
    "get_logger",
    "mask_logging_errors",
    "propagate_context",
]
