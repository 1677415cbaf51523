"""Compare `put` and `get` of an ArtifactStore with plain Python.

Run as ``python benchmarks/artifacts/bench.py [ROUNDS [MIB [DIRECTORY]]]``. Plain Python reads a file once, hashes it
and writes it; with ``fsync`` it also waits until the file is on the disk, as `put` does. The contenders take turns,
each in its own process. Ratios are medians of the ratios of each round: 1.0 is as fast as plain Python, 0.5 half as
fast. Memory is the growth of the peak during the measurement.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[2]))

MIB = 1024 * 1024
GOAL, MEMORY_GOAL = 0.5, 64
CONTENDERS = ("plain", "plain, fsync", "in", "out")


def plain(source: Path, target: Path, *, is_synced: bool) -> None:
    """Read, hash and write a file with the standard library."""
    digest = hashlib.sha256()
    with open(source, "rb") as read, open(target, "wb") as write:
        while chunk := read.read(MIB):
            digest.update(chunk)
            write.write(chunk)
        if is_synced:
            write.flush()
            os.fsync(write.fileno())


def measure(contender: str, directory: Path) -> None:
    """Run one contender, and print its time in seconds and its memory in KiB."""
    from cicd_common.artifacts import ArtifactStore

    source, target = directory / "source", directory / "target"
    store = ArtifactStore(directory / "store")
    sha256 = (directory / "sha256").read_text()
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = perf_counter()
    if contender == "in":
        store.put(source, sha256=sha256)
    elif contender == "out":
        store.get(sha256, target)
    else:
        plain(source, target, is_synced=contender.endswith("fsync"))
    seconds = perf_counter() - began
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle]))


def main(rounds: int = 5, mib: int = 1024, parent: str | None = None) -> int:
    """Measure all contenders and print the table. Return the number of missed goals."""
    directory = Path(tempfile.mkdtemp(dir=parent))
    try:
        digest, block = hashlib.sha256(), os.urandom(MIB)
        with open(directory / "source", "wb") as file:
            for number in range(mib):
                file.write(chunk := number.to_bytes(8) + block[8:])
                digest.update(chunk)
        (directory / "sha256").write_text(digest.hexdigest())
        figures: dict[str, list[tuple[float, int]]] = {contender: [] for contender in CONTENDERS}
        for _ in range(rounds):
            for contender in CONTENDERS:
                (directory / "target").unlink(missing_ok=True)
                os.sync()
                command = [sys.executable, __file__, "--measure", contender, str(directory)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                figures[contender].append(tuple(json.loads(done.stdout)))
    finally:
        shutil.rmtree(directory)

    print(f"{mib} MiB, {rounds} rounds\n")
    print("| | MiB/s | to plain | to plain with fsync | memory, MiB |\n| --- | ---: | ---: | ---: | ---: |")
    missed = 0
    for contender, measured in figures.items():
        speed = mib / statistics.median(seconds for seconds, _ in measured)
        ratios = [
            statistics.median(base / mine for (base, _), (mine, _) in zip(figures[against], measured, strict=True))
            for against in CONTENDERS[:2]
        ]
        memory = max(kib for _, kib in measured) / 1024
        print(f"| {contender} | {speed:,.0f} | {ratios[0]:.2f} | {ratios[1]:.2f} | {memory:.1f} |")
        if contender in ("in", "out"):
            is_met = ratios[0] >= GOAL and memory <= MEMORY_GOAL
            missed += not is_met
            print(f"goal for {contender}: {'met' if is_met else 'MISSED'}", file=sys.stderr)
    return missed


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]))
    else:
        sys.exit(main(*map(int, sys.argv[1:3]), *sys.argv[3:4]))
