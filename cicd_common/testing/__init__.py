"""The test kit for a CLI, a Backend or a Worker that is built on this package."""

from .fake_backend import Applied, FakeBackend, Started, TakenOver

__all__ = ["Applied", "FakeBackend", "Started", "TakenOver"]
