"""Conformance kits: base classes of tests that check whether a Backend or a Worker keeps the contract.

They need pytest, hypothesis and httpx, which the extra ``testing`` installs.
"""

import pytest

# Assertions of the kits then show their values, as in a test module. This must precede the import of the kits.
pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in ("backend", "client", "machine", "worker")))

from ..backend_api import Paths  # noqa: E402
from .backend import BackendConformance  # noqa: E402
from .client import client_of  # noqa: E402
from .worker import WorkerConformance  # noqa: E402

__all__ = ["BackendConformance", "Paths", "WorkerConformance", "client_of"]
