"""The errors of the artifact store.

ArtifactError
    UnknownArtifactError (a ContractError too)
        The store has no content under this SHA-256.
    ContentMismatchError (a ContractError too)
        Content has another size or another SHA-256 than announced, and is not stored.
    DamagedArtifactError
        Stored content has changed, and is not returned.

Errors of the file system (a full disk, no permission, no network) are the ``OSError`` that fsspec raises. After any
error readers see nothing of the content that was being written.
"""

from __future__ import annotations

from typing import ClassVar

from ..errors import ContractError

__all__ = ["ArtifactError", "ContentMismatchError", "DamagedArtifactError", "UnknownArtifactError"]


class ArtifactError(Exception):
    """The root of the errors of the artifact store.

    Attributes:
        status: The HTTP status of a response about the error.
    """

    status: ClassVar[int] = 500


class UnknownArtifactError(ArtifactError, ContractError):
    """The store has no content under this SHA-256."""

    status = 404


class ContentMismatchError(ArtifactError, ContractError):
    """Content has another size or another SHA-256 than announced."""

    status = 422


class DamagedArtifactError(ArtifactError):
    """Stored content has changed. Writing the content again repairs it."""
