"""What systems run on in tests is theirs alone."""

from __future__ import annotations

import pytest

from tests.support.examples.settings import SETTINGS


@pytest.mark.parametrize("name", SETTINGS)
def test_setting(tmp_path, name):
    """Each has a store and a queue of its own."""
    with SETTINGS[name](tmp_path / "a") as one, SETTINGS[name](tmp_path / "b") as other:
        assert one.name == other.name == name
        assert one.store != other.store
        assert (one.broker, one.queue) != (other.broker, other.queue)
