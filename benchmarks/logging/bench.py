"""Compare the time of a log line with that of a minimal JSON formatter for the logging of the standard library.

Run as ``python benchmarks/logging/bench.py [ROUNDS]``. Every contender writes the same line, with four context
fields, to its own file. The contenders take turns, so that other work on the machine affects all of them. Times are
medians over the rounds, and ratios compare times of the same round.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from cicd_common.logging import CicdLogger, JsonFormatter, LineHandler, MaskingStream, SecretMasker, execution_context

CALLS = 1000
FIELDS = {
    "pipeline_execution_id": "0b6b4d5a-1f3a-4a57-9f55-2f0a3a5e5c11",
    "stage_execution_id": "5f0c2a7e-95f1-4c39-8a55-0d1cf1a4d7b2",
    "job_execution_id": "c0a8f7d6-3b6e-4a0e-8f5e-7d0b9b1f2a33",
    "worker_id": "worker-7",
}
CONTEXT: ContextVar[dict[str, str]] = ContextVar("CONTEXT", default=FIELDS)
MESSAGE = "job finished"


class MinimalFormatter(logging.Formatter):
    """The baseline: a short formatter without further features."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **CONTEXT.get(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def standard(name: str, formatter: logging.Formatter, path: str) -> logging.Logger:
    handler = logging.FileHandler(path)
    handler.setFormatter(formatter)
    return attached(name, handler)


def attached(name: str, handler: logging.Handler) -> logging.Logger:
    logger = logging.Logger(name, logging.INFO)
    logger.addHandler(handler)
    return logger


def ours(name: str, path: str, count: int = 0) -> CicdLogger:
    masker = SecretMasker()
    for _ in range(count):
        masker.add(secrets.token_hex(20))
    handler = LineHandler(file=path, masker=masker)
    handler.setFormatter(JsonFormatter(masker=masker))
    return CicdLogger(attached(name, handler))


def ours_in_context(logger: CicdLogger) -> Callable[[int], None]:
    def run(calls: int) -> None:
        with execution_context(**FIELDS):
            for _ in range(calls):
                logger.info(MESSAGE)

    return run


def calls_of(log: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[[int], None]:
    def run(calls: int) -> None:
        for _ in range(calls):
            log(*args, **kwargs)

    return run


def structlog_fastest(path: str) -> Callable[[int], None]:
    """The fastest set-up in its documentation: bytes, without positional arguments and the standard library."""
    import structlog

    logger = structlog.wrap_logger(
        structlog.BytesLogger(open(path, "ab")),  # noqa: SIM115 - it stays open until the program ends
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=lambda event, **_: json.dumps(event).encode()),
        ],
        cache_logger_on_first_use=True,
    ).bind()
    structlog.contextvars.bind_contextvars(**FIELDS)
    return calls_of(logger.info, MESSAGE)


def structlog_standard(path: str) -> Callable[[int], None]:
    """The set-up with a ``ProcessorFormatter`` for the logging of the standard library."""
    import structlog

    shared = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()]
    )
    logger = structlog.wrap_logger(
        standard("worker.jobs", formatter, path),
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        cache_logger_on_first_use=True,
    ).bind()
    return calls_of(logger.info, MESSAGE)


def python_json_logger(path: str) -> Callable[[int], None]:
    from pythonjsonlogger.json import JsonFormatter as PythonJsonFormatter

    formatter = PythonJsonFormatter("{asctime}{levelname}{name}{message}", style="{")
    return calls_of(standard("worker.jobs", formatter, path).info, MESSAGE, extra=FIELDS)


def loguru_serialized(path: str) -> Callable[[int], None]:
    from loguru import logger

    logger.remove()
    logger.add(path, serialize=True)
    return calls_of(logger.bind(**FIELDS).info, MESSAGE)


def contenders(folder: str) -> dict[str, Callable[[int], None]]:
    def at(name: str) -> str:
        return str(Path(folder, name))

    found = {
        "minimal formatter (baseline)": calls_of(
            standard("worker.jobs", MinimalFormatter(), at("baseline")).info, MESSAGE
        ),
        "CicdLogger": ours_in_context(ours("worker.jobs", at("ours"))),
        "CicdLogger, one field a call": calls_of(
            ours("worker.jobs", at("ours-fields")).bind(**FIELDS).info, MESSAGE, exit_code=0
        ),
        "CicdLogger, ten secrets": ours_in_context(ours("worker.jobs", at("ours-10"), 10)),
        "CicdLogger, fifty secrets": ours_in_context(ours("worker.jobs", at("ours-50"), 50)),
    }
    others = {
        "structlog, fastest set-up": structlog_fastest,
        "structlog, standard library set-up": structlog_standard,
        "python-json-logger": python_json_logger,
        "loguru, serialize": loguru_serialized,
    }
    for name, make in others.items():
        with contextlib.suppress(ImportError):
            found[name] = make(at(name.replace(" ", "-")))
    return found


def disabled(folder: str) -> dict[str, Callable[[int], None]]:
    plain = standard("worker.jobs", MinimalFormatter(), str(Path(folder, "disabled")))
    logger = CicdLogger(plain)
    return {
        "disabled call, standard logger": calls_of(plain.debug, MESSAGE),
        "disabled call, CicdLogger": calls_of(logger.debug, MESSAGE),
        "disabled call with a field, standard logger": calls_of(plain.debug, MESSAGE, extra={"exit_code": 0}),
        "disabled call with a field, CicdLogger": calls_of(logger.debug, MESSAGE, exit_code=0),
    }


def measure(runs: dict[str, Callable[[int], None]], rounds: int, calls: int) -> dict[str, list[float]]:
    """The microseconds of a call, for each contender in each round."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = perf_counter()
            run(calls)
            times[name].append((perf_counter() - start) / calls * 1e6)
    return times


def rows(times: dict[str, list[float]], baseline: str) -> Iterator[str]:
    for name, measured in times.items():
        ratio = statistics.median(mine / base for mine, base in zip(measured, times[baseline], strict=True))
        yield f"| {name} | {statistics.median(measured):.2f} | {ratio:.2f} |"


def cliffs() -> Iterator[str]:
    """Rows with the microseconds for 10 and for 3,000 secrets, and their ratio, which must not be large."""
    for name, run in {
        "mask a text with a secret": lambda masker, known: masker.mask(f"the token {known[7]} is refused"),
        "mask a line without a secret": lambda masker, _: masker.mask(LINE),
        "a character of a stream, with a secret": _character_by_character,
    }.items():
        few, many = (_microseconds(run, count) for count in (10, 3000))
        yield f"| {name} | {few:.1f} | {many:.1f} | {many / few:.2f} |"


LINE = json.dumps({"timestamp": "2026-01-02T12:04:05.123456Z", "message": MESSAGE, **FIELDS})


def _character_by_character(masker: SecretMasker, known: list[str]) -> None:
    with MaskingStream[str](lambda _: None, masker) as stream:
        for character in f"the token {known[7]} is refused":
            stream.write(character)


def _microseconds(run: Callable[[SecretMasker, list[str]], object], count: int) -> float:
    masker, known = SecretMasker(), [secrets.token_hex(20) for _ in range(count)]
    for secret in known:
        masker.add(secret)
    run(masker, known)
    return min(timeit.repeat(lambda: run(masker, known), number=50, repeat=10)) / 50 * 1e6


def adding() -> float:
    """The seconds to add 3,000 secrets."""
    known = [secrets.token_hex(20) for _ in range(3000)]
    masker, start = SecretMasker(), perf_counter()
    for secret in known:
        masker.add(secret)
    return perf_counter() - start


def streaming(size: int, chunk: int = 1 << 16) -> tuple[float, float]:
    """The seconds to mask ten secrets in ordinary output, with a stream and with ten calls of ``bytes.replace``."""
    words = [secrets.token_urlsafe(6).translate(str.maketrans("", "", "0123456789-_")) for _ in range(3000)]
    lines = [" ".join(random.choices(words, k=12)) + f" in {n} ms\n" for n in range(10_000)]
    part = "".join(lines).encode()
    data = (part * (size // len(part) + 1))[:size]
    known, masker = [secrets.token_hex(20) for _ in range(10)], SecretMasker()
    for secret in known:
        masker.add(secret)
    start = perf_counter()
    with MaskingStream[bytes](lambda _: None, masker) as stream:
        for at in range(0, size, chunk):
            stream.write(data[at : at + chunk])
    middle = perf_counter()
    for secret in known:
        data.replace(secret.encode(), b"***")
    return middle - start, perf_counter() - middle


def import_times(rounds: int) -> tuple[float, float, float, float]:
    """The milliseconds of imports from bytecode.

    They are for logging and json, the logger alone, cicd_common, and the logger after cicd_common.
    """
    here = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(here / "cicd_common" / "logging", Path(folder, "alone", "logging"))
        Path(folder, "alone", "__init__.py").touch()
        base, _, alone = _import_times("alone", folder, folder, rounds)
        _, package, logger = _import_times("cicd_common", str(here), folder, rounds)
    return base, alone, package, logger


def _import_times(package: str, folder: str, cache: str, rounds: int) -> list[float]:
    program = (
        "import time; a = time.perf_counter(); import logging, json; b = time.perf_counter();"
        f"import {package}; c = time.perf_counter(); import {package}.logging; d = time.perf_counter();"
        "print(b - a, c - b, d - c)"
    )
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(Path(cache, "compiled")), "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, "-c", program]
    found = []
    for _ in range(rounds + 1):
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
        found.append([float(part) * 1000 for part in done.stdout.split()])
    return [statistics.median(column) for column in zip(*found[1:], strict=True)]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {rounds} rounds of {CALLS} calls\n")
    print("| | µs a call | ratio |\n| --- | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(measure(contenders(folder), rounds, CALLS), "minimal formatter (baseline)"):
            print(row)
        times = measure(disabled(folder), rounds, CALLS * 10)
        names = list(times)
        for row in [
            *rows({n: times[n] for n in names[:2]}, names[0]),
            *rows({n: times[n] for n in names[2:]}, names[2]),
        ]:
            print(row)
    print("\n| | 10 secrets | 3,000 secrets | ratio |\n| --- | ---: | ---: | ---: |")
    for row in cliffs():
        print(row)
    print(f"\nAdding 3,000 secrets: {min(adding() for _ in range(5)):.2f} s")
    through, replaced = (min(times) for times in zip(*(streaming(100_000_000) for _ in range(3)), strict=True))
    print(f"MaskingStream, 100 MB: {through:.2f} s; ten times bytes.replace: {replaced:.2f} s")
    base, alone, package, logger = import_times(20)
    print(f"\nImport, in ms: logging and json {base:.1f}; then the logger by itself {alone:.1f};")
    print(f"or cicd_common {package:.1f}, and then the logger {logger:.1f}")


if __name__ == "__main__":
    main()
