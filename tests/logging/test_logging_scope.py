"""Secrets that are known only within a scope."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import io
import logging
import logging.handlers
import pickle
import queue
import threading
from typing import Any

import pytest

from cicd_common.logging import CicdLogger, JsonFormatter, LineHandler, MaskingStream, SecretMasker, configure
from cicd_common.logging.masking import current_secrets, process_masker
from tests.support.logging_helpers import Written

SECRET, OTHER = "hunter2hunter2", "correct horse"


@pytest.fixture
def masker() -> SecretMasker:
    return SecretMasker()


class TestScope:
    """The time for which a secret is known."""

    def test_within(self, masker: SecretMasker) -> None:
        """A secret is known in the block, and not afterwards."""
        with masker.scope([SECRET]):
            assert masker.mask(SECRET) == "***"
        assert masker.mask(SECRET) == SECRET
        assert repr(masker) == "<SecretMasker of 0 secrets>"
        assert not masker._index

    def test_nested(self, masker: SecretMasker) -> None:
        """A secret of two scopes is known until both are left; an added one stays."""
        masker.add(OTHER)
        outer = masker.scope([SECRET, OTHER])
        with outer:
            with masker.scope(SECRET), outer:
                pass
            assert masker.mask(SECRET) == "***"
        assert masker.mask(f"{SECRET} {OTHER}") == f"{SECRET} ***"

    def test_refused(self, masker: SecretMasker) -> None:
        """If one secret is too short, none of them is known."""
        with pytest.raises(ValueError, match="too short"):
            masker.scope([SECRET, "short"])
        assert masker.mask(SECRET) == SECRET

    def test_left_elsewhere(self, masker: SecretMasker) -> None:
        """A scope may be left in another context than it was entered in."""
        scope = masker.scope([SECRET])
        contextvars.Context().run(scope.__enter__)
        scope.__exit__()
        assert masker.mask(SECRET) == SECRET

    def test_tasks(self, masker: SecretMasker) -> None:
        """A task that began in a scope keeps the scope's secrets known until it ends."""

        async def run() -> None:
            go = asyncio.Event()
            with masker.scope([SECRET]):
                task = asyncio.create_task(go.wait())
            assert masker.mask(SECRET) == "***"
            go.set()
            await task

        asyncio.run(run())
        assert masker.mask(SECRET) == SECRET

    def test_expires_while_locked(self, masker: SecretMasker) -> None:
        """Secrets that expire while another thread writes are forgotten with the next scope."""
        kept: list[Any] = []
        with masker.scope([SECRET]):
            kept.append(current_secrets())
        entered, leave = threading.Event(), threading.Event()

        def hold() -> None:
            with masker.lock:
                entered.set()
                leave.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        entered.wait()
        kept.clear()
        leave.set()
        thread.join()
        with masker.scope([OTHER]):
            pass
        assert masker.multiset() == []

    @pytest.mark.parametrize(
        ("one", "other"),
        [("hunter2!", "hunter2?"), (f"{SECRET}\n", SECRET), ("ab12!!!!", "ab12????"), ("!!!!!!!!", "????????")],
    )
    def test_alike(self, masker: SecretMasker, one: str, other: str) -> None:
        """Forgetting a secret does not forget the forms of a similar secret."""
        with masker.scope([one]):
            with masker.scope([other]):
                assert masker.mask(f"x {one} {other}") in ("x *** ***", "x ***")
            assert masker.mask(f"x {one}") == "x ***"
            with masker.scope([other]):
                pass
            assert masker.mask(f"x {one}") == "x ***"
        assert masker.mask(one) == one
        assert not masker._index
        assert not masker._index._by_window

    def test_forgotten_already(self, masker: SecretMasker) -> None:
        """A secret that was dropped within its scope is not dropped again at the end of the scope."""
        with masker.scope([SECRET]):
            masker.drop([SECRET])
        masker.add(SECRET)
        assert masker.mask(SECRET) == "***"


class TestPeers:
    """Maskers of two copies of the package share secrets."""

    def test_joined(self, masker: SecretMasker) -> None:
        """Each masker masks the secrets of the other for as long as these are known."""
        peer = SecretMasker()
        masker.add(SECRET)
        peer.add(OTHER)
        masker.join(peer)
        text = f"{SECRET} {OTHER} added-later in-a-scope"
        peer.add("added-later")
        with masker.scope(["in-a-scope"]):
            assert masker.mask(text) == peer.mask(text) == "*** *** *** ***"
        assert masker.mask(text) == peer.mask(text) == "*** *** *** in-a-scope"

    def test_met_by_configure(self, masker: SecretMasker, monkeypatch: pytest.MonkeyPatch) -> None:
        """Setting up a second copy joins the maskers."""
        monkeypatch.setattr(process_masker, "_peers", [])
        monkeypatch.setitem(vars(logging.getLogger()), "cicd_common.logging.maskers", [masker])
        configure(stream=io.StringIO(), secrets=[SECRET])
        configure(stream=io.StringIO())
        assert masker.mask(SECRET) == "***"


class TestUnderWay:
    """Records and streams that began in a scope are masked after it."""

    @pytest.mark.parametrize("cicd", [True, False])
    def test_queued_record(self, masker: SecretMasker, cicd: bool) -> None:
        """A record in the queue of a QueueHandler is masked after the scope."""
        written = Written()
        written.handler._masker = written.masker = masker
        written.handler.setFormatter(JsonFormatter(masker=masker))
        waiting: queue.Queue[Any] = queue.Queue()
        logger = logging.getLogger("queued")
        logger.propagate = False
        # Writing the first line must not forget the secrets that the queued record needs.
        logger.handlers = [LineHandler(io.StringIO(), masker=masker), logging.handlers.QueueHandler(waiting)]
        listener = logging.handlers.QueueListener(waiting, written.handler)
        with masker.scope([SECRET]):
            (CicdLogger(logger) if cicd else logger).warning(SECRET)
        assert masker.mask(SECRET) == "***"
        listener.start()
        listener.stop()
        assert written.last["message"] == "***"
        assert masker.mask(SECRET) == SECRET

    def test_record_that_others_keep(self, masker: SecretMasker) -> None:
        """A written record that another handler keeps does not keep secrets known."""
        kept: list[logging.LogRecord] = []
        logger = logging.Manager(logging.RootLogger(logging.DEBUG)).getLogger("x")
        logger.addHandler(LineHandler(io.StringIO(), masker=masker))
        logger.addFilter(lambda record: kept.append(record) or True)  # type: ignore[func-returns-value]
        with masker.scope([SECRET]):
            logger.warning(SECRET)
        assert kept
        assert masker.mask(SECRET) == SECRET

    def test_streams(self, masker: SecretMasker) -> None:
        """A stream of the scope, and one with the beginning of a secret, mask it after the scope."""
        seen: list[str] = []
        held = MaskingStream(seen.append, masker)
        with masker.scope([SECRET]):
            made = MaskingStream(seen.append, masker)
            held.write("hunter2")
        made.write(SECRET)
        made.close()
        held.write("hunter2")
        held.write(" ")
        assert seen == ["***", "***", " "]
        assert masker.mask(SECRET) == SECRET

    def test_travels(self, masker: SecretMasker) -> None:
        """A record with secrets can be copied and pickled."""
        written = Written()
        records: list[logging.LogRecord] = []
        written.logger.addFilter(lambda record: records.append(copy.copy(record)) or True)  # type: ignore[func-returns-value]
        with masker.scope([SECRET]):
            written.log.info("hello")
        assert pickle.loads(pickle.dumps(records[0])).getMessage() == "hello"
