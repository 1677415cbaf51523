"""The artifact store, in a directory and on other file systems."""

from __future__ import annotations

import hashlib
import os
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import BytesIO
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cicd_common import ContractError
from cicd_common.artifacts import (
    ArtifactStore,
    ContentMismatchError,
    DamagedArtifactError,
    UnknownArtifactError,
)

MIB = 1024 * 1024
CONTENTS = [b"", b"a", b"x" * MIB, bytes(range(256)) * 10_000]


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files_in(directory) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


@pytest.fixture(params=["directory", "file", "memory"])
def store(request, tmp_path):
    """An empty store on each kind of file system."""
    urls = {"directory": tmp_path / "store", "file": f"file://{tmp_path}/store", "memory": f"memory://{uuid4()}"}
    return ArtifactStore(urls[request.param])


@pytest.fixture
def directory(tmp_path):
    """The local directory of a store."""
    return tmp_path / "store"


class TestContent:
    @pytest.mark.parametrize("content", CONTENTS, ids=len)
    def test_comes_out_as_it_went_in(self, store, content):
        """Content is stored under its SHA-256, and read in chunks of at most 1 MiB."""
        sha256 = store.put([content], sha256=sha256_of(content), size=len(content))
        chunks = list(store.read(sha256))
        assert sha256 == sha256_of(content)
        assert b"".join(chunks) == content
        assert all(0 < len(chunk) <= MIB for chunk in chunks)
        assert store.size(sha256) == len(content)

    @given(chunks=st.lists(st.binary(max_size=2000)))
    def test_does_not_depend_on_its_chunks(self, chunks):
        """The same bytes in any chunks are the same content."""
        store = ArtifactStore(f"memory://{uuid4()}")
        content = b"".join(chunks)
        assert store.put(chunks) == store.put(BytesIO(content)) == sha256_of(content)
        assert b"".join(store.read(sha256_of(content))) == content

    def test_is_taken_from_a_file_and_given_to_a_file(self, store, tmp_path):
        """A Worker stores a file and gets it under another name, which replaces an existing file."""
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(CONTENTS[3])
        target.write_bytes(b"before")
        store.get(store.put(source), target)
        assert target.read_bytes() == CONTENTS[3]

    def test_is_stored_once(self, directory):
        """Equal contents are stored in one file."""
        store = ArtifactStore(directory)
        assert store.put([b"same"]) == store.put([b"sa", b"me"])
        sha256 = sha256_of(b"same")
        assert files_in(directory) == [f"sha256/{sha256[:2]}/{sha256}"]

    def test_can_be_removed(self, store):
        """Removed content is unknown, and a second removal changes nothing."""
        sha256 = store.put([b"old"])
        assert sha256 in store
        store.remove(sha256)
        store.remove(sha256)
        assert sha256 not in store

    def test_is_shared_by_stores_of_one_url(self, directory):
        """A second store on the directory finds what the first one wrote."""
        sha256 = ArtifactStore(directory).put([b"shared"])
        assert b"".join(ArtifactStore(f"file://{directory}").read(sha256)) == b"shared"

    @pytest.mark.parametrize("name", ["a::b", "[a]*", "with blank", "ü", "%41"])
    def test_lies_in_any_directory(self, tmp_path, name):
        """A directory may have any name, also with characters that have a meaning in a URL."""
        store = ArtifactStore(str(tmp_path / name))
        store.get(store.put([b"here"]), tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == b"here"
        assert len(files_in(tmp_path / name)) == 1

    def test_lies_where_a_relative_directory_was(self, tmp_path, monkeypatch):
        """A relative directory is resolved when the store is created."""
        monkeypatch.chdir(tmp_path)
        store = ArtifactStore("relative")
        monkeypatch.chdir("/")
        store.put([b"here"])
        assert len(files_in(tmp_path / "relative")) == 1

    def test_passes_in_constant_memory(self, directory):
        """64 MiB are written and read in the memory of a few chunks."""
        store = ArtifactStore(directory)
        block = os.urandom(MIB)
        tracemalloc.start()
        try:
            sha256 = store.put(block for _ in range(64))
            assert sum(map(len, store.read(sha256))) == 64 * MIB
            assert tracemalloc.get_traced_memory()[1] < 8 * MIB
        finally:
            tracemalloc.stop()


class TestRefusedContent:
    @pytest.mark.parametrize(
        ("announced", "pointer"),
        [
            ({"size": 3}, "/size"),
            ({"size": 5}, "/size"),
            ({"sha256": sha256_of(b"other")}, "/sha256"),
            ({"sha256": sha256_of(b"other"), "size": 4}, "/sha256"),
        ],
    )
    def test_differs_from_what_was_announced(self, store, announced, pointer):
        """Content of another size or SHA-256 is refused with a pointer, and not stored."""
        with pytest.raises(ContentMismatchError) as caught:
            store.put([b"con", b"t"], **announced)
        assert [problem.pointer for problem in caught.value.problems] == [pointer]
        assert caught.value.status == caught.value.to_problem()["status"] == 422
        assert sha256_of(b"cont") not in store
        assert sha256_of(b"other") not in store

    def test_stops_at_the_announced_size(self, store):
        """Too large content is refused at the first chunk beyond its size, so it cannot fill the disk."""
        taken = []

        def endless():
            while True:
                taken.append(None)
                yield b"x" * 1000

        with pytest.raises(ContentMismatchError):
            store.put(endless(), size=2500)
        assert len(taken) == 3

    def test_leaves_nothing(self, directory):
        """Refused content, and content whose source fails, leave no file."""
        store = ArtifactStore(directory)

        def failing():
            yield b"half"
            raise RuntimeError("the client went away")

        with pytest.raises(RuntimeError):
            store.put(failing())
        with pytest.raises(ContentMismatchError):
            store.put([b"some"], size=5)
        assert files_in(directory) == []

    @pytest.mark.parametrize(
        "sha256", ["", "../../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n", None, b"0" * 64]
    )
    def test_has_no_name(self, store, tmp_path, sha256):
        """Every method refuses a text that is no SHA-256, because it would become part of a path."""
        calls = [
            lambda: store.writer(sha256=sha256 or ""),
            lambda: store.read(sha256),
            lambda: store.get(sha256, tmp_path / "target"),
            lambda: store.size(sha256),
            lambda: sha256 in store,
            lambda: store.remove(sha256),
        ]
        for call in calls:
            with pytest.raises(ContractError) as caught:
                call()
            assert str(caught.value) == "Artifact: /sha256: expected 64 lower-case hexadecimal digits"


class TestUnknownContent:
    def test_is_one_error(self, store, tmp_path):
        """Unknown content is an error of every method, also of `read` before the first chunk."""
        unknown = sha256_of(b"unknown")
        for call in (store.read, store.size, lambda sha256: store.get(sha256, tmp_path / "target")):
            with pytest.raises(UnknownArtifactError) as caught:
                call(unknown)
            assert caught.value.status == 404
        assert unknown not in store
        assert not (tmp_path / "target").exists()

    def test_was_removed_while_it_was_read(self, store):
        """Content that is removed while it is read raises the error for unknown content."""
        sha256 = store.put([b"x" * 3 * MIB])
        chunks = store.read(sha256)
        next(chunks)
        store.remove(sha256)
        with pytest.raises(UnknownArtifactError):
            list(chunks)


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


class TestDamagedContent:
    DAMAGES = (flipped, lambda content: content[:-1], lambda content: content + b"more", lambda _: b"")

    @pytest.mark.parametrize("damage", DAMAGES, ids=["flipped", "cut", "longer", "empty"])
    @pytest.mark.parametrize("content", [b"one chunk", b"z" * (3 * MIB + 5)], ids=len)
    def test_is_never_given_out_whole(self, directory, tmp_path, content, damage):
        """A reader of damaged content gets a part and then an error; a file is not written."""
        store = ArtifactStore(directory)
        sha256 = store.put([content])
        (directory / "sha256" / sha256[:2] / sha256).write_bytes(damage(content))
        announced = store.size(sha256)
        given_out = []
        with pytest.raises(DamagedArtifactError, match=f"^the content stored under the SHA-256 {sha256} is damaged$"):
            given_out.extend(map(len, store.read(sha256)))
        assert sum(given_out) < max(announced, 1)
        with pytest.raises(DamagedArtifactError):
            store.get(sha256, tmp_path / "target")
        assert os.listdir(tmp_path) == ["store"]

    def test_is_repaired_by_writing_it_again(self, directory):
        """Content that is written again replaces the damaged one."""
        store = ArtifactStore(directory)
        sha256 = store.put([b"right"])
        (directory / "sha256" / sha256[:2] / sha256).write_bytes(b"wrong")
        store.put([b"right"])
        assert b"".join(store.read(sha256)) == b"right"


class TestWriter:
    def test_shows_nothing_before_its_end(self, store):
        """Content can be read only after the commit."""
        sha256 = sha256_of(b"halves")
        writer = store.writer(sha256=sha256, size=6)
        writer.write(b"hal")
        assert sha256 not in store
        writer.write(b"ves")
        assert (writer.sha256, writer.size) == (sha256, 6)
        assert sha256 not in store
        writer.commit()
        assert b"".join(store.read(sha256)) == b"halves"

    @pytest.mark.parametrize("end", ["commit", "discard"])
    def test_may_end_within_its_block(self, directory, end):
        """The end of a block changes nothing if the writer has ended within it."""
        store = ArtifactStore(directory)
        with store.writer() as writer:
            writer.write(b"content")
            getattr(writer, end)()
        assert (writer.sha256 in store) is (end == "commit")

    def test_can_be_discarded_at_any_time(self, directory):
        """`discard` removes the file, and does nothing after the writer's end."""
        store = ArtifactStore(directory)
        discarded, committed = store.writer(), store.writer()
        discarded.write(b"gone")
        discarded.discard()
        discarded.discard()
        committed.write(b"kept")
        committed.commit()
        committed.discard()
        assert [path.rpartition("/")[2] for path in files_in(directory)] == [sha256_of(b"kept")]

    def test_refuses_at_its_end(self, directory):
        """A commit of content with another size than announced fails, and leaves no file."""
        writer = ArtifactStore(directory).writer(size=4)
        writer.write(b"few")
        with pytest.raises(ContentMismatchError):
            writer.commit()
        assert files_in(directory) == []

    def test_of_another_process_is_left_alone(self, store):
        """`remove_abandoned` removes unfinished files that are older than the given time."""
        assert store.remove_abandoned(before=datetime.now(UTC)) == 0
        abandoned = store.writer()
        abandoned.write(b"never committed")
        assert store.remove_abandoned(before=datetime.now(UTC) - timedelta(days=1)) == 0
        assert store.remove_abandoned(before=datetime.now(UTC) + timedelta(days=1)) == 1
        assert store.remove_abandoned(before=datetime.now(UTC) + timedelta(days=1)) == 0
        abandoned.discard()


class TestManyAtOnce:
    def test_threads_write_and_read_the_same_contents(self, store):
        """Any number of threads write and read the same contents correctly."""
        contents = [os.urandom(100_000 + number) + b"y" * 2 * MIB for number in range(3)]
        start = threading.Barrier(8)

        def work(number: int) -> None:
            start.wait(timeout=60)
            for turn in range(6):
                content = contents[(number + turn) % len(contents)]
                sha256 = store.put([content[:50_000], content[50_000:]], size=len(content))
                assert b"".join(store.read(sha256)) == content

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))

    def test_a_child_process_uses_the_store_of_its_parent(self, store, monkeypatch):
        """A process with another id creates a new file system object."""
        before = store._directory()
        monkeypatch.setattr(os, "getpid", lambda: -1)
        assert store._directory() is not before
        assert store.put([b"from a child"]) in store
