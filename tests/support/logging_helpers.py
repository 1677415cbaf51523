"""A logger that writes to memory."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from typing import Any

from cicd_common.logging import CicdLogger, JsonFormatter, LineHandler, SecretMasker


def fail(error: BaseException) -> None:
    raise error


class Written:
    """A logger that shares nothing with other loggers, and the text that it has written."""

    def __init__(self, formatter: Callable[..., logging.Formatter] = JsonFormatter, *secrets: str, **options: Any):
        self.masker = SecretMasker()
        for secret in secrets:
            self.masker.add(secret)
        self.stream = io.StringIO()
        self.handler = LineHandler(self.stream, masker=self.masker)
        self.handler.setFormatter(formatter(masker=self.masker, **options))
        self.logger = logging.Manager(logging.RootLogger(logging.DEBUG)).getLogger("worker.jobs")
        self.logger.addHandler(self.handler)
        self.log = CicdLogger(self.logger)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        return self.lines[-1]
