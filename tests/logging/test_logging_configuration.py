"""`configure` sets up logging in one call."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import cicd_common.logging
from cicd_common.logging import ConsoleFormatter, JsonFormatter, LineHandler, capture_logs, configure, get_logger
from cicd_common.logging.masking import process_masker


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def entries(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def own_handlers() -> list[LineHandler]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, LineHandler)]


class TestConfigure:
    """The set-up that `configure` makes."""

    def test_again(self) -> None:
        """A second call replaces its own handlers and no others; secrets stay known."""
        other = logging.NullHandler()
        logging.getLogger().addHandler(other)
        first, second = io.StringIO(), io.StringIO()
        configure(stream=first, secrets=["hunter2hunter2"])
        configure(stream=second, level="DEBUG")
        get_logger("x").debug("hunter2hunter2")
        assert first.getvalue() == ""
        assert [entry["message"] for entry in entries(second.getvalue())] == ["***"]
        assert other in logging.getLogger().handlers
        assert len(own_handlers()) == 1

    def test_other_loggers_and_warnings(self) -> None:
        """Records of libraries and warnings are written, too."""
        stream = io.StringIO()
        configure(service="worker", stream=stream)
        logging.getLogger("urllib3.pool").warning("retry %d", 2)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            configure(service="worker", stream=stream)
            warnings.warn("careful", stacklevel=1)
        first, second = entries(stream.getvalue())
        assert (first["message"], first["service.name"]) == ("retry 2", "worker")
        assert second["logger"] == "py.warnings"
        assert "careful" in second["message"]

    @pytest.mark.parametrize(
        ("format", "stream", "formatter"),
        [
            ("auto", io.StringIO(), JsonFormatter),
            ("auto", Terminal(), ConsoleFormatter),
            ("json", Terminal(), JsonFormatter),
            ("console", io.StringIO(), ConsoleFormatter),
            ("auto", object(), JsonFormatter),
        ],
    )
    def test_format(self, format: Any, stream: Any, formatter: type) -> None:
        """The default is console on a terminal and JSON elsewhere."""
        configure(format=format, stream=stream)
        assert type(own_handlers()[0].formatter) is formatter

    @pytest.mark.parametrize(("no_color", "colored"), [(None, True), ("", True), ("1", False)])
    def test_color(self, monkeypatch: pytest.MonkeyPatch, no_color: str | None, colored: bool) -> None:
        """Lines on a terminal are coloured, unless NO_COLOR is set to anything."""
        monkeypatch.delenv("NO_COLOR", raising=False)
        if no_color is not None:
            monkeypatch.setenv("NO_COLOR", no_color)
        stream = Terminal()
        configure(stream=stream)
        get_logger("x").info("hello")
        assert ("\x1b[" in stream.getvalue()) == colored

    def test_closed_stream(self) -> None:
        """A closed stream is no error of `configure`."""
        stream = io.StringIO()
        stream.close()
        configure(stream=stream)
        get_logger("x").info("hello")
        assert own_handlers()[0].lost == 1

    def test_file(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A file alone or next to a stream has JSON lines."""
        configure(file=tmp_path / "out")
        get_logger("x").info("one")
        stream = Terminal()
        configure(file=tmp_path / "out", stream=stream)
        get_logger("x").info("two")
        assert [entry["message"] for entry in entries((tmp_path / "out").read_text())] == ["one", "two"]
        assert "two" in stream.getvalue()
        assert capsys.readouterr().err == ""

    def test_old_file_is_closed(self, tmp_path: Path) -> None:
        """A handler that is replaced closes its file."""
        configure(file=tmp_path / "out")
        (old,) = own_handlers()
        configure(stream=io.StringIO())
        old.handle(logging.makeLogRecord({"msg": "late"}))
        assert old.lost == 1
        assert (tmp_path / "out").read_text() == ""

    def test_standard_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Lines go to the standard error stream by default."""
        configure()
        get_logger("x").info("hello")
        assert entries(capsys.readouterr().err)[0]["message"] == "hello"

    def test_refused_secrets(self) -> None:
        """A warning reports a secret that is too short, without the secret."""
        stream = io.StringIO()
        assert configure(stream=stream, secrets=["qqq", "hunter2hunter2"]) is process_masker
        (entry,) = entries(stream.getvalue())
        assert entry["message"].startswith("a secret was refused: a secret of 3 characters is too short")
        assert "qqq" not in stream.getvalue()
        assert process_masker.mask("hunter2hunter2") == "***"

    def test_one_secret(self) -> None:
        """A single text is one secret, not one for each character."""
        configure(stream=io.StringIO(), secrets="hunter2hunter2")
        assert process_masker.mask("hunter2hunter2") == "***"

    @pytest.mark.parametrize("wrong", [{"format": "xml"}, {"level": "LOUD"}, {"file": "/nowhere/out"}])
    def test_wrong_arguments(self, wrong: dict[str, Any]) -> None:
        """Wrong arguments are refused before anything is changed."""
        before = list(logging.getLogger().handlers)
        with pytest.raises((ValueError, OSError)):
            configure(**wrong)
        assert logging.getLogger().handlers == before


class TestImport:
    """The effects and the needs of an import."""

    def test_sets_up_nothing(self) -> None:
        """An import adds no handlers, sets no levels and captures no warnings."""
        program = (
            "import logging, warnings; before = (dict(vars(logging.root)), warnings.showwarning, "
            "logging.Handler.handleError, logging.getLogRecordFactory(), logging.getLoggerClass());"
            "import cicd_common.logging;"
            "assert before == (dict(vars(logging.root)), warnings.showwarning, "
            "logging.Handler.handleError, logging.getLogRecordFactory(), logging.getLoggerClass())"
        )
        subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=True)

    def test_by_itself(self, tmp_path: Path) -> None:
        """A copy under another name works, and imports little that the standard library's logging does not."""
        here = Path(str(cicd_common.logging.__file__)).parent
        there = tmp_path / "vendored" / "logs"
        there.mkdir(parents=True)
        (tmp_path / "vendored" / "__init__.py").touch()
        for source in here.glob("*.py"):
            (there / source.name).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
        program = (
            "import sys, logging, json, contextvars; before = set(sys.modules);"
            "from vendored.logs import configure, get_logger;"
            "print(*{name.partition('.')[0] for name in set(sys.modules) - before});"
            "configure(format='json'); get_logger('x').info('hello')"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True, env=os.environ
        )
        assert set(done.stdout.split()) <= {"vendored", "__future__", "typing", "_typing", "bisect", "_bisect"}
        assert json.loads(done.stderr)["message"] == "hello"

    def test_face(self) -> None:
        """The names in `__all__` exist and are sorted."""
        import cicd_common.logging as face

        assert face.__all__ == sorted(face.__all__)
        assert all(hasattr(face, name) for name in face.__all__)


class TestCapture:
    """Records are captured as plain data."""

    def test_entries(self) -> None:
        """Records of all levels and loggers are captured, and the set-up is restored."""
        root = logging.getLogger()
        before = root.level, list(root.handlers)
        with capture_logs() as entries:
            get_logger("a").debug("hello %s", "you", number=1, path=Path("x"))
        get_logger("a").error("not captured")
        assert entries == [
            {
                "level": "DEBUG",
                "severity_number": 5,
                "logger": "a",
                "message": "hello you",
                "number": 1,
                "path": "x",
            }
        ]
        assert (root.level, list(root.handlers)) == before

    def test_level(self) -> None:
        """Only records from the given level on are captured."""
        with capture_logs("ERROR") as entries:
            get_logger("a").warning("x")
            get_logger("a").error("y", exc_info=ValueError("z"))
        assert [(entry["message"], entry["exception.message"]) for entry in entries] == [("y", "z")]
