"""Each test begins and ends with the original logging set-up of the process."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from cicd_common.logging.masking import process_masker


def _loggers() -> list[logging.Logger]:
    found = logging.Logger.manager.loggerDict.values()
    return [logger for logger in found if isinstance(logger, logging.Logger)]


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root, factory = logging.getLogger(), logging.getLogRecordFactory()
    handle_error, handle = logging.Handler.handleError, logging.Logger.handle
    before = {logger: (logger.level, logger.propagate, list(logger.handlers)) for logger in (root, *_loggers())}
    yield
    for logger in (root, *_loggers()):
        level, propagate, handlers = before.get(logger, (logging.NOTSET, True, []))
        for handler in logger.handlers:
            if handler not in handlers:
                handler.close()
        logger.handlers[:] = handlers
        logger.propagate = propagate
        logger.setLevel(level)
    logging.captureWarnings(False)
    logging.Handler.handleError = handle_error  # type: ignore[method-assign]
    logging.Logger.handle = handle  # type: ignore[method-assign]
    logging.setLogRecordFactory(factory)
    process_masker.expire(())
    process_masker.drop(process_masker.multiset())
    process_masker._mask = b"***"
