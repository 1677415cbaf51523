"""The handler that writes lines, and goes on if a line cannot be written."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from .console_format import ConsoleFormatter
from .formatters import LineFormatter, notice
from .masking import SecretMasker, process_masker
from .records import CicdRecord
from .sinks import FileSink, Sink, StreamSink
from .values import scrub

__all__ = ["LineHandler"]


class LineHandler(logging.Handler):
    """Writes each record as one line in one piece, to a stream or a file. It never raises.

    Lines that could not be written are counted. A line before the next one that is written reports their number.

    Args:
        stream: The stream to write to; by default ``sys.stderr``, looked up for each line.
        file: A file to append to, in place of a stream.
        masker: The masker; that of the process by default.

    Attributes:
        lost: How many lines could not be written and were not reported yet.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        file: str | os.PathLike[str] | None = None,
        masker: SecretMasker | None = None,
    ) -> None:
        self._masker = masker if masker is not None else process_masker
        self._sink: Sink = StreamSink(stream) if file is None else FileSink(file)
        self.lost = 0
        self._reason = ""
        self._line: Callable[[logging.LogRecord], str] = self._masked
        super().__init__()
        self.setFormatter(ConsoleFormatter(masker=self._masker))

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 - the name in the standard library
        """Set the formatter. The lines of one that does not use the handler's masker are masked as text.

        Args:
            fmt: The formatter; None means that of the standard library.
        """
        super().setFormatter(fmt)
        self._line = fmt.format if isinstance(fmt, LineFormatter) and fmt.masker is self._masker else self._masked

    def handle(self, record: logging.LogRecord) -> bool:
        """Write the line of a record that passes the filters.

        Args:
            record: Any record.

        Returns:
            Whether the record passed the filters.
        """
        passed = self.filter(record) if self.filters else True
        if passed:
            # The masker's lock instead of the handler's: no secret can be added while a line is masked and written.
            with self._masker.lock:
                self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of a record.

        Args:
            record: Any record.
        """
        try:
            line = self._line(record)
            self._sink.write(f"{self._report()}{line}\n" if self.lost else f"{line}\n")
            self.lost = 0
        except Exception as error:
            self.lost += 1
            self._reason = type(error).__name__
        if isinstance(record, CicdRecord):
            # Other code may keep the record for long, but its scope's secrets are needed no longer.
            record.secrets = None

    def close(self) -> None:
        """Report lost lines if that is possible now, and close the file."""
        # Under the lock, since another thread may be writing to the file.
        with self._masker.lock:
            with suppress(Exception):
                if self.lost:
                    self._sink.write(self._report())
                    self.lost = 0
            self._sink.close()
        super().close()

    def _masked(self, record: logging.LogRecord) -> str:
        return scrub(self._masker.mask(self.format(record)))

    def _report(self) -> str:
        record = notice("%d log lines were lost: %s", self.lost, self._reason, lost=self.lost)
        return f"{self._line(record)}\n"
