"""How hypothesis runs: the same every time where ``CI`` is set, and thoroughly where it is asked to.

Coverage makes tests about three times as slow, and what random examples run is covered by chance. So it is measured by
tests with fixed examples: property tests run without it, unless they are marked ``cover``. Other tests that take long
are marked ``no_cover``, a marker of pytest-cov, where the lines that they run are covered by others, too.
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
# Shows a failure at once, as it was found: to shrink a document takes minutes.
settings.register_profile("unshrunk", settings.get_profile("default"), phases=[Phase.explicit, Phase.generate])

settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))


def pytest_configure(config):
    config.addinivalue_line("markers", "cover: measure coverage by this property test.")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Run tests without coverage last: functions with a cache are covered by their first call alone."""
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
