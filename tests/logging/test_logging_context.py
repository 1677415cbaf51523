"""Log lines have the fields of their execution context."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from cicd_common.logging import capture_logs, execution_context, get_logger, propagate_context
from cicd_common.logging.context import current_fields


def in_force() -> dict[str, Any]:
    return dict(current_fields().values)


class TestExecutionContext:
    """A context puts fields on the lines of a block, a function or a task."""

    def test_every_logger(self) -> None:
        """Every line of every logger has the fields, under the OpenTelemetry names."""
        pipeline, stage, job = uuid4(), uuid4(), uuid4()
        ids = {"pipeline_execution_id": pipeline, "stage_execution_id": stage, "job_execution_id": job}
        with capture_logs() as entries, execution_context(**ids, worker_id="w1"):
            get_logger("a").info("x")
            logging.getLogger("b").info("x")
        for entry in entries:
            assert entry["cicd.pipeline.run.id"] == str(pipeline)
            assert entry["stage_execution_id"] == str(stage)
            assert entry["cicd.pipeline.task.run.id"] == str(job)
            assert entry["cicd.worker.id"] == "w1"
        assert len(entries) == 2

    def test_nesting(self) -> None:
        """An inner context adds and replaces fields; leaving it restores the outer one."""
        with execution_context(a=1, b=1):
            with execution_context(b=2, c=2):
                assert in_force() == {"a": 1, "b": 2, "c": 2}
            assert in_force() == {"a": 1, "b": 1}
        assert in_force() == {}

    def test_error(self) -> None:
        """An exception passes through the block."""
        with pytest.raises(KeyError), execution_context(a=1):
            raise KeyError
        assert in_force() == {}

    def test_decorator(self) -> None:
        """Decorated functions keep their names and may call themselves."""

        @execution_context(a=1)
        def count(number: int) -> list[dict[str, Any]]:
            return [in_force(), *(count(number - 1) if number else [])]

        assert count(2) == [{"a": 1}] * 3
        assert count.__name__ == "count"
        assert in_force() == {}

    def test_coroutine_function(self) -> None:
        """The context holds while a coroutine runs, not only while it is called."""

        @execution_context(a=1)
        async def work() -> dict[str, Any]:
            await asyncio.sleep(0)
            return in_force()

        async def main() -> tuple[dict[str, Any], dict[str, Any]]:
            return await work(), in_force()

        assert asyncio.run(main()) == ({"a": 1}, {})

    def test_tasks(self) -> None:
        """Interleaved tasks keep their contexts, and begin with that of their creator."""

        async def work(number: int) -> list[dict[str, Any]]:
            seen = []
            with execution_context(number=number):
                for _ in range(3):
                    await asyncio.sleep(0)
                    seen.append(in_force())
            return seen

        async def main() -> list[list[dict[str, Any]]]:
            with execution_context(a=1):
                return await asyncio.gather(*map(work, range(5)))

        assert asyncio.run(main()) == [[{"a": 1, "number": number}] * 3 for number in range(5)]

    def test_one_object_many_times(self) -> None:
        """One object may be used several times, also at once."""
        context, barrier = execution_context(a=1), threading.Barrier(3)

        def work(number: int) -> dict[str, Any]:
            with execution_context(number=number), context, context:
                barrier.wait()
                return in_force()

        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(work, range(3))) == [{"number": number, "a": 1} for number in range(3)]

    def test_left_elsewhere(self) -> None:
        """Leaving a context in a thread that has not entered it raises nothing."""
        execution_context(a=1).__exit__(None, None, None)
        assert in_force() == {}

    def test_generators(self) -> None:
        """A generator is refused, since its caller would run in the context, too."""

        def numbers() -> Iterator[int]:
            yield 1

        async def later() -> AsyncIterator[int]:
            yield 1

        for function in (numbers, later):
            with pytest.raises(TypeError, match="generator"):
                execution_context(a=1)(function)
            with pytest.raises(TypeError, match="generator"):
                propagate_context(function)

    def test_callable_objects(self) -> None:
        """Callable objects that are no functions can be decorated."""
        assert execution_context(a=1)(int)("5") == 5


class TestPropagateContext:
    """A context is carried from one thread to another."""

    def test_lost_without(self) -> None:
        """Threads and executors begin without a context."""
        with execution_context(a=1), ThreadPoolExecutor(1) as pool:
            assert pool.submit(in_force).result() == {}
            assert pool.submit(propagate_context(in_force)).result() == {"a": 1}
            assert pool.submit(in_force).result() == {}

    def test_that_of_its_making(self) -> None:
        """The function has the context in which it was wrapped, not that of its caller."""
        with execution_context(a=1):
            carried = propagate_context(in_force)
        with execution_context(b=2):
            assert carried() == {"a": 1}
            assert in_force() == {"b": 2}

    def test_at_once(self) -> None:
        """A wrapped function can run in many threads at once."""
        barrier = threading.Barrier(3)

        def work() -> dict[str, Any]:
            barrier.wait()
            return in_force()

        with execution_context(a=1), ThreadPoolExecutor(3) as pool:
            carried = propagate_context(work)
            assert [done.result() for done in [pool.submit(carried) for _ in range(3)]] == [{"a": 1}] * 3

    def test_coroutine_function(self) -> None:
        """A coroutine function carries the context to a loop in another thread."""

        async def work() -> dict[str, Any]:
            await asyncio.sleep(0)
            return in_force()

        with execution_context(a=1), ThreadPoolExecutor(1) as pool:
            carried = propagate_context(work)
            assert pool.submit(lambda: asyncio.run(carried())).result() == {"a": 1}
