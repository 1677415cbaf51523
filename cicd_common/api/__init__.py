"""The messages between the CLI, the Backend and the Worker: `request` and `response`."""

# Requests hold definitions, and executions read requests. Import the models first, or the two import each other.
from .. import model as _model  # noqa: F401
