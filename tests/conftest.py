"""Profiles of hypothesis, and the choice of tests that run without coverage.

The profile is ``ci`` where ``CI`` is set, and ``default`` elsewhere; ``HYPOTHESIS_PROFILE`` names another one.

Coverage makes tests about three times as slow, and random examples cover lines by chance. So property tests run without
coverage, unless they are marked ``cover``. Other slow tests are marked ``no_cover`` (a marker of pytest-cov) if faster
tests cover the same lines.
"""

import os
import sys

import pytest
from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "default", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, database=None)
settings.register_profile("quick", settings.get_profile("ci"), max_examples=5, stateful_step_count=15)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=1_000)
# Show a failure as it was found: shrinking a document takes minutes.
settings.register_profile("unshrunk", settings.get_profile("default"), phases=[Phase.explicit, Phase.generate])

settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))


def pytest_configure(config):
    config.addinivalue_line("markers", "cover: measure coverage by this property test.")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Run tests without coverage last, because a cached function runs only in its first call."""
    for item in items:
        is_property_test = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if is_property_test and not item.get_closest_marker("cover"):
            item.add_marker("no_cover")
    items.sort(key=lambda item: item.get_closest_marker("no_cover") is not None)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item):
    """Run a test that is marked ``no_cover`` without coverage in a process of xdist, too.

    pytest-cov 7.1 starts two measurements there, and pauses only one.
    """
    tracer = sys.gettrace()
    if item.get_closest_marker("no_cover"):
        sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
