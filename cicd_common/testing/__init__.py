"""The test kit: for those who test a CLI, a Backend or a Worker that is built on this package."""

from .fake_backend import Applied, FakeBackend, Started, TakenOver

__all__ = ["Applied", "FakeBackend", "Started", "TakenOver"]
