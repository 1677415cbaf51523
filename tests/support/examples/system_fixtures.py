"""Fixtures for systems: one that tests share, and new ones for tests that kill or change programs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.examples.proxy import passed
from tests.support.examples.settings import SETTINGS, Setting
from tests.support.examples.system import OURS, System
from tests.support.examples.system_checks import check_exchange
from tests.support.examples.system_jobs import Side
from tests.support.examples.waiting import until

SYSTEMS = pytest.StashKey[list[System]]()
FAILED = pytest.StashKey[bool]()


class Shared:
    """A system that tests share. After a failed test there is a new one."""

    def __init__(self, kind: str, directories: pytest.TempPathFactory) -> None:
        self._kind = kind
        self._directories = directories
        self._stack = contextlib.ExitStack()
        self._system: System | None = None

    def system(self) -> System:
        if self._system is None:
            directory = self._directories.mktemp(self._kind)
            setting = self._stack.enter_context(SETTINGS[self._kind](directory))
            self._system = self._stack.enter_context(System.on(setting, directory, via_proxy=True))
        return self._system

    def end(self) -> None:
        self._system = None
        self._stack.close()

    def discard(self) -> None:
        """End the system without its checks."""
        assert self._system is not None
        self._system.stop()
        with contextlib.suppress(Exception):
            self.end()
        self._system = None


@pytest.fixture(scope="session", params=list(SETTINGS))
def kind(request: pytest.FixtureRequest) -> str:
    """The name of a setting: ``embedded``, ``rabbitmq`` or ``redis``."""
    return str(request.param)


@pytest.fixture(scope="session")
def shared(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    shared = Shared(kind, tmp_path_factory)
    yield shared
    shared.end()


@pytest.fixture
def system(request: pytest.FixtureRequest, shared: Shared) -> Iterator[System]:
    """The shared system. After the test no job runs in it, and its logs and its messages are checked."""
    system = shared.system()
    request.node.stash.setdefault(SYSTEMS, []).append(system)
    yield system
    if request.node.stash.get(FAILED, False):
        shared.discard()
        return
    for proxy in system.proxies:
        proxy.plan = passed
    until(lambda: not system.strays(), f"the end of {system.strays()}")
    for proxy in system.proxies:
        for exchange in proxy.exchanges:
            check_exchange(exchange)
        proxy.exchanges.clear()
    system.logs.check()


@pytest.fixture
def side(tmp_path: Path) -> Side:
    """The directory for notes of jobs to the test."""
    return Side(tmp_path / OURS)


@pytest.fixture
def setting(kind: str, tmp_path: Path) -> Iterator[Setting]:
    """A setting for a new system."""
    with SETTINGS[kind](tmp_path) as setting:
        yield setting


@pytest.fixture
def new_system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., System]]:
    """A function that starts a system for this test alone."""
    systems = request.node.stash.setdefault(SYSTEMS, [])

    def start(setting: Setting, **changes: object) -> System:
        system = System.on(setting, tmp_path, **changes)
        systems.append(system)
        return system.__enter__()

    yield start
    failed = request.node.stash.get(FAILED, False)
    for system in systems:
        system.__exit__(AssertionError if failed else None)


def remember_failure(item: pytest.Item, report: pytest.TestReport) -> None:
    """Tell the fixtures of a test that it failed, and show the logs of its systems."""
    if report.failed:
        item.stash[FAILED] = True
        report.sections += [("logs of the system", system.logs.tails()) for system in item.stash.get(SYSTEMS, [])]
