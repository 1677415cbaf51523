"""Joining the pieces of a log."""

from hypothesis import given
from hypothesis import strategies as st

from cicd_common.model import LogText
from cicd_common.testing import strategies

chunks = st.dictionaries(st.integers(1, 12), st.text(max_size=3)).map(lambda pieces: list(pieces.items()))


class TestLogText:
    def test_pieces_are_joined_by_sequence(self):
        """Pieces are joined in the order of their sequences, and not of their arrival."""
        assert str(LogText().join([(2, "b"), (1, "a")]).join([(3, "c")])) == "abc"

    @given(chunks, st.randoms(use_true_random=False))
    def test_any_order_and_any_repeats_give_the_same(self, pieces, random):
        """The pieces give the same log in any order and with any repeats."""
        shuffled = [*pieces, *random.sample(pieces, len(pieces) // 2)]
        random.shuffle(shuffled)
        log = LogText()
        for piece in shuffled:
            log = log.join([piece])
        assert log == LogText().join(pieces)

    def test_of_two_texts_for_one_sequence_the_first_one_stands(self):
        """The first text of a sequence is kept, even if it is empty."""
        assert LogText().join([(1, "a"), (1, "longer")]).text == "a"
        assert LogText().join([(1, "")]).join([(1, "b")]).text == ""

    def test_an_empty_piece_is_a_piece(self):
        """An empty piece leaves no gap."""
        assert LogText().join([(1, ""), (2, "b")]).gaps == ()

    def test_nothing_new_is_the_same_log(self):
        """Joining a known piece returns the same object."""
        log = LogText().join([(1, "a")])
        assert log.join([(1, "a")]) is log

    @given(st.sets(st.integers(1, 40)))
    def test_gaps_are_what_is_missing_before_the_last(self, sequences):
        """The gaps are exactly the missing sequences before the last one."""
        gaps = LogText().join((each, "") for each in sequences).gaps
        missing = set(range(1, max(sequences, default=0))) - sequences
        assert [each for gap in gaps for each in gap] == sorted(missing)
        assert all(len(gap) > 0 for gap in gaps)

    @given(st.sets(st.integers(0, 20)), st.integers(0, 1))
    def test_contiguous_pieces_are_those_before_the_first_gap(self, sequences, first):
        """No piece before the first gap is left out, and no other is taken."""
        log = LogText(first=first).join((each, str(each)) for each in sequences if each >= first)
        found = log.contiguous
        assert [each for each, _ in found.chunks] == [*range(first, first + len(found.chunks))]
        assert found.gaps == ()
        assert first + len(found.chunks) not in sequences

    def test_a_log_may_begin_with_another_sequence(self):
        """With `first=0`, sequence 0 counts as missing, as in logs of executions."""
        assert LogText(first=0).join([(2, "c")]).gaps == (range(2),)

    @given(strategies.job_histories())
    def test_of_updates(self, history):
        """`LogText.of` joins the logs of updates in the order of their sequences."""
        assert LogText.of(reversed(history)).text == "".join(update.logs for update in history)
