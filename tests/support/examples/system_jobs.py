"""Jobs that write notes for the test to a directory, and functions to check the logs of jobs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from cicd_common.model import Job, Pipeline, Stage


class Side:
    """A directory in which jobs write notes, and wait for files that the test creates."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()

    def job(self, name: str, *commands: str, **fields: Any) -> Job:
        """A job that notes its begin and the end of its commands."""
        began = f"echo {name} $$ >> {self.directory}/began"
        return Job(name=name, script=(began, *commands, f"echo {name} >> {self.directory}/done"), **fields)

    def began(self, name: str) -> list[int]:
        """The process ids of the shells that began a job."""
        return [int(line.split()[1]) for line in self.lines("began") if line.split()[0] == name]

    def done(self, name: str) -> int:
        """How many times a job has completed its commands."""
        return self.order().count(name)

    def order(self) -> list[str]:
        """The names of jobs in the order in which they completed their commands."""
        return self.lines("done")

    def lines(self, name: str) -> list[str]:
        """The lines of a file that jobs write to."""
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / name).read_text().splitlines()
        return []

    def let_go(self, gate: str) -> None:
        """Let jobs continue that wait at a gate."""
        (self.directory / gate).touch()

    def gate(self, name: str) -> str:
        """A command that waits until the test calls `let_go`."""
        return f"until [ -e {self.directory}/{name} ]; do sleep 0.02; done"

    def lines_until(self, name: str) -> str:
        """A command that prints numbered lines until the test calls `let_go`, and then their number."""
        note = f"printf . >> {self.directory}/{name}.count"
        rest = f'i=$((i+1)); echo "line $i"; {note}; sleep 0.01; done; echo "of $i"'
        return f"i=0; until [ -e {self.directory}/{name} ]; do {rest}"

    def count(self, name: str) -> int:
        """How many lines the command of `lines_until` has printed."""
        return len("".join(self.lines(f"{name}.count")))


def lines_up_to(count: int, *, pause: float = 0) -> str:
    """A command that prints numbered lines, and then their number."""
    rest = f"sleep {pause}; " if pause else ""
    return f'i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo "line $i"; {rest}done; echo "of $i"'


def pipeline(repository: Path, stages: dict[str, Sequence[Job]], *, name: str = "run") -> Pipeline:
    """A definition with a unique name."""
    return Pipeline(
        name=f"{name} {uuid4().hex[:8]}",
        repo_url=str(repository),
        stages=tuple(Stage(name=stage, jobs=tuple(jobs)) for stage, jobs in stages.items()),
    )


# --- logs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    """The part of a log about one attempt at a job.

    Attributes:
        claim: The first line, by the Worker, with the number of the attempt.
        text: The other lines.
    """

    claim: str
    text: str

    @property
    def number(self) -> int:
        """The number of the attempt."""
        return int(self.claim.rpartition("attempt ")[2])

    def numbers(self) -> list[int]:
        """The numbers of the numbered lines."""
        return [int(number) for number in re.findall(r"^line (\d+)$", self.text, re.MULTILINE)]

    def is_whole(self) -> bool:
        """Whether it contains all numbered lines once and in order."""
        last = re.findall(r"^of (\d+)$", self.text, re.MULTILINE)
        return len(last) == 1 and self.numbers() == list(range(1, int(last[0]) + 1))

    def is_beginning(self) -> bool:
        """Whether it contains the first numbered lines once and in order."""
        return self.numbers() == list(range(1, len(self.numbers()) + 1))


CLAIM = re.compile(r"^.*\battempt\b.*$\n?", re.MULTILINE | re.IGNORECASE)


def attempts(log: str) -> list[Attempt]:
    """The attempts in the log of a job."""
    claims = [match[0] for match in CLAIM.finditer(log)]
    before, *texts = CLAIM.split(log)
    assert not before
    return [Attempt(claim, text) for claim, text in zip(claims, texts, strict=True)]


def check_job(side: Side, name: str, log: str) -> None:
    """Check that a job completed, at most once per attempt, and that its log has the whole output of the last one."""
    tries = attempts(log)
    numbers = [attempt.number for attempt in tries]
    assert numbers == sorted(set(numbers))
    while len(tries) > 1 and not tries[-1].text:
        tries.pop()  # The job was delivered again at the moment of its end.
    assert tries[-1].is_whole()
    assert all(attempt.is_beginning() for attempt in tries[:-1])
    assert 1 <= side.done(name) <= len(tries)
