"""Logs that arrive in pieces."""

from hypothesis import given
from hypothesis import strategies as st

from cicd_common.model import LogText
from cicd_common.testing import strategies

chunks = st.dictionaries(st.integers(1, 12), st.text(max_size=3)).map(lambda pieces: list(pieces.items()))


class TestLogText:
    def test_pieces_are_joined_by_sequence(self):
        """Not by the order in which they came."""
        assert str(LogText().join([(2, "b"), (1, "a")]).join([(3, "c")])) == "abc"

    @given(chunks, st.randoms(use_true_random=False))
    def test_any_order_and_any_repeats_give_the_same(self, pieces, random):
        """Of what one sender has sent."""
        shuffled = [*pieces, *random.sample(pieces, len(pieces) // 2)]
        random.shuffle(shuffled)
        log = LogText()
        for piece in shuffled:
            log = log.join([piece])
        assert log == LogText().join(pieces)

    def test_of_two_texts_for_one_sequence_the_first_one_stands(self):
        """Whatever the second one is, and even if the first one is empty."""
        assert LogText().join([(1, "a"), (1, "longer")]).text == "a"
        assert LogText().join([(1, "")]).join([(1, "b")]).text == ""

    def test_an_empty_piece_is_a_piece(self):
        """An update without output leaves no gap."""
        assert LogText().join([(1, ""), (2, "b")]).gaps == ()

    def test_nothing_new_is_the_same_log(self):
        """A repeat makes no new value."""
        log = LogText().join([(1, "a")])
        assert log.join([(1, "a")]) is log

    @given(st.sets(st.integers(1, 40)))
    def test_gaps_are_what_is_missing_before_the_last(self, sequences):
        """By counting."""
        gaps = LogText().join((each, "") for each in sequences).gaps
        missing = set(range(1, max(sequences, default=0))) - sequences
        assert [each for gap in gaps for each in gap] == sorted(missing)
        assert all(len(gap) > 0 for gap in gaps)

    def test_a_log_may_begin_with_another_sequence(self):
        """The pieces of an ExecutionLog begin with 0."""
        assert LogText(first=0).join([(2, "c")]).gaps == (range(2),)

    @given(strategies.job_histories())
    def test_of_updates(self, history):
        """The logs of the updates of a job, in the order of their sequences."""
        assert LogText.of(reversed(history)).text == "".join(update.logs for update in history)
