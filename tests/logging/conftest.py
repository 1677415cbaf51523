"""Each test of the logging package begins and ends with the logging of the process as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from cicd_common.logging._needles import Needles
from cicd_common.logging.masking import process_masker


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, handle_error = list(root.handlers), root.level, logging.Handler.handleError
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    logging.Handler.handleError = handle_error  # type: ignore[method-assign]
    process_masker._needles = Needles()
