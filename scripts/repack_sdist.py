"""Rewrite an sdist so that it depends on the content of its files alone: ``python scripts/repack_sdist.py FILE``.

What setuptools writes depends on when it runs, on the user, and on the times and permissions of the checkout.
``SOURCE_DATE_EPOCH`` is the time that every file gets.
"""

import gzip
import io
import os
import sys
import tarfile
from pathlib import Path


def repacked(data: bytes, time: int) -> bytes:
    """The same archive with its files in order, each of the same time and owner.

    Args:
        data: The archive.
        time: The time, in seconds since the epoch.
    """
    plain, packed = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as old, tarfile.open(fileobj=plain, mode="w") as new:
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            clean = tarfile.TarInfo(member.name)
            clean.type, clean.size, clean.mtime = member.type, member.size, time
            clean.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            new.addfile(clean, old.extractfile(member))
    with gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=time) as file:
        file.write(plain.getvalue())
    return packed.getvalue()


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_bytes(repacked(path.read_bytes(), int(os.environ["SOURCE_DATE_EPOCH"])))
