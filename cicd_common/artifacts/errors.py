"""The errors of artifacts with their contents.

ArtifactError
    UnknownArtifactError (a ContractError too)
        The store has no content under this SHA-256.
    ContentMismatchError (a ContractError too)
        Content has another size or another SHA-256 than was announced; it is not stored.
    DamagedArtifactError
        Stored content is no longer what was written; it is not given out.

What the file system refuses (a full disk, no permission, no network) stays the ``OSError`` that fsspec raises. After
any error nothing of the content that was being written can be seen.
"""

from __future__ import annotations

from typing import ClassVar

from ..errors import ContractError

__all__ = ["ArtifactError", "ContentMismatchError", "DamagedArtifactError", "UnknownArtifactError"]


class ArtifactError(Exception):
    """Content could not be stored or given out as asked. The root of the errors of this module.

    Attributes:
        status: The HTTP status that says the same.
    """

    status: ClassVar[int] = 500


class UnknownArtifactError(ArtifactError, ContractError):
    """The store has no content under this SHA-256."""

    status = 404


class ContentMismatchError(ArtifactError, ContractError):
    """Content has another size or another SHA-256 than was announced."""

    status = 422


class DamagedArtifactError(ArtifactError):
    """Stored content is no longer what was written. Writing the content again repairs it."""
