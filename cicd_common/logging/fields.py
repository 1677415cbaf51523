"""The fields of a log line, as a value, and the names under which they are written."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any

from .values import dump

__all__ = ["NO_FIELDS", "RECORD_ATTRIBUTES", "STAMP", "Fields", "written_name"]

# The attribute of a record of another class that holds the context in which it was made.
STAMP = "_cicd_context"

# The attributes that every record has, and those that formatters of the standard library add.
RECORD_ATTRIBUTES = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", STAMP})

_LINE_KEYS = (
    "timestamp",
    "level",
    "severity_number",
    "logger",
    "message",
    "service.name",
    "thread.name",
    "exception.type",
    "exception.message",
    "exception.stacktrace",
    "code.stacktrace",
)

# The names of the OpenTelemetry semantic conventions for CI/CD, which have none for the run of a stage.
_OPENTELEMETRY = {
    "pipeline_execution_id": "cicd.pipeline.run.id",
    "job_execution_id": "cicd.pipeline.task.run.id",
    "pipeline_name": "cicd.pipeline.name",
    "job_name": "cicd.pipeline.task.name",
    "worker_id": "cicd.worker.id",
}

_WRITTEN_NAMES = {name: f"field.{name}" for name in (*RECORD_ATTRIBUTES, *_LINE_KEYS)} | _OPENTELEMETRY


def written_name(name: str) -> str:
    """Return the name of a field on the line and on the record.

    It is the OpenTelemetry name where there is one. A name that is reserved on the record or the line gets the prefix
    ``field.``, and any other name stays.

    Args:
        name: The name that the caller gave.
    """
    return _WRITTEN_NAMES.get(name, name)


class Fields:
    """Fields by their written names. They are never changed, and rendered at most once.

    Args:
        values: The fields by their written names.
        halves: Two `Fields` whose renderings make up that of these fields, if there are any.

    Attributes:
        values: As given.
    """

    __slots__ = ("_halves", "_json", "values")

    def __init__(self, values: dict[str, Any], halves: tuple[Fields, Fields] | None = None) -> None:
        self.values = values
        self._halves = halves
        self._json: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Fields:
        """Make fields from those that a caller gives.

        Args:
            given: The fields by the names that the caller gave.
        """
        names = _WRITTEN_NAMES
        return cls({names.get(name, name): value for name, value in given.items()})

    def join(self, other: Fields) -> Fields:
        """Return these fields and then the others, which replace those of the same name.

        Args:
            other: The other fields.
        """
        if not other.values:
            return self
        if not self.values:
            return other
        values = {**self.values, **other.values}
        apart = len(values) == len(self.values) + len(other.values)
        return Fields(values, (self, other) if apart else None)

    def without(self, names: tuple[str, ...]) -> Fields:
        """Return these fields without some of them.

        Args:
            names: The names that the caller gave; unknown ones are ignored.
        """
        gone = {written_name(name) for name in names}
        return Fields({name: value for name, value in self.values.items() if name not in gone})

    @property
    def json(self) -> str:
        """The fields as text of a JSON object, each with a comma before it."""
        if self._json is None:
            self._json = self._rendered()
        return self._json

    def _rendered(self) -> str:
        if self._halves is not None:
            return self._halves[0].json + self._halves[1].json
        return "".join([f",{encode_basestring(name)}:{dump(value)}" for name, value in self.values.items()])


NO_FIELDS = Fields({})
