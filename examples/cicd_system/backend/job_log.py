"""The output of a job as HTML: first its end, then what is added."""

from __future__ import annotations

from uuid import UUID

from cicd_common.store import ExecutionStore

from .ansi import START, Piece, Position, render, skip

__all__ = ["JobLogs"]

_SHOWN = 1024 * 1024  # Characters of output that are shown at first, at most twice as many.
_PAGE = 1000
_REMEMBERED = 1000


class JobLogs:
    """Reads the output of jobs as HTML, in any thread."""

    def __init__(self, store: ExecutionStore) -> None:
        self._store = store
        # Where the shown part of a long log begins, so that earlier lines are counted once.
        self._begins: dict[UUID, Position] = {}

    def end(self, job_execution_id: UUID) -> Piece:
        """The end of the output. Its lines keep their numbers in the whole output."""
        begin = self._begins.get(job_execution_id, START)
        chunks: list[tuple[int, str]] = []
        size, last = 0, begin.sequence
        while page := self._read(job_execution_id, last):
            chunks += page
            last = page[-1][0]
            size += sum(len(text) for _, text in page)
            if size > 2 * _SHOWN:
                count = 0
                while size - len(chunks[count][1]) > _SHOWN:
                    size -= len(chunks[count][1])
                    count += 1
                if count:  # The first chunk may be longer than what is shown.
                    begin = skip(chunks[:count], begin)
                    del chunks[:count]
        if len(self._begins) >= _REMEMBERED:
            self._begins.clear()
        self._begins[job_execution_id] = begin
        return render(chunks, begin)

    def more(self, job_execution_id: UUID, begin: Position) -> Piece | None:
        """The output after a position; None if there is none, or only an unfinished escape sequence."""
        piece = render(self._read(job_execution_id, begin.sequence), begin)
        return None if piece.end == begin else piece

    def _read(self, job_execution_id: UUID, after: int) -> tuple[tuple[int, str], ...]:
        return self._store.logs(job_execution_id, after=after, limit=_PAGE).contiguous.chunks
