"""Output of jobs: nothing lost, nothing doubled, nothing secret."""

from __future__ import annotations

import os
import random
import subprocess
import threading
from secrets import token_hex

import pytest
from cicd_system.worker.output import PIECE, Output

from cicd_common.logging.masking import process_masker

SECRET = f"{token_hex(12)}!"  # The last character is unlike all others, so that repeated beginnings never hold it.


@pytest.fixture(autouse=True)
def secret():
    process_masker.add(SECRET)


class Job:
    """A job that a test plays: its end of the pipe, and whether it has ended."""

    def __init__(self, reader, writer):
        self.pipe = writer
        self.has_ended = False
        self.output = Output(reader.fileno(), lambda _timeout: self.has_ended)

    def end(self):
        self.pipe.close()
        self.has_ended = True

    def next_piece(self):
        while not (piece := self.output.take()):
            self.output.read()
        return piece

    def pieces(self):
        """All pieces to the end."""
        pieces = []
        while not self.output.is_over:
            if not self.output.is_full:
                self.output.read()
            pieces.append(self.output.take())
        return list(filter(None, [*pieces, *self.output.rest()]))

    def printed(self, chunks):
        """The pieces of output that is written in chunks."""

        def write():
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[self.pipe.write(view) :]
            self.end()

        writer = threading.Thread(target=write)
        writer.start()
        pieces = self.pieces()
        writer.join()
        return pieces


@pytest.fixture
def job():
    source, sink = os.pipe()
    with os.fdopen(source, "rb", buffering=0) as reader, os.fdopen(sink, "wb", buffering=0) as writer:
        yield Job(reader, writer)


class TestPieces:
    @pytest.mark.parametrize(
        "block",
        [
            b"".join(b"line %d\n" % number for number in range(100_000)),
            b"." * 1_000_000 + SECRET[:-1].encode() * 10_000,  # Beginnings of a secret cost the most to read.
        ],
        ids=["lines", "one long line"],
    )
    def test_much(self, job, block):
        """Output comes whole, in order, in bounded pieces."""
        pieces = job.printed([block] * 8)
        assert 0 < min(map(len, pieces)) <= max(map(len, pieces)) <= PIECE
        is_whole = "".join(pieces).encode() == block * 8
        assert is_whole  # pytest would show the difference of megabytes.

    def test_soon(self, job):
        """Output is given while the job goes on."""
        job.pipe.write(b"first.\n")
        assert job.next_piece() == "first.\n"
        job.pipe.write(b"second.\n")
        assert job.next_piece() == "second.\n"
        job.end()
        assert job.pieces() == []

    def test_any_bytes(self, job):
        """What is no UTF-8 is replaced, as in one piece, and can always be written as UTF-8."""
        source = random.Random(7)
        text = "äöü€😀\x00\x1b[1m\ud800".encode("utf-8", "surrogatepass")
        data = source.randbytes(100_000) + text * 999 + b"\xe2\x82"
        cuts = sorted(source.sample(range(1, len(data)), 2000))
        chunks = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        text = "".join(job.printed(chunks))
        assert text == data.decode(errors="replace")
        assert text.encode().decode() == text

    def test_secret(self, job):
        """A secret is masked wherever its output is cut, even if its beginning was printed long before.

        The beginning alone is not masked.
        """
        for cut in (1, len(SECRET) - 1):
            job.pipe.write(b"<" + SECRET[:cut].encode())
            assert job.next_piece() == "<"
            job.pipe.write(SECRET[cut:].encode() + b">\n")
            assert job.next_piece() == "***>\n"
        assert "".join(job.printed([SECRET[:-1].encode()])) == SECRET[:-1]


class TestEnd:
    def test_pipe_is_held_open(self, job):
        """All that a job wrote is given when it has ended, however long another process holds the pipe."""
        data = b"x" * 60_000 + b"\nlast"
        job.pipe.write(data)
        job.has_ended = True
        assert "".join(job.pieces()).encode() == data

    def test_another_writes_for_ever(self, job):
        """Its output is not waited for."""
        writer = subprocess.Popen(["yes"], stdout=job.pipe)
        assert job.next_piece().startswith("y\n")
        job.has_ended = True
        length = len("".join(job.pieces()))
        writer.kill()
        writer.wait()
        assert length <= 2 * 1024 * 1024

    def test_pipe_is_closed_early(self, job):
        """A job that has closed its output goes on."""
        job.pipe.close()
        for _ in range(3):
            job.output.read()
            assert not job.output.is_over
        job.has_ended = True
        job.output.read()
        assert job.output.is_over

    def test_full(self, job):
        """It is full before it takes much memory."""
        writer = subprocess.Popen(["yes"], stdout=job.pipe)
        while not job.output.is_full:
            job.output.read()
        writer.kill()
        writer.wait()
        assert 2 * PIECE <= len("".join(job.output.rest())) < 3 * PIECE
