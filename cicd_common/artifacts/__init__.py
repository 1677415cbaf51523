"""A store of artifacts' contents under their SHA-256. Needs the extra ``artifacts``.

A Worker describes the files of a job, and a Backend stores their contents, chunk by chunk::

    artifact = describe(root / "dist/app.whl", root=root)

    store = ArtifactStore("/var/lib/ci/artifacts")
    with store.writer(sha256=artifact.sha256, size=artifact.size) as writer:
        for chunk in body:
            writer.write(chunk)

    for chunk in store.read(artifact.sha256):
        send(chunk)
"""

from .content import describe, save
from .errors import ArtifactError, ContentMismatchError, DamagedArtifactError, UnknownArtifactError
from .store import ArtifactStore
from .writer import ArtifactWriter

__all__ = [
    "ArtifactError",
    "ArtifactStore",
    "ArtifactWriter",
    "ContentMismatchError",
    "DamagedArtifactError",
    "UnknownArtifactError",
    "describe",
    "save",
]
