"""What processes of the tests of the spool do, and say that they did: ``python FILE WHAT DIRECTORY ARGUMENT``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from cicd_system.spool_queue import SpoolQueue


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def exchange(queue: SpoolQueue, name: str) -> None:
    """Put 500 messages, and take what there is, until a file tells to stop."""
    stop = Path(f"{name}.stop")
    put = 0
    while not stop.exists():
        if put < 500:
            queue.put(f"{name}-{put}".encode())
            put += 1
        if taken := queue.take():
            say(taken[1].decode())
            queue.forget(taken[0])
        elif put == 500:
            time.sleep(0.01)
    queue.close()


def hold(queue: SpoolQueue, count: str) -> None:
    """Take messages and neither forget them nor end."""
    for _ in range(int(count)):
        taken = queue.take()
        assert taken
        say(taken[1].decode(), int(queue.was_taken_before(taken[0])))
    time.sleep(600)


def put(queue: SpoolQueue, name: str) -> None:
    """Put long messages without end."""
    for number in range(10**9):
        queue.put(f"{name}-{number} ".encode() * 50_000)
        say(f"{name}-{number}")


if __name__ == "__main__":
    {"exchange": exchange, "hold": hold, "put": put}[sys.argv[1]](SpoolQueue(Path(sys.argv[2])), sys.argv[3])
