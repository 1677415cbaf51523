"""For each broken Backend and Worker, exactly the tests in `fails` must fail."""

import pytest

LEFT_OUT = {
    "test_any_system_ends_as_the_model_does",
    "test_a_worker_that_is_heard_of_keeps_its_job",
    "test_a_lost_job_goes_to_the_next_attempt",
    "test_is_heard_of_while_its_job_is_silent",
}


def pytest_collection_modifyitems(items):
    """Mark the tests that a class names in `fails` as expected failures, and leave out slow tests."""
    for item in list(items):
        fails = getattr(getattr(item, "cls", None), "fails", None)
        if fails is None:
            continue
        item.add_marker(pytest.mark.no_cover)  # Correct Backends and Workers cover the kits.
        if item.name in fails:
            item.add_marker(pytest.mark.xfail(strict=True, raises=(AssertionError, pytest.fail.Exception)))
        elif item.originalname in LEFT_OUT:
            items.remove(item)
