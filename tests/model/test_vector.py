"""The persistent vector, against the tuple that it stands for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicd_common.model.vector import Vector

EDGES = (0, 1, 31, 32, 33, 1023, 1024, 1025, 32768, 32769)


class TestVector:
    @pytest.mark.parametrize("length", EDGES)
    def test_it_holds_what_it_was_made_of(self, length):
        """By iteration and by index, on both sides of each change of depth."""
        vector = Vector.of(range(length))
        assert list(vector) == list(range(length))
        assert [vector[at] for at in range(length)] == list(range(length))

    @given(st.sampled_from(EDGES[1:-2]), st.lists(st.tuples(st.integers(0), st.integers())))
    def test_changes_equal_those_of_a_list(self, length, changes):
        """And leave the vector that was changed as it was."""
        model = list(range(length))
        vector = first = Vector.of(model)
        for at, value in changes:
            vector = vector.put(at % length, value)
            model[at % length] = value
        assert list(vector) == model
        assert list(first) == list(range(length))

    def test_a_change_shares_all_but_one_path(self):
        """Of the 32 nodes below the root, 31 are the same objects."""
        before = Vector.of(range(1024))
        after = before.put(500, -1)
        assert sum(a is b for a, b in zip(before.root, after.root, strict=True)) == 31
