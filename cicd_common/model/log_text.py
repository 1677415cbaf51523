"""The output of a job, put together from the pieces in which it arrives."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import field, frozen

from ..api.request import JobStatusUpdate

__all__ = ["LogText"]


@frozen
class LogText:
    """Pieces of a log, joined by sequence. Pieces of one sender make the same log in any order and with any repeats.

    Attributes:
        chunks: The pieces that came, each with its sequence, in the order of the sequences.
        first: The sequence that a log begins with: 1, the default, for the updates of a job.
    """

    chunks: tuple[tuple[int, str], ...] = ()
    first: int = field(default=1, kw_only=True)

    @classmethod
    def of(cls, updates: Iterable[JobStatusUpdate]) -> LogText:
        """Join the logs of updates.

        Args:
            updates: Updates of one job execution, in any order.
        """
        return cls().join((update.sequence, update.logs) for update in updates)

    def join(self, chunks: Iterable[tuple[int, str]]) -> LogText:
        """Join more pieces.

        If two senders wrote different texts for one sequence, the first text is kept.

        Args:
            chunks: Pieces with their sequences, in any order.

        Returns:
            The log with them. If they bring nothing new, it is this log.
        """
        known = dict(self.chunks)
        for sequence, text in chunks:
            known.setdefault(sequence, text)
        joined = tuple(sorted(known.items()))
        return self if joined == self.chunks else LogText(joined, first=self.first)

    @property
    def text(self) -> str:
        """The pieces, one after the other."""
        return "".join(text for _, text in self.chunks)

    @property
    def gaps(self) -> tuple[range, ...]:
        """The sequences that are missing before the last piece, as ranges."""
        gaps = []
        expected = self.first
        for sequence, _ in self.chunks:
            if sequence > expected:
                gaps.append(range(expected, sequence))
            expected = sequence + 1
        return tuple(gaps)

    @property
    def contiguous(self) -> LogText:
        """The pieces before the first one that is missing. A missing piece may still come."""
        if not self.gaps:
            return self
        missing = self.gaps[0].start
        return LogText(tuple(chunk for chunk in self.chunks if chunk[0] < missing), first=self.first)

    def __str__(self) -> str:
        return self.text
