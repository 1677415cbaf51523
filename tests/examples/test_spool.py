"""The embedded broker loses nothing and delivers nothing twice at a time, whoever is killed and when."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import kombu
import pytest
from cicd_system import spool
from cicd_system.spool_queue import SpoolQueue

from tests.support.examples import spool_processes
from tests.support.examples.waiting import until

SCRIPT = Path(spool_processes.__file__)
SECRET = "correct horse battery"

spool.register()


def start(what: str, directory: Path, arg: object, **kwargs) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, SCRIPT, what, directory, str(arg)], cwd=directory.parent, **kwargs)


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "spool" / "queue"


@pytest.fixture
def queue(directory):
    queue = SpoolQueue(directory)
    yield queue
    queue.close()


def take_all(queue: SpoolQueue) -> dict[bytes, bool]:
    """What is ready, and whether it had been taken before."""
    messages = {}
    while taken := queue.take():
        assert taken[1] not in messages
        messages[taken[1]] = queue.was_taken_before(taken[0])
        queue.forget(taken[0])
    return messages


class TestQueue:
    def test_in_order(self, queue):
        """First in, first out."""
        messages = [b"%d" % number for number in range(20)]
        for message in messages:
            queue.put(message)
        assert queue.size() == 20
        assert list(take_all(queue)) == messages
        assert queue.size() == 0

    def test_for_its_user_alone(self, directory, queue):
        """Messages may hold secrets."""
        queue.put(SECRET.encode())
        queue.take()
        paths = [directory.parent, directory, *directory.rglob("*")]
        assert {path.stat().st_mode & 0o777 for path in paths if path.is_dir()} == {0o700}
        assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o600}

    def test_taken_once(self, directory, queue):
        """While one has a message, another does not get it."""
        queue.put(b"1")
        assert queue.take()
        other = SpoolQueue(directory)
        assert other.take() is None
        other.close()

    def test_given_back(self, queue):
        """It comes first again, and is marked."""
        queue.put(b"1")
        queue.put(b"2")
        name, _ = queue.take()
        queue.give_back(name)
        assert list(take_all(queue).items()) == [(b"1", True), (b"2", False)]

    def test_closed(self, directory, queue):
        """Who closes gives back what it has, and forgets nothing by accident later."""
        queue.put(b"1")
        name, _ = queue.take()
        queue.close()
        queue.forget(name)
        queue.give_back(name)
        other = SpoolQueue(directory)
        assert take_all(other) == {b"1": True}
        other.close()

    def test_purged(self, queue):
        """What is taken stays."""
        for message in (b"1", b"2", b"3"):
            queue.put(message)
        name, _ = queue.take()
        assert queue.purge() == 2
        queue.give_back(name)
        assert take_all(queue) == {b"1": True}

    def test_half_written(self, directory, queue):
        """What is not there whole is not delivered, and what else lies about neither."""
        (directory / "new" / f"{1:020d}-{2:032x}.0").write_bytes(b"half")
        (directory / "ready" / "README").write_bytes(b"of a human")
        assert queue.take() is None
        assert queue.size() == 0

    def test_swept(self, directory, queue):
        """What dead processes left half done goes, and what may still be done does not."""
        queue.close()
        new = directory / "new"
        for name in ("old", "young"):
            (new / name).write_bytes(b"half")
        (new / "owner").mkdir()
        for name in ("old", "owner"):
            os.utime(new / name, (1, 1))
        SpoolQueue(directory)
        assert [path.name for path in new.iterdir()] == ["young"]

    def test_not_put(self, directory, queue, monkeypatch):
        """What cannot be written whole is not put, and leaves nothing behind."""

        def full(_descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            queue.put(b"1")
        monkeypatch.undo()
        assert list((directory / "new").iterdir()) == []
        assert queue.take() is None

    def test_deleted(self, directory, queue):
        """Whoever waits for messages where nobody can put them is told."""
        queue.put(b"1")
        queue.take()
        for path in sorted(directory.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        other = SpoolQueue(directory)
        other.put(b"2")
        with pytest.raises(FileNotFoundError):
            queue.take()
        assert take_all(other) == {b"2": False}
        other.close()


class TestProcesses:
    def test_exactly_once(self, tmp_path, directory):
        """Eight processes put and take at once; each message is taken by one of them, once."""
        names = [f"p{number}" for number in range(8)]
        logs = {name: tmp_path / f"{name}.log" for name in names}
        directory.parent.mkdir()
        processes = []
        for name in names:
            with logs[name].open("wb") as log:
                processes.append(start("exchange", directory, name, stdout=log))

        def lines():
            return [line for log in logs.values() for line in log.read_text().splitlines()]

        until(lambda: len(lines()) >= 8 * 500, "all messages to be taken")
        for name in names:
            (directory.parent / f"{name}.stop").touch()
        assert [process.wait(60) for process in processes] == [0] * 8
        assert Counter(lines()) == Counter(f"{name}-{number}" for name in names for number in range(500))
        assert [path for path in directory.rglob("*") if path.is_file()] == []

    def test_killed_consumers(self, directory, queue):
        """What a killed process had is delivered again, marked, in its place."""
        messages = [f"{number}" for number in range(12)]
        for message in messages:
            queue.put(message.encode())
        before = 0
        for count in (1, 3, 5, 7, 9):
            process = start("hold", directory, count, stdout=subprocess.PIPE)
            held = [process.stdout.readline().decode().split() for _ in range(count)]
            end(process)
            again = [True] * before + [False] * (count - before)
            assert held == [[message, str(int(flag))] for message, flag in zip(messages, again, strict=False)]
            before = count
        queue._next_recovery = 0  # So as not to wait for it.
        assert take_all(queue) == {message.encode(): int(message) < 9 for message in messages}

    def test_killed_producers(self, directory, queue):
        """What a killed process had put is there, and what it had not is not there in part."""
        said, taken = [], {}
        for name in ("a", "b", "c", "d"):
            process = start("put", directory, name, stdout=subprocess.PIPE)
            said += [process.stdout.readline().decode().strip() for _ in range(10)]
            process.kill()
            said += process.communicate()[0].decode().split()
            taken.update(take_all(queue))
        found = {message.split(maxsplit=1)[0].decode(): message for message in taken}
        assert set(said) <= set(found)
        # The last one may have been put and not said.
        assert len(found) - len(said) <= 4
        assert all(message == f"{name} ".encode() * 50_000 for name, message in found.items())


@pytest.fixture
def connection(tmp_path):
    with kombu.Connection(f"spool://{tmp_path}/a%20b") as connection:
        yield connection


class TestTransport:
    def test_url(self, tmp_path, connection):
        """The directory is in the URL, percent-encoded."""
        connection.SimpleQueue("a/../b").put(1)
        assert [path.name for path in (tmp_path / "a b").iterdir()] == ["q-a%2F..%2Fb"]
        assert connection.as_uri() == f"spool://{tmp_path}/a%20b"

    @pytest.mark.parametrize("url", ["spool://", "spool:///", "spool://relative/directory"])
    def test_other_urls(self, url):
        """It is absolute."""
        with kombu.Connection(url) as connection, pytest.raises(ValueError, match="spool:///absolute/directory"):
            connection.SimpleQueue("q")

    def test_acknowledged(self, tmp_path, connection):
        """What was acknowledged or rejected is gone."""
        queue = connection.SimpleQueue("q")
        for number in (1, 2):
            queue.put(number)
        queue.get(timeout=5).ack()
        queue.get(timeout=5).reject()
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
        with pytest.raises(queue.Empty):
            queue.get(timeout=0)

    @pytest.mark.parametrize("way", ["requeued", "closed"])
    def test_not_acknowledged(self, tmp_path, connection, way):
        """It is delivered again, and says so where Celery looks for it."""
        queue = connection.SimpleQueue("q")
        queue.put(SECRET)
        message = queue.get(timeout=5)
        assert not message.delivery_info.get("redelivered")
        message.requeue() if way == "requeued" else connection.close()
        with kombu.Connection(f"spool://{tmp_path}/a%20b") as other:
            message = other.SimpleQueue("q").get(timeout=5)
            assert message.payload == SECRET
            assert message.delivery_info["redelivered"] is True
            assert message.headers["redelivered"] is True
            message.ack()
        connection.close()
        assert list(tmp_path.glob("*/*/taken/*")) == []

    def test_broken(self, tmp_path, connection, caplog):
        """A file that is no message is set aside, and the next one delivered; nothing of it is told."""
        queue = connection.SimpleQueue("q")
        (files,) = (tmp_path / "a b").iterdir()
        broken = [
            SECRET.encode(),
            b"1",
            b"{}",
            b'{"properties":{"body_encoding":"base64"},"body":"\xff"}',
        ]
        for data in broken:
            SpoolQueue(files).put(data)
        queue.put("fine")
        assert queue.get(timeout=5).payload == "fine"
        assert sorted(path.read_bytes() for path in (files / "broken").iterdir()) == sorted(broken)
        assert caplog.text.count("set a broken message aside") == len(broken)
        assert SECRET not in caplog.text

    def test_only_with_acknowledgement(self, connection):
        """There is no other way."""
        with pytest.raises(NotImplementedError, match="do not acknowledge"):
            connection.SimpleQueue("q", no_ack=True).get(timeout=0)

    def test_declared(self, connection):
        """A queue says how long it is, and can be emptied."""
        queue = connection.SimpleQueue("q")
        queue.put(1)
        assert queue.qsize() == 1
        assert queue.clear() == 1
        assert queue.qsize() == 0
