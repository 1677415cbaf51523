"""Invalid documents, to show which contenders check the same rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from messages import Message, messages
from peers import Contender

__all__ = ["BROKEN", "refused"]

# The type of a message, the broken rule, and a function that breaks it.
BROKEN: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("JobStatusUpdate", "a string for an integer", lambda plain: plain.update(sequence="7")),
    ("JobStatusUpdate", "a fraction for an integer", lambda plain: plain.update(sequence=7.0)),
    ("JobStatusUpdate", "true for an integer", lambda plain: plain.update(sequence=True)),
    ("JobStatusUpdate", "an integer for a string", lambda plain: plain.update(logs=5)),
    ("JobStatusUpdate", "an integer below its bound", lambda plain: plain.update(sequence=0)),
    ("JobStatusUpdate", "an integer of 65 bits", lambda plain: plain.update(exit_code=2**64)),
    ("JobStatusUpdate", "a time without an offset", lambda plain: plain.update(occurred_at="2026-01-31T12:00:00")),
    ("JobStatusUpdate", "an unknown status", lambda plain: plain.update(status="running")),
    ("JobStatusUpdate", "a reason of a running job", lambda plain: plain.update(reason="EXITED")),
    ("JobStatusUpdate", "a release of a job that ended", lambda plain: plain.update(status="FAILED", is_released=True)),
    ("JobStatusUpdate", "a Worker without a name", lambda plain: plain.update(worker="")),
    ("JobStatusUpdate", "an attempt below its bound", lambda plain: plain.update(attempt=0)),
    ("JobExecutionDTO", "a string for a list", lambda plain: plain["job"].update(script="make")),
    ("Pipeline", "an empty list", lambda plain: plain["stages"][0].update(jobs=[])),
    ("JobExecutionDTO", "a name with a blank at its end", lambda plain: plain["job"].update(name="tests ")),
    ("Pipeline", "a name that is too long", lambda plain: plain.update(name="x" * 256)),
    ("Pipeline", "a name with a line break", lambda plain: plain["stages"][0].update(name="a\nb")),
    ("Pipeline", "a name that turns the text around", lambda plain: plain.update(name="a\u202eb")),
    ("Pipeline", "a name that nobody can see", lambda plain: plain.update(branch="\u2800")),
    ("Pipeline", "a name in the form NFD", lambda plain: plain.update(name="gro\u0308\u00dfe")),
    ("Pipeline", "a kind in upper case", lambda plain: _job(plain, 0).update(kind="Script")),
    ("Pipeline", "a script without commands", lambda plain: _job(plain, 0).update(script=[])),
    ("Pipeline", "a time limit of no seconds", lambda plain: _job(plain, 0).update(timeout_seconds=0)),
    ("Pipeline", "too many retries", lambda plain: _job(plain, 0).update(retries=11)),
    ("Pipeline", "an object that is too large", lambda plain: _job(plain, 0).update(parameters={"a": "x" * 65_536})),
    ("Pipeline", "an object that is too deep", lambda plain: _job(plain, 0).update(parameters=_nested(33))),
    ("Pipeline", "a number that no double holds", lambda plain: _job(plain, 0).update(parameters={"a": 2**53 + 1})),
    ("Pipeline", "a variable with a hyphen", lambda plain: plain.update(environment={"A-B": ""})),
    ("Pipeline", "a variable that is a number", lambda plain: plain.update(environment={"A": 1})),
    ("Pipeline", "a variable with a NUL", lambda plain: plain.update(environment={"A": "\0"})),
    ("Pipeline", "an empty name among others", lambda plain: _job(plain, 1).update(dependencies=[""])),
    ("Pipeline", "a dependency that is not there", lambda plain: _job(plain, 1).update(dependencies=["nothing"])),
    ("Pipeline", "two jobs of one name", lambda plain: _job(plain, 1).update(name=_job(plain, 0)["name"])),
]


def refused(contender: Contender) -> int:
    """The number of `BROKEN` documents that a contender refuses."""
    by_type = {message.type: message for message in messages()}
    return sum(_refuses(contender, by_type[name], spoil) for name, _, spoil in BROKEN)


def _refuses(contender: Contender, message: Message, spoil: Callable[[Any], Any]) -> bool:
    plain = json.loads(message.text)
    spoil(plain)
    try:
        eval(contender.read, {**contender.prepare(message.type), "text": json.dumps(plain).encode()})
    except Exception:
        return True
    return False


def _job(plain: dict[str, Any], at: int) -> Any:
    return plain["stages"][0]["jobs"][at]


def _nested(levels: int) -> dict[str, Any]:
    return {"a": _nested(levels - 1)} if levels > 1 else {}
