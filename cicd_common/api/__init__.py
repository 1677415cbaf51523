"""The messages between the CLI, the Backend and the Worker: `request` and `response`."""

# Requests hold definitions, and executions take in requests: the models are imported first, whoever asks first.
from .. import model as _model  # noqa: F401
