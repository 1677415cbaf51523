"""Checks of the logs, the messages and the files of a system."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from cicd_common import converter
from cicd_common.api.request import ArtifactUploadRequest, ExecutionLogUpload, JobStatusUpdate
from cicd_common.api.response import ArtifactsResponse, JobExecutionResponse
from cicd_common.dto import JobExecutionDTO
from tests.support.examples.proxy import Exchange

LOG_KEYS = {"timestamp", "level", "severity_number", "logger", "message", "service.name"}


class Logs:
    """The log files of a directory. Each line is read once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[Path, int] = {}

    def check(self) -> list[dict[str, Any]]:
        """Check that `CicdLogger` wrote all new lines, and return the lines."""
        return [
            checked_entry(line, file)
            for file in sorted(self._directory.glob("*.log"))
            for line in self._new_lines(file)
        ]

    def _new_lines(self, file: Path) -> list[str]:
        with file.open("rb") as log:
            log.seek(self._read.get(file, 0))
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read[file] = self._read.get(file, 0) + len(whole)
        return whole.decode().splitlines()

    def tails(self) -> str:
        """The last lines of all files, for a failed test."""
        files = sorted(self._directory.glob("*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-4000:]}" for file in files)


def checked_entry(line: str, file: Path) -> dict[str, Any]:
    """The object in a line of a log; the test fails if `CicdLogger` has not written it."""
    entry = None
    with contextlib.suppress(ValueError):
        entry = json.loads(line)
    if not isinstance(entry, dict):
        pytest.fail(f"{file.name} has a line that is no JSON object: {line}")
    assert entry.keys() >= LOG_KEYS, f"{file.name}: {line}"
    service, _, _ = file.stem.partition("-")
    assert entry["service.name"] == service, f"{file.name}: {line}"
    return entry


# The messages between Worker and Backend: method, path, type of the body and type of the answer.
MESSAGES = [
    ("POST", r"/api/job/status", JobStatusUpdate, JobExecutionResponse),
    ("GET", r"/api/job/status/[0-9a-f-]{36}", None, JobExecutionResponse),
    ("GET", r"/api/job/logs/[0-9a-f-]{36}(\?.*)?", None, JobExecutionDTO),
    ("POST", r"/api/job/artifact/upload", ArtifactUploadRequest, JobExecutionResponse),
    ("GET", r"/api/job/artifacts/[0-9a-f-]{36}", None, ArtifactsResponse),
    ("POST", r"/api/execution/logs", ExecutionLogUpload, None),
]
# The content of an artifact, which is not a message.
CONTENT = r"/api/artifact/([0-9a-f]{64})"


def _check_message(type_: type[Any] | None, body: bytes) -> None:
    """Check that a body is a value of a type in the bytes that the converter writes."""
    if type_ is None:
        assert body == b""
    else:
        assert converter.dumps(converter.loads(body, type_, strict=True)) == body


def check_exchange(exchange: Exchange) -> None:
    """Check a request of a Worker and its answer against the contract."""
    request = exchange.request
    if content := re.fullmatch(CONTENT, request.path):
        _check_content(content[1], exchange)
        return
    if (request.method, request.path) == ("GET", "/health"):  # A Worker reads the time from its header.
        return
    ((asked, answered),) = [
        (asked, answered)
        for method, path, asked, answered in MESSAGES
        if method == request.method and re.fullmatch(path, request.path)
    ]
    _check_message(asked, request.body)
    assert exchange.answer.status == (204 if answered is None else 200)
    _check_message(answered, exchange.answer.body)


def _check_content(digest: str, exchange: Exchange) -> None:
    is_put = exchange.request.method == "PUT"
    content, nothing = exchange.request.body, exchange.answer.body
    if not is_put:
        content, nothing = nothing, content
    assert (exchange.answer.status, nothing) == (204 if is_put else 200, b"")
    assert sha256(content).hexdigest() == digest


def check_secrets(secrets: Iterable[str], files: Iterable[Path], store: str) -> None:
    """Check that no file and no row of the store contains a secret, as it is or in base64."""
    plain = [secret.encode() for secret in secrets]
    forms = plain + [base64.b64encode(secret) for secret in plain]
    for file in files:
        with contextlib.suppress(FileNotFoundError):  # A Worker may be removing the working copy of a job.
            data = file.read_bytes()
            assert not [form for form in forms if form in data], f"{file} contains a secret"
    rows = "".join(rows_of(store)).encode()
    assert not [form for form in forms if form in rows], "the store contains a secret"


def rows_of(url: str) -> Iterator[str]:
    """All rows of a store as text, except the time of the last look for lost jobs, which always changes."""
    from sqlalchemy import create_engine, select

    from cicd_common.store.tables import metadata, watch

    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            for table in metadata.sorted_tables:
                if table is watch:
                    continue
                yield from map(str, connection.execute(select(table)))
    finally:
        engine.dispose()
