"""Mask secrets in output that comes in chunks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from ._fork import renew_lock_in_child
from .masking import ScopedSecrets, SecretMasker, current_secrets, process_masker, text_of_octets

__all__ = ["MaskingStream"]

Chunk = TypeVar("Chunk", str, bytes)

# A large chunk is masked in blocks: few of them hold a secret, and only these are read closely.
_BLOCK = 1 << 16


class MaskingStream(Generic[Chunk]):
    """Masks the output of a job in chunks of any size, and writes it on.

    The result does not depend on where the output is cut, and equals that of `SecretMasker.mask` for the whole output.
    The stream keeps back no more than the end of a chunk that could be the beginning of a secret. As a context manager,
    it is closed at the end of the block.

    Args:
        write: Called with the masked output, of the type of the chunks: all text or all bytes (UTF-8).
        masker: The masker; that of the process by default.

    Attributes:
        lock: Held while a chunk is masked and written on.
    """

    __slots__ = ("__weakref__", "_covered", "_held", "_kept", "_kind", "_masker", "_secrets", "_write", "lock")

    def __init__(self, write: Callable[[Chunk], object], masker: SecretMasker | None = None) -> None:
        self.lock = threading.RLock()
        self._write: Callable[[Chunk], object] = write
        self._masker = masker if masker is not None else process_masker
        self._kind: type[Chunk] | None = None
        self._held = b""
        # How many of the held bytes belong to a secret whose mask is written already; -1 if the output ends otherwise.
        self._covered = -1
        # References that keep secrets known: of the scope the stream is made in, and for the held bytes.
        self._secrets = current_secrets()
        self._kept: list[ScopedSecrets] = []
        renew_lock_in_child(self)
        self._masker.watch(cast(Any, self))

    def __enter__(self) -> MaskingStream[Chunk]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, chunk: Chunk) -> int:
        """Mask a chunk, and write on all that cannot be a part of a secret.

        Args:
            chunk: The next chunk of output.

        Returns:
            The length of the chunk.

        Raises:
            Exception: ``write`` raised it; the output that it was given counts as written.
        """
        with self.lock:
            self._kind = type(chunk)
            data = chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else chunk
            pieces = [self._masked(data[at : at + _BLOCK]) for at in range(0, len(data), _BLOCK)]
            self._write_on(pieces)
        return len(chunk)

    def close(self) -> None:
        """Write on the output that was kept back, at its end. A second call does nothing."""
        with self.lock:
            self._write_on([self._masked(b"", last=True)])
            self._secrets = None

    def wait_for_writes(self) -> None:
        """Return once all output that was masked before this call is written on."""
        self.lock.acquire()
        self.lock.release()

    def keep(self, secrets: ScopedSecrets) -> None:
        """Keep secrets known while the end of a chunk is kept back."""
        with self.lock:
            if self._held:
                self._kept.append(secrets)

    def _write_on(self, pieces: list[bytes]) -> None:
        if not self._held:
            self._kept.clear()
        if masked := b"".join(pieces):
            self._write(cast(Any, text_of_octets(masked) if self._kind is str else masked))

    def _masked(self, data: bytes, *, last: bool = False) -> bytes:
        """Return the masked text that no later input can change; the rest is held."""
        data = self._held + data
        index = self._masker.index
        found, until = (index.find(data), len(data)) if last else index.search(data)
        pieces, at, covered = [], max(self._covered, 0), self._covered
        for start, end in found:
            if start >= until:
                break
            if start > covered:
                pieces += [data[at:start], self._masker.mask_octets]
            covered = at = max(end, covered)
        pieces.append(data[at:until])
        self._covered = covered - until if covered >= until else -1
        self._held = data[until:]
        return b"".join(pieces)
