"""The expressions to time: each contender reads and writes each message."""

from __future__ import annotations

from time import process_time
from timeit import Timer
from typing import Any

import attrs
from messages import Message, messages, pipeline
from peers import BARE, OURS, PEERS, Contender

__all__ = ["LARGE", "SMALL", "Case", "scaling_cases", "table_cases"]

SMALL, LARGE = 100, 10_000


@attrs.frozen(eq=False)
class Case:
    """One expression to time.

    Attributes:
        key: The names of the message, of the contender, and ``read`` or ``write``.
        expression: The expression.
        names: The values of the names in it.
    """

    key: tuple[str, str, str]
    expression: str
    names: dict[str, Any]

    def timer(self) -> Timer:
        return Timer(self.expression, timer=process_time, globals=self.names)


def table_cases() -> list[list[Case]]:
    """The cases of the tables, by message."""
    return [_cases(message, [*OURS, *PEERS]) for message in messages()]


def scaling_cases(name: str) -> list[Case]:
    """The cases of one contender with a small and a large pipeline. The number of jobs is the name of each message."""
    (contender,) = (each for each in (*OURS, *PEERS, BARE) if each.name == name)
    return [case for jobs in (SMALL, LARGE) for case in _cases(Message(str(jobs), pipeline(jobs)), [contender])]


def _cases(message: Message, contenders: list[Contender]) -> list[Case]:
    return [case for contender in contenders for case in _both_ways(message, contender)]


def _both_ways(message: Message, contender: Contender) -> list[Case]:
    names = {**contender.prepare(message.type), "text": message.text}
    names["obj"] = eval(contender.read, names)
    _expect_same(message, contender, eval(contender.write, names))
    return [
        Case((message.name, contender.name, "read"), contender.read, names),
        Case((message.name, contender.name, "write"), contender.write, names),
    ]


def _expect_same(message: Message, contender: Contender, written: bytes) -> None:
    """Check that the written document has the content that was read, so that all contenders do the same work."""
    ours = OURS[0]
    names = {**ours.prepare(message.type), "text": written}
    if eval(ours.read, names) != message.obj:
        raise ValueError(f"{contender.name} does not give back the {message.name}")
