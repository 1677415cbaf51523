"""The artifact store with killed writers, full disks, and many processes at once."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from cicd_common.artifacts import ArtifactStore

WRITE_FOR_EVER = """
import random, sys
from cicd_common.artifacts import ArtifactStore
store, chance = ArtifactStore(sys.argv[1]), random.Random(int(sys.argv[2]))
while True:
    store.put(bytes([chance.randrange(4)]) * 70_000 for _ in range(chance.randrange(30)))
    print("stored", flush=True)
"""

WRITE_HALF = """
import sys
from cicd_common.artifacts import ArtifactStore
writer = ArtifactStore(sys.argv[1]).writer()
writer.write(b"x" * 3_000_000)
print("written", flush=True)
sys.stdin.read()
"""

WRITE_TOO_MUCH = """
import resource, sys
from cicd_common.artifacts import ArtifactStore
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
store = ArtifactStore(sys.argv[1])
for chunk in (1_048_576, 1000):
    try:
        store.put(b"x" * chunk for _ in range(1_500_000 // chunk + 1))
    except OSError as error:
        print(type(error).__name__, error.errno)
print(store.put([b"small"]))
"""

SHARE = """
import random, sys
from cicd_common.artifacts import ArtifactStore
store, chance = ArtifactStore(sys.argv[1]), random.Random(int(sys.argv[2]))
contents = [bytes([number]) * (number * 300_000) for number in range(8)]
sys.stdin.readline()
for _ in range(40):
    content = chance.choice(contents)
    assert b"".join(store.read(store.put([content], size=len(content)))) == content
print("done")
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def contents_in(directory) -> list[tuple[str, str]]:
    """Return the name and the true SHA-256 of each stored content."""
    files = [path for path in (directory / "sha256").rglob("*") if path.is_file()]
    return [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]


class TestKilledWriters:
    def test_leave_nothing_that_can_be_seen(self, tmp_path):
        """A killed writer leaves one file under a temporary name, which can be removed."""
        with start(WRITE_HALF, tmp_path) as process:
            assert process.stdout.readline() == "written\n"
            process.kill()
        store = ArtifactStore(tmp_path)
        assert contents_in(tmp_path) == []
        assert len(list((tmp_path / "incoming").iterdir())) == 1
        assert store.remove_abandoned(before=datetime.now(UTC) + timedelta(hours=1)) == 1
        assert list((tmp_path / "incoming").iterdir()) == []

    def test_leave_only_whole_contents(self, tmp_path):
        """After writers are killed at random moments, each stored content matches the SHA-256 in its name."""
        chance = random.Random(7)
        for seed in range(12):
            with start(WRITE_FOR_EVER, tmp_path, seed) as process:
                for _ in range(chance.randrange(1, 10)):
                    process.stdout.readline()
                process.send_signal(signal.SIGKILL)
        stored = contents_in(tmp_path)
        assert len(stored) >= 12
        assert [name for name, sha256 in stored if name != sha256] == []


class TestFullDisks:
    def test_are_one_error_and_leave_nothing(self, tmp_path):
        """A full disk is an OSError; the written part is removed, and small content still fits."""
        pytest.importorskip("resource")
        with start(WRITE_TOO_MUCH, tmp_path) as process:
            output, _ = process.communicate(timeout=60)
        small = hashlib.sha256(b"small").hexdigest()
        assert output.splitlines() == ["OSError 27", "OSError 27", small]
        assert list((tmp_path / "incoming").iterdir()) == []
        assert contents_in(tmp_path) == [(small, small)]


class TestManyProcesses:
    def test_write_and_read_the_same_contents(self, tmp_path):
        """Eight processes that write and read the same contents at once read what they wrote."""
        processes = [start(SHARE, tmp_path, seed) for seed in range(8)]
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [process.communicate(timeout=120)[0] for process in processes] == ["done\n"] * 8
        assert [name for name, sha256 in contents_in(tmp_path) if name != sha256] == []
        assert list((tmp_path / "incoming").iterdir()) == []
