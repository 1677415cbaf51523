"""The golden files: one file with JSON for every type of the contract.

``python -m tests.support.golden_files`` rewrites the files. Review the differences.
"""

from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs

from cicd_common.fields import Kind, Name, RelativePath, Retries, Rule, Sha256, split
from cicd_common.model import PipelineExecution
from cicd_common.values import Environment, JsonObject
from tests.support.contract import ENGINES, TYPES

DIRECTORY = Path(__file__).parents[1] / "golden"
SPECIAL: dict[Rule, Any] = {
    split(Name)[1][0]: 'näme "of" it 🚀',
    split(Kind)[1][0]: "acme.http-check",
    split(Retries)[1][0]: 3,
    split(Sha256)[1][0]: "0123456789abcdef" * 4,
    split(RelativePath)[1][0]: "dist/päckage.whl",
}
PLAIN: dict[Any, Any] = {
    str: 'line\n\ttab "quoted" \\ \x1b[0m é 🚀 \u2028',
    int: 42,
    bool: True,
    UUID: UUID("7B0F6F4E-4A5C-4C57-9A46-3F6D1A0C2B11"),
    datetime: datetime(2026, 1, 31, 12, 30, 5, 250_000, tzinfo=UTC),
    JsonObject: JsonObject({"url": "https://example.com/é", "retry": {"delay": 1e-7, "times": [1, 2.5, None, True]}}),
    Environment: Environment({"LANG": "C.UTF-8", "GREETING": 'höt "stuff"\n'}),
}


def full(cls: Any) -> Any:
    """An instance with a value for every field. The values are the same in each run."""
    if cls is PipelineExecution:
        return full_execution()
    hints = get_type_hints(cls, include_extras=True)
    given = {name: _value(hint) for name, hint in hints.items() if name in {field.name for field in attrs.fields(cls)}}
    if cls.__name__ == "Job":
        given["dependencies"] = ()  # The stage has no other job.
    if cls.__name__ == "JobStatusUpdate":
        given["is_released"] = False  # Only a RUNNING update may release a job.
    return cls(**given)


def least(cls: Any) -> Any:
    """An instance with only the required fields, and with ids, whose defaults are random."""
    whole = full(cls)
    needed = {
        field.name
        for field in attrs.fields(cls)
        if field.default is attrs.NOTHING or field.name in ("id", "pipeline_id", "pipeline_execution_id")
    }
    if cls.__name__ == "Job":
        needed.add("script")
    return cls(**{name: getattr(whole, name) for name in needed})


def full_execution() -> PipelineExecution:
    pipeline = full(get_type_hints(PipelineExecution)["pipeline"])
    execution = PipelineExecution.of(pipeline, run_number=42, id=PLAIN[UUID], is_local=True)
    stages = tuple(
        attrs.evolve(stage, id=PLAIN[UUID], jobs=tuple(attrs.evolve(job, id=PLAIN[UUID]) for job in stage.jobs))
        for stage in execution.stages
    )
    return attrs.evolve(execution, stages=stages, canceled_at=PLAIN[datetime])


def _value(hint: Any) -> Any:
    base, rules, _ = split(hint)
    if get_origin(base) is tuple:
        return (_value(get_args(base)[0]),)
    if attrs.has(base):
        return full(base)
    if issubclass(base, Enum):
        return list(base)[2]
    return next((SPECIAL[rule] for rule in rules if rule in SPECIAL), PLAIN.get(base))


def files() -> dict[str, bytes]:
    """The expected content of each file: a line with `full` and a line with `least`."""
    write = ENGINES[0].dumps
    return {f"{cls.__name__}.jsonl": b"".join(write(make(cls)) + b"\n" for make in (full, least)) for cls in TYPES}


if __name__ == "__main__":
    for file, content in files().items():
        (DIRECTORY / file).write_bytes(content)
