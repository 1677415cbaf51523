"""Output of jobs: nothing lost, nothing doubled, nothing secret, and little of it in memory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import threading
from hashlib import sha256

import pytest
from cicd_system.worker.output import PIECE, Output

from cicd_common.logging import SecretMasker
from tests.support.examples.waiting import until

SECRET = "s3cr3t-of-the-test"


@pytest.fixture
def masker():
    masker = SecretMasker()
    masker.add(SECRET)
    return masker


@pytest.fixture
def pipe():
    source, sink = os.pipe()
    with os.fdopen(source, "rb", buffering=0) as reader, os.fdopen(sink, "wb", buffering=0) as writer:
        yield reader, writer


def pieces_of(output):
    pieces = []
    while (piece := output.take()) is not None:
        pieces.append(piece)
    return pieces


@contextlib.contextmanager
def reading(pipe, masker, has_ended=lambda: False):
    output = Output(pipe[0].fileno(), has_ended, masker)
    try:
        yield output
    finally:
        output.close()


def printed(pipe, masker, chunks):
    """What becomes of output that is written in chunks, to the end."""

    def write():
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[pipe[1].write(view) :]
        pipe[1].close()

    with reading(pipe, masker) as output:
        writer = threading.Thread(target=write)
        writer.start()
        pieces = pieces_of(output)
        writer.join()
    return pieces


class TestWhole:
    def test_nothing(self, pipe, masker):
        assert printed(pipe, masker, []) == []

    def test_unterminated_last_line(self, pipe, masker):
        assert "".join(printed(pipe, masker, [b"one\ntwo"])) == "one\ntwo"

    def test_much(self, pipe, masker):
        """100 MB come whole, in order, in bounded pieces."""
        block = "".join(f"line {number}\n" for number in range(200_000)).encode()
        times = 100 * 1024 * 1024 // len(block)
        pieces = printed(pipe, masker, [block] * times)
        assert max(map(len, pieces)) <= PIECE
        assert all(pieces)
        expected, found = sha256(), sha256()
        for _ in range(times):
            expected.update(block)
        for piece in pieces:
            found.update(piece.encode())
        assert found.digest() == expected.digest()

    def test_one_long_line(self, pipe, masker):
        """A line of 50 MB comes whole, also where it is full of beginnings of a secret, which cost the most to read."""
        line = b"." * 48_000_000 + SECRET[:-1].encode() * (2_000_000 // len(SECRET))
        assert "".join(printed(pipe, masker, [line])).encode() == line

    def test_soon(self, pipe, masker):
        """Output is to be had while the job goes on."""
        with reading(pipe, masker) as output:
            pipe[1].write(b"first\n")
            assert output.take() == "first\n"
            pipe[1].write(b"second\n")
            assert output.take() == "second\n"
            pipe[1].close()
            assert output.take() is None


class TestText:
    def test_any_bytes_cut_anywhere(self, pipe, masker):
        """What is no UTF-8 is replaced, as in one piece, and can always be written as UTF-8."""
        source = random.Random(7)
        data = (
            source.randbytes(300_000) + "äöü€😀\x00\x1b[1m\ud800".encode("utf-8", "surrogatepass") * 999 + b"\xe2\x82"
        )
        chunks = []
        rest = data
        while rest:
            size = source.choice([1, 2, 3, 1000, 50_000])
            chunks.append(rest[:size])
            rest = rest[size:]
        text = "".join(printed(pipe, masker, chunks))
        assert text == data.decode(errors="replace")
        assert text.encode().decode() == text


class TestSecrets:
    def test_cut_anywhere(self, pipe, masker):
        """A secret is masked wherever its output is cut, even when its beginning was to be had long before."""
        with reading(pipe, masker) as output:
            for cut in (1, 2, 9, len(SECRET) - 1):
                pipe[1].write(b"<" + SECRET[:cut].encode())
                assert output.take() == "<"
                pipe[1].write(SECRET[cut:].encode() + b">\n")
                assert output.take() == "***>\n"

    def test_only_its_beginning(self, pipe, masker):
        """What turns out to be no secret is told after all."""
        assert "".join(printed(pipe, masker, [b"<", SECRET[:-1].encode()])) == f"<{SECRET[:-1]}"


class TestBounds:
    def test_the_job_waits(self, pipe, masker):
        """While nothing is taken, little is read: the writer is held up. Nothing of it is lost."""
        pattern = b"".join(b"%07d\n" % number for number in range(1_000_000))
        os.set_blocking(pipe[1].fileno(), False)
        with reading(pipe, masker) as output:
            written = self.fill(pipe[1], pattern)
            assert 2 * PIECE <= written <= 4 * PIECE + fcntl.fcntl(pipe[1].fileno(), fcntl.F_GETPIPE_SZ)
            pipe[1].close()
            assert "".join(pieces_of(output)).encode() == pattern[:written]

    def fill(self, sink, data):
        """Write until nothing more is taken for a while."""
        written, refusals = 0, 0

        def is_full():
            nonlocal written, refusals
            count = sink.write(data[written : written + 65536])
            written += count or 0
            refusals = 0 if count else refusals + 1
            return refusals > 10 and written < len(data)

        until(is_full, "the pipe to be full", pause=0.01)
        return written

    def test_tells_that_the_job_is_held_up(self, pipe, masker):
        """It does while nothing is taken, and no longer."""
        held, freed = threading.Event(), threading.Event()

        @contextlib.contextmanager
        def held_up():
            held.set()
            yield
            freed.set()

        os.set_blocking(pipe[1].fileno(), False)
        output = Output(pipe[0].fileno(), lambda: False, masker, held_up)
        with contextlib.closing(output):
            self.fill(pipe[1], b"x" * 4 * 1024 * 1024)
            until(held.is_set, "the job to be held up")
            assert not freed.is_set()
            output.take()
            until(freed.is_set, "the job to go on")

    def test_close_while_full(self, pipe, masker):
        """Who wants no more of it need not take the rest."""
        os.set_blocking(pipe[1].fileno(), False)
        with reading(pipe, masker) as output:
            self.fill(pipe[1], b"x" * 4 * 1024 * 1024)
        assert not output._thread.is_alive()


class TestLeftovers:
    def test_hold_the_pipe_open(self, pipe, masker):
        """When the job has ended, all that it wrote is told, however long another keeps the pipe."""
        data = b"x" * 60_000 + b"\nlast"
        ended = threading.Event()
        with reading(pipe, masker, ended.is_set) as output:
            pipe[1].write(data)
            ended.set()
            assert "".join(pieces_of(output)).encode() == data

    def test_go_on_writing(self, pipe, masker):
        """What another writes for ever is not waited for."""
        over = threading.Event()

        def write():
            while not over.wait(0.001):
                pipe[1].write(b"on and on\n")

        writer = threading.Thread(target=write)
        with reading(pipe, masker, lambda: True) as output:
            writer.start()
            pieces = pieces_of(output)
        over.set()
        writer.join()
        assert len("".join(pieces)) <= 65536
