"""The reports of logging about its own failures."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from cicd_common.logging import configure, mask_logging_errors
from cicd_common.logging.failures import report
from cicd_common.logging.masking import process_masker
from tests.support.logging_strategies import Unprintable


class TestMaskLoggingErrors:
    """Reports of handlers of other libraries are masked."""

    def test_message_and_arguments(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The standard library's report about a bad format has message and arguments, masked."""
        process_masker.add("hunter2hunter2")
        mask_logging_errors()
        logger = logging.Logger("x")
        logger.addHandler(logging.StreamHandler(io.StringIO()))
        logger.info("%d", "hunter2hunter2")
        printed = capsys.readouterr().err
        assert "--- Logging error ---" in printed
        assert "Arguments: ('***',)" in printed
        assert "hunter2" not in printed

    def test_set_up(self, capsys: pytest.CaptureFixture[str]) -> None:
        """`configure` masks these reports."""
        configure(stream=io.StringIO(), secrets=["hunter2hunter2"])
        stream = io.StringIO()
        stream.close()
        logger = logging.Logger("x")
        logger.addHandler(logging.StreamHandler(stream))
        logger.info("hunter2hunter2")
        assert "Message: ***" in capsys.readouterr().err


class TestReport:
    """Reports that cannot be written."""

    def test_silent(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is written if reports are off or there is no stream."""
        monkeypatch.setattr(logging, "raiseExceptions", False)
        report(None)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(logging, "raiseExceptions", True)
        report(logging.makeLogRecord({"msg": Unprintable()}))
        assert "Message: <unprintable Unprintable>" in capsys.readouterr().err
        monkeypatch.setattr(sys, "stderr", None)
        report(None)
