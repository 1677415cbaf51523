"""Lines are written whole, or counted as lost."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cicd_common.logging import (
    ConsoleFormatter,
    ExecutionLogHandler,
    JsonFormatter,
    LineHandler,
    MaskingStream,
    SecretMasker,
    _fork,
    sinks,
)
from tests.support.children import end_if_stuck


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.Manager(logging.RootLogger(logging.DEBUG)).getLogger("worker")
    yield logger
    for handler in logger.handlers:
        handler.close()


def handler_on(log: logging.Logger, *args: Any, **options: Any) -> LineHandler:
    handler = LineHandler(*args, masker=SecretMasker(), **options)
    handler.setFormatter(JsonFormatter(masker=handler._masker))
    log.addHandler(handler)
    return handler


def messages(text: str) -> list[str]:
    return [json.loads(line)["message"] for line in text.splitlines()]


class Flaky(io.StringIO):
    """A stream whose `write` raises `error` while it is set."""

    error: Exception | None = None

    def write(self, text: str) -> int:
        if self.error is not None:
            raise self.error
        return super().write(text)


class TestStreams:
    """The handler writes to streams of every kind."""

    def test_text(self, log: logging.Logger) -> None:
        """Any object with ``write`` is a stream, also without ``flush``."""

        class Words:
            def __init__(self) -> None:
                self.texts: list[str] = []

            def write(self, text: str) -> None:
                self.texts.append(text)

        words = Words()
        handler_on(log, words)
        log.info("hello")
        assert messages("".join(words.texts)) == ["hello"]

    def test_standard_error(self, log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
        """The default is the current ``sys.stderr``."""
        handler_on(log)
        log.info("hello")
        assert messages(capsys.readouterr().err) == ["hello"]

    def test_keeps_order(self, log: logging.Logger, tmp_path: Path) -> None:
        """Buffered output of the program is written before a later line."""
        with open(tmp_path / "out", "w") as stream:
            handler_on(log, stream)
            stream.write('{"message":"mine"}\n')
            log.info("hello")
            stream.write('{"message":"mine"}\n')
        assert messages((tmp_path / "out").read_text()) == ["mine", "hello", "mine"]

    def test_wrapper(self, log: logging.Logger, tmp_path: Path) -> None:
        """A stream that changes its input is not bypassed."""

        class Upper(io.TextIOWrapper):
            def write(self, text: str) -> int:
                return super().write(text.upper())

        with Upper(open(tmp_path / "out", "wb")) as stream:
            handler_on(log, stream)
            log.info("hello")
            assert '"MESSAGE":"HELLO"' in (tmp_path / "out").read_text()

    def test_encoding(self, log: logging.Logger) -> None:
        """Characters that an encoding does not have are replaced, and the line stays JSON."""
        octets = io.BytesIO()
        handler_on(log, io.TextIOWrapper(octets, encoding="latin-1"))
        log.info("é€")
        assert messages(octets.getvalue().decode("latin-1")) == ["é?"]

    def test_encoding_unknown(self, log: logging.Logger) -> None:
        """A stream without a known encoding gets ASCII if necessary."""

        class Ascii(io.StringIO):
            encoding = None  # type: ignore[assignment]

            def write(self, text: str) -> int:
                text.encode("ascii")
                return super().write(text)

        stream = Ascii()
        handler_on(log, stream)
        log.info("é")
        assert messages(stream.getvalue()) == ["?"]

    def test_terminal(self, log: logging.Logger) -> None:
        """A terminal is written to as a stream."""
        main, other = os.openpty()
        with open(other, "w") as stream:
            handler_on(log, stream)
            log.info("hello")
            assert messages(os.read(main, 10_000).decode()) == ["hello"]
        os.close(main)

    def test_foreign_formatter(self, log: logging.Logger) -> None:
        """The lines of another formatter are masked, too."""
        stream = io.StringIO()
        handler = handler_on(log, stream)
        handler._masker.add("hunter2hunter2")
        handler.setFormatter(logging.Formatter("%(message)s %(threadName)s"))
        log.info("hunter2hunter2 \ud800")
        assert stream.getvalue() == "*** \ufffd MainThread\n"

    def test_filter(self, log: logging.Logger) -> None:
        """Records that a filter of the handler refuses are not written."""
        stream = io.StringIO()
        handler = handler_on(log, stream)
        handler.addFilter(lambda record: "no" not in record.msg)
        assert [handler.handle(logging.makeLogRecord({"msg": text})) for text in ("no", "yes")] == [False, True]
        log.info("no")
        log.info("hello")
        assert messages(stream.getvalue())[-1] == "hello"
        assert len(stream.getvalue().splitlines()) == 2

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="filters could not replace records before")
    def test_filter_that_replaces(self, log: logging.Logger) -> None:
        """The record that a filter returns is written."""
        stream = io.StringIO()
        handler = handler_on(log, stream)
        handler.addFilter(lambda record: logging.makeLogRecord({**vars(record), "msg": "other"}))
        log.info("hello")
        assert messages(stream.getvalue()) == ["other"]

    def test_other_masker(self, log: logging.Logger) -> None:
        """The handler masks by its own masker, also if its formatter has another one."""
        stream = io.StringIO()
        handler = handler_on(log, stream)
        handler.setFormatter(JsonFormatter())
        handler._masker.add("hunter2hunter2")
        log.info("hunter2hunter2")
        assert messages(stream.getvalue()) == ["***"]

    def test_console_by_default(self) -> None:
        """The default formatter is that for the console."""
        assert isinstance(LineHandler(io.StringIO()).formatter, ConsoleFormatter)


class TestLoss:
    """Lines that could not be written."""

    @pytest.mark.parametrize(
        "error",
        [ValueError("closed"), OSError(errno.ENOSPC, "full"), BrokenPipeError(), RecursionError()],
    )
    def test_counted_and_reported(self, log: logging.Logger, error: Exception) -> None:
        """The program goes on, and a line reports the number of lost lines once writing works."""
        stream = Flaky()
        handler = handler_on(log, stream)
        log.info("one")
        stream.error = error
        log.info("two")
        log.info("three")
        assert handler.lost == 2
        stream.error = None
        log.info("four")
        log.info("five")
        report = f"2 log lines were lost: {type(error).__name__}"
        assert messages(stream.getvalue()) == ["one", report, "four", "five"]
        assert json.loads(stream.getvalue().splitlines()[1])["lost"] == 2
        assert handler.lost == 0

    def test_reported_at_the_end(self, log: logging.Logger) -> None:
        """Closing the handler reports lost lines if writing works."""
        stream = Flaky()
        handler = handler_on(log, stream)
        stream.error = OSError()
        log.info("one")
        handler.close()
        assert handler.lost == 1
        stream.error = None
        handler.close()
        assert messages(stream.getvalue()) == ["1 log lines were lost: OSError"]

    def test_closed_stream(self, log: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Nothing is written to another file with the same descriptor, and nothing is printed."""
        stream = open(tmp_path / "one", "w")  # noqa: SIM115 - it is closed below
        handler = handler_on(log, stream)
        log.info("hello")
        fd = stream.fileno()
        stream.close()
        other = os.open(tmp_path / "two", os.O_WRONLY | os.O_CREAT)
        assert other == fd
        log.info("hello")
        os.close(other)
        assert handler.lost == 1
        assert (tmp_path / "two").read_text() == ""
        assert capsys.readouterr().err == ""

    def test_no_stream(self, log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without an error stream, lines are lost, and no error is raised."""
        monkeypatch.setattr(sys, "stderr", None)
        handler = handler_on(log)
        log.info("hello")
        assert handler.lost == 1

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
    def test_full_device(self, log: logging.Logger, tmp_path: Path) -> None:
        """Lines to a full device are lost, as a stream and as a file, until it has room."""
        with open("/dev/full", "w") as stream:
            by_stream, by_file = handler_on(log, stream), handler_on(log, file="/dev/full")
            for _ in range(3):
                log.info("hello")
            assert (by_stream.lost, by_file.lost) == (3, 3)
            with open(tmp_path / "out", "a") as out:
                os.dup2(out.fileno(), stream.fileno())
                log.info("hello")
        assert messages((tmp_path / "out").read_text()) == ["3 log lines were lost: OSError", "hello"]

    def test_broken_pipe(self, log: logging.Logger) -> None:
        """Lines to a pipe without a reader are lost."""
        reader, writer = os.pipe()
        with open(writer, "w") as stream:
            handler = handler_on(log, stream)
            os.close(reader)
            log.info("hello")
            assert handler.lost == 1
            assert handler._reason == "BrokenPipeError"

    def test_torn_line(self, log: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A line that was written in part is ended before the next one."""
        write, calls = os.write, iter([10, None])

        def write_part(fd: int, data: bytes) -> int:
            size = next(calls, 10_000)
            if size is None:
                raise OSError(errno.ENOSPC, "full")
            return write(fd, data[:size])

        handler = handler_on(log, file=tmp_path / "out")
        monkeypatch.setattr(os, "write", write_part)
        log.info("lost")
        log.info("hello")
        torn, *whole = (tmp_path / "out").read_text().splitlines()
        assert torn == '{"timestam'
        assert messages("\n".join(whole)) == ["1 log lines were lost: OSError", "hello"]
        assert handler.lost == 0

    def test_slow_reader(self, log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
        """The handler waits for a full non-blocking pipe."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        _fill(writer)
        write, full = os.write, threading.Event()
        got: list[bytes] = []

        def watched(fd: int, data: bytes) -> int:
            try:
                return write(fd, data)
            except BlockingIOError:
                full.set()
                raise

        def drain() -> None:
            full.wait()
            while data := os.read(reader, 1 << 20):
                got.append(data)

        monkeypatch.setattr(os, "write", watched)
        monkeypatch.setattr(sinks, "_PATIENCE", 60_000)
        with open(writer, "w") as stream:
            handler = handler_on(log, stream)
            thread = threading.Thread(target=drain)
            thread.start()
            log.info("x" * 200_000)
            assert handler.lost == 0
        thread.join()
        os.close(reader)
        assert messages(b"".join(got).decode().lstrip(" ")) == ["x" * 200_000]

    def test_stopped_reader(self, log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
        """The wait for a full pipe has a limit."""
        monkeypatch.setattr(sinks, "_PATIENCE", 1)
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        _fill(writer)
        with open(writer, "w") as stream:
            handler = handler_on(log, stream)
            log.info("hello")
            assert handler.lost == 1
        os.close(reader)


def _fill(writer: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b" " * 512)


class TestFiles:
    """Lines are appended to files."""

    def test_appends(self, log: logging.Logger, tmp_path: Path) -> None:
        """The content of an existing file stays."""
        path = tmp_path / "out"
        path.write_text('{"message":"before"}\n')
        handler = handler_on(log, file=path)
        log.info("é")
        assert messages(path.read_text(encoding="utf-8")) == ["before", "é"]
        assert stat.S_IMODE(path.stat().st_mode) & 0o111 == 0
        handler.close()
        handler.close()
        log.info("lost")
        assert handler.lost == 1
        assert len(path.read_text(encoding="utf-8").splitlines()) == 2

    def test_not_a_file(self, tmp_path: Path) -> None:
        """A file that cannot be opened is an error of the set-up."""
        with pytest.raises(OSError, match="nowhere"):
            LineHandler(file=tmp_path / "nowhere" / "out")


_CHATTER = """
import sys
from cicd_common.logging import JsonFormatter, LineHandler, get_logger
handler = LineHandler(file=sys.argv[2]) if sys.argv[2] else LineHandler(sys.stdout)
handler.setFormatter(JsonFormatter())
log = get_logger("chatter")
log.addHandler(handler)
for number in range(int(sys.argv[3])):
    log.warning(sys.argv[1] * (number * 97 % 9000), who=sys.argv[1], number=number)
"""
_FOLDER = str(Path(__file__).parents[2])


def chatter(who: str, path: str, lines: int, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _CHATTER, who, path, str(lines)], cwd=_FOLDER, **options)


def check_lines(text: str, lines: int) -> None:
    """Check that every line is whole, and that no line of a process is missing or out of order."""
    entries = [json.loads(line) for line in text.split("\n")[:-1]]
    for who in "ab":
        mine = [entry for entry in entries if entry["who"] == who]
        assert [entry["number"] for entry in mine] == list(range(lines))
        assert all(entry["message"] == who * (entry["number"] * 97 % 9000) for entry in mine)


class TestProcesses:
    """Several processes write at once."""

    def test_on_one_file(self, tmp_path: Path) -> None:
        """Lines of several processes in one file do not mix."""
        path = tmp_path / "out"
        for process in [chatter(who, str(path), 400) for who in "ab"]:
            assert process.wait() == 0
        check_lines(path.read_text(), 400)

    def test_on_one_pipe(self) -> None:
        """Lines in one pipe do not mix, also those longer than the pipe's atomic size."""
        reader, writer = os.pipe()
        processes = [chatter(who, "", 400, stdout=writer) for who in "ab"]
        os.close(writer)
        with open(reader) as stream:
            text = stream.read()
        for process in processes:
            assert process.wait() == 0
        check_lines(text, 400)

    def test_threads(self, log: logging.Logger, tmp_path: Path) -> None:
        """Lines of several threads do not mix."""
        handler_on(log, file=tmp_path / "out")

        def work(who: str) -> None:
            for number in range(300):
                log.info(who * (number * 97 % 9000), extra={"who": who, "number": number})

        threads = [threading.Thread(target=work, args=(who,)) for who in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        check_lines((tmp_path / "out").read_text(), 300)

    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_fork(self, log: logging.Logger, tmp_path: Path) -> None:
        """A child that is forked while another thread writes, masks or adds a secret is not stuck."""
        entered, leave = threading.Barrier(3), threading.Event()
        handler = handler_on(log, file=tmp_path / "out")
        masker = handler._masker

        def hold(_: object = None) -> None:
            entered.wait()
            leave.wait()

        class Slow:
            def __str__(self) -> str:
                hold()
                return "slow"

        stream = MaskingStream[str](hold, masker)
        threads = [
            threading.Thread(target=log.info, args=(Slow(),)),
            threading.Thread(target=stream.write, args=("-",)),
        ]
        for thread in threads:
            thread.start()
        entered.wait()
        child = os.fork()
        if not child:
            _in_child(log, masker, stream)
        _, status = os.waitpid(child, 0)
        leave.set()
        for thread in threads:
            thread.join()
        assert os.waitstatus_to_exitcode(status) == 0
        assert messages((tmp_path / "out").read_text()) == ["child ***", "slow"]

    def test_locks_are_renewed(self) -> None:
        """The hook of a child process releases locks of other threads; the test calls it in this process."""
        masker, done = SecretMasker(), threading.Event()
        sender = ExecutionLogHandler(print)
        masker.lock.acquire()
        _fork._in_child()
        thread = threading.Thread(target=lambda: (masker.add("hunter2hunter2"), done.set()))
        thread.start()
        assert done.wait(60)
        thread.join()
        sender.close()


def _in_child(log: logging.Logger, masker: SecretMasker, stream: MaskingStream[str]) -> None:
    """The code of the child process, which a signal ends if it is stuck."""
    try:
        end_if_stuck()
        stream._write = lambda _: None
        stream.write("-")
        masker.add("hunter2hunter2")
        log.info("child hunter2hunter2")
    finally:
        os._exit(0 if masker.multiset() else 1)


class TestRotation:
    """Log files that other programs move or remove."""

    @pytest.mark.parametrize("move", [os.unlink, lambda path: os.rename(path, f"{path}.1")], ids=["removed", "moved"])
    def test_opened_anew(self, log: logging.Logger, tmp_path: Path, move: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """The next line is in a new file of the same path, also after a change of the directory."""
        monkeypatch.chdir(tmp_path)
        handler_on(log, file="out")
        log.info("one")
        move(tmp_path / "out")
        monkeypatch.chdir("/")
        log.info("two")
        log.info("three")
        assert messages((tmp_path / "out").read_text()) == ["two", "three"]

    def test_replaced(self, log: logging.Logger, tmp_path: Path) -> None:
        """If another process has created a new file at the path, lines are appended to it."""
        handler_on(log, file=tmp_path / "out")
        log.info("one")
        (tmp_path / "out").rename(tmp_path / "out.1")
        (tmp_path / "out").write_text('{"message":"of another"}\n')
        log.info("two")
        assert messages((tmp_path / "out.1").read_text()) == ["one"]
        assert messages((tmp_path / "out").read_text()) == ["of another", "two"]

    def test_in_a_burst(self, log: logging.Logger, tmp_path: Path) -> None:
        """A moved file is noticed during many lines, although not every line checks for it."""
        handler_on(log, file=tmp_path / "out")
        for number in range(2000):
            log.info("%d", number)
            if number == 1000:
                (tmp_path / "out").rename(tmp_path / "out.1")
        found = messages((tmp_path / "out.1").read_text()) + messages((tmp_path / "out").read_text())
        assert found == list(map(str, range(2000)))

    def test_looked_for_once_in_an_interval(
        self, log: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After many lines in a row, a moved file is noticed in the next interval."""
        handler_on(log, file=tmp_path / "out")
        monkeypatch.setattr(sinks, "_INTERVAL", 3600)
        for number in range(100):
            log.info("%d", number)
            if number == 50:
                (tmp_path / "out").rename(tmp_path / "out.1")
        monkeypatch.setattr(sinks, "_INTERVAL", 0)
        log.info("later")
        assert messages((tmp_path / "out.1").read_text()) == list(map(str, range(100)))
        assert messages((tmp_path / "out").read_text()) == ["later"]

    def test_no_folder(self, log: logging.Logger, tmp_path: Path) -> None:
        """Lines are lost while the file cannot be opened, and written once it can."""
        folder = tmp_path / "logs"
        folder.mkdir()
        handler = handler_on(log, file=folder / "out")
        (folder / "out").unlink()
        folder.rmdir()
        log.info("lost")
        assert handler.lost == 1
        folder.mkdir()
        log.info("two")
        assert messages((folder / "out").read_text()) == ["1 log lines were lost: FileNotFoundError", "two"]
