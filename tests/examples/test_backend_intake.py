"""How the Backend applies updates: many in one transaction, each with its own result."""

from __future__ import annotations

import asyncio
import threading
from uuid import uuid4

import httpx
import pytest
from cicd_system.backend import reading
from cicd_system.backend.intake import Intake

from cicd_common import converter
from cicd_common.store import (
    Applied,
    BusyError,
    ExecutionStore,
    FullError,
    UnavailableError,
    UnknownJobExecutionError,
)
from tests.support.examples.backend_in_process import JSON, Backend, app_on, simple, update
from tests.support.examples.waiting import DEADLINE


class Counted:
    """A store that notes the size of each transaction, and holds the first one.

    Args:
        store: The store that applies the updates.
        error: The error of a transaction with an update of the Worker ``bad``; None for no error.
    """

    def __init__(self, store: ExecutionStore, error: Exception | None = None) -> None:
        self.sizes: list[int] = []
        self.held = threading.Event()
        self._store = store
        self._error = error

    def apply_all(self, updates):
        self.sizes.append(len(updates))
        assert self.held.wait(DEADLINE)
        if self._error is not None and any(each.worker == "bad" for each in updates):
            raise self._error
        return self._store.apply_all(updates)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with ExecutionStore(f"sqlite:///{tmp_path_factory.mktemp('intake')}/cicd.db") as store:
        yield store


@pytest.fixture
def job(store):
    return store.start(simple(uuid4().hex)).jobs[0].job_execution_id


async def apply_together(intake, counted, first, *others):
    """Apply an update, and others while its transaction is held; the results, errors included."""
    tasks = [asyncio.create_task(intake.apply(first))]
    while not counted.sizes:
        await asyncio.sleep(0)
    tasks += [asyncio.create_task(intake.apply(each)) for each in others]
    await asyncio.sleep(0)
    counted.held.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


def updates(job, count):
    return [update(job, number, "RUNNING", logs=f"{number}\n") for number in range(1, count + 1)]


class TestBatches:
    """Updates that arrive during one transaction share the next one."""

    def test_one_transaction(self, store, job):
        """Each update has its own result, and no transaction has more than 64 updates."""
        counted = Counted(store)
        *given, last = updates(job, 99)
        found = asyncio.run(apply_together(Intake(counted), counted, *given, update(uuid4(), 1, "RUNNING"), last))
        assert counted.sizes == [1, 64, 35]
        assert [type(each) for each in found] == [*[Applied] * 98, UnknownJobExecutionError, Applied]
        assert store.logs(job).text == "".join(f"{number}\n" for number in range(1, 100))

    def test_waits_for_the_clients_of_a_shared_transaction(self, store, job, monkeypatch):
        """After a shared transaction, the next one waits until as many updates have come again."""
        monkeypatch.setattr("cicd_system.backend.intake._MAX_PAUSE", DEADLINE)
        counted = Counted(store)
        intake = Intake(counted)
        *given, fourth, fifth = updates(job, 5)

        async def twice():
            await apply_together(intake, counted, *given)
            soon = asyncio.create_task(intake.apply(fourth))
            for _ in range(10):
                await asyncio.sleep(0)
            assert counted.sizes == [1, 2]
            await asyncio.gather(soon, intake.apply(fifth))

        asyncio.run(twice())
        assert counted.sizes == [1, 2, 2]


class TestErrors:
    """An update that fails does not fail others."""

    @pytest.mark.parametrize(
        ("error", "is_tried_alone"),
        [(FullError("x"), True), (KeyError("x"), True), (BusyError("x"), False), (UnavailableError("x"), False)],
        ids=repr,
    )
    def test_one_fails(self, store, job, error, is_tried_alone):
        """Each update of a failed transaction is tried alone, unless it would only wait for the database again."""
        counted = Counted(store, error)
        first, last = updates(job, 2)
        bad = update(job, 3, "RUNNING", worker="bad")
        found = asyncio.run(apply_together(Intake(counted), counted, first, bad, last))
        assert [type(each) for each in found] == [Applied, type(error), Applied if is_tried_alone else type(error)]
        assert counted.sizes == ([1, 2, 1, 1] if is_tried_alone else [1, 2])

    def test_too_many(self, store, job, monkeypatch):
        """An update is refused while as many as allowed wait, and accepted afterwards."""
        counted = Counted(store)
        monkeypatch.setattr("cicd_system.backend.intake.MAX_WAITING", 2)
        intake = Intake(counted)
        given = updates(job, 4)

        async def more():
            found = await apply_together(intake, counted, *given)
            return [*found, await intake.apply(given[3])]

        found = asyncio.run(more())
        assert [type(each) for each in found] == [Applied, Applied, Applied, BusyError, Applied]

    def test_canceled_request(self, store, job):
        """A request that is canceled while its update is applied does not disturb the others."""
        counted = Counted(store)
        intake = Intake(counted)

        async def cancel_one():
            tasks = [asyncio.create_task(intake.apply(each)) for each in updates(job, 2)]
            while not counted.sizes:
                await asyncio.sleep(0)
            tasks[0].cancel()
            counted.held.set()
            return await asyncio.gather(*tasks, return_exceptions=True)

        found = asyncio.run(cancel_one())
        assert [type(each) for each in found] == [asyncio.CancelledError, Applied]
        assert counted.sizes == [2]


class TestRoute:
    """What the route for updates does besides."""

    def test_answers_before_jobs_are_sent(self, store):
        """The Worker is answered before the broker has the jobs that became ready: the store has them."""
        order = []
        (first,) = store.start(simple(uuid4().hex, "first", "then")).jobs
        app = app_on(store, lambda jobs: order.extend(job.job_name for job in jobs))

        async def noting(scope, receive, send):
            async def note(message):
                order.append(message["type"])
                await send(message)

            await app(scope, receive, note)

        async def end():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(noting), base_url="http://localhost") as client:
                body = converter.dumps(update(first.job_execution_id, 1, "SUCCESS", exit_code=0))
                return await client.post("/api/job/status", content=body, headers=JSON)

        assert asyncio.run(end()).status_code == 200
        assert order == ["http.response.start", "http.response.body", "then"]

    @pytest.mark.parametrize(("size", "is_in_loop"), [(10, True), (100_000, False)])
    def test_large_bodies_are_read_in_a_thread(self, store, job, monkeypatch, size, is_in_loop):
        """Reading a large body does not stop the event loop; a small one needs no thread."""
        threads = []

        class Noting:
            def __getattr__(self, name):
                return getattr(converter, name)

            def loads(self, *arguments):
                threads.append(threading.current_thread())
                return converter.loads(*arguments)

        monkeypatch.setattr(reading, "converter", Noting())
        backend = Backend(store)
        assert backend.report(job, 1, "RUNNING", logs="x" * size).status_code == 200
        backend.close()
        assert [each is threading.current_thread() for each in threads] == [is_in_loop]
