"""The output of a job as HTML: first its end, then what is added."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TypeVar
from uuid import UUID

from cicd_common.model import LogText
from cicd_common.store import ExecutionStore

from .ansi import START, Piece, Position, render, skip

__all__ = ["JobLogs", "without_gaps"]

_SHOWN = 1024 * 1024  # Characters of output that are shown at first, at most twice as many.
_PAGE = 1000
_REMEMBERED = 1000
_SHARED = 64

K = TypeVar("K")
V = TypeVar("V")


def without_gaps(text: LogText) -> LogText:
    """The output up to the first missing piece, which may still arrive.

    Args:
        text: A page of the output.
    """
    if not text.gaps:
        return text
    missing = text.gaps[0].start
    return LogText(tuple(chunk for chunk in text.chunks if chunk[0] < missing), first=text.first)


class JobLogs:
    """Reads the output of jobs as HTML. Any number of threads may use it.

    Args:
        store: The store with the output.
    """

    def __init__(self, store: ExecutionStore) -> None:
        self._store = store
        self._lock = Lock()
        # Where the shown part of a long log begins, so that earlier lines are counted once.
        self._begins: OrderedDict[UUID, Position] = OrderedDict()
        # Pieces that several browsers with the same log request.
        self._pieces: OrderedDict[tuple[UUID, Position, int], Piece] = OrderedDict()

    def end(self, job_execution_id: UUID) -> Piece:
        """The end of the output. Its lines keep their numbers in the whole output.

        Args:
            job_execution_id: The job.

        Raises:
            UnknownJobExecutionError: There is no such job.
        """
        with self._lock:
            begin = self._begins.get(job_execution_id, START)
        chunks: list[tuple[int, str]] = []
        size, last = 0, begin.sequence
        while page := without_gaps(self._store.logs(job_execution_id, after=last, limit=_PAGE)).chunks:
            chunks += page
            last = page[-1][0]
            size += sum(len(text) for _, text in page)
            if size > 2 * _SHOWN:
                count = 0
                while size - len(chunks[count][1]) > _SHOWN:
                    size -= len(chunks[count][1])
                    count += 1
                if count:
                    begin = skip(chunks[:count], begin)
                    del chunks[:count]
        with self._lock:
            _keep(self._begins, job_execution_id, begin, _REMEMBERED)
        return render(chunks, begin)

    def more(self, job_execution_id: UUID, begin: Position, last_sequence: int) -> Piece | None:
        """Read what was added to the output; None if there is nothing.

        Args:
            job_execution_id: The job.
            begin: The end of the known output.
            last_sequence: The sequence of the newest known update.

        Raises:
            UnknownJobExecutionError: There is no such job.
        """
        key = (job_execution_id, begin, last_sequence)
        with self._lock:
            if key in self._pieces:
                return self._pieces[key]
        piece = render(
            without_gaps(self._store.logs(job_execution_id, after=begin.sequence, limit=_PAGE)).chunks, begin
        )
        if piece.end == begin:
            return None  # Nothing was added, or only an unfinished escape sequence.
        with self._lock:
            _keep(self._pieces, key, piece, _SHARED)
        return piece


def _keep(known: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > most:
        known.popitem(last=False)
