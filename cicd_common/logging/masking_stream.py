"""Secrets, kept out of output that comes in pieces."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from ._fork import renew_lock_in_child
from .masking import ScopedSecrets, SecretMasker, current_secrets, process_masker, text_of_octets

__all__ = ["MaskingStream"]

Chunk = TypeVar("Chunk", str, bytes)

# A large chunk is masked in pieces: few of them hold a secret, and only these are looked at closely.
_BLOCK = 1 << 16


class MaskingStream(Generic[Chunk]):
    """Masks the output of a job, in chunks of any size, cut anywhere, and hands it on.

    What it hands on is the same for every way to cut the output, and the same as `SecretMasker.mask` makes of the
    whole. It keeps back no more than the end of a chunk that could be the beginning of a secret. As a context manager
    it is closed at the end of the block.

    Args:
        write: Called with what may be seen, of the type of the chunks: all text or all bytes (UTF-8).
        masker: Knows the secrets; by default the one of the process.

    Attributes:
        lock: Held while a chunk is masked and handed on.
    """

    __slots__ = ("__weakref__", "_covered", "_held", "_kept", "_kind", "_masker", "_secrets", "_write", "lock")

    def __init__(self, write: Callable[[Chunk], object], masker: SecretMasker | None = None) -> None:
        self.lock = threading.RLock()
        self._write: Callable[[Chunk], object] = write
        self._masker = masker if masker is not None else process_masker
        self._kind: type[Chunk] | None = None
        self._held = b""
        # How much of what is held belongs to a secret that a mask was handed on for already; -1: no mask was the last.
        self._covered = -1
        # To refer to them keeps them known: those of the scope it is made in, and those that what is held may hold.
        self._secrets = current_secrets()
        self._kept: list[ScopedSecrets] = []
        renew_lock_in_child(self)
        self._masker.watch(cast(Any, self))

    def __enter__(self) -> MaskingStream[Chunk]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, chunk: Chunk) -> int:
        """Take a chunk, and hand on all that is certain to be no part of a secret.

        Args:
            chunk: The next piece of output.

        Returns:
            The length of the chunk: all of it was taken.

        Raises:
            Exception: Whatever ``write`` raises; what it was given then counts as handed on.
        """
        with self.lock:
            self._kind = type(chunk)
            data = chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else chunk
            pieces = [self._masked(data[at : at + _BLOCK]) for at in range(0, len(data), _BLOCK)]
            self._hand_on(pieces)
        return len(chunk)

    def close(self) -> None:
        """Hand on what was kept back. To be called at the end of the output; again does nothing."""
        with self.lock:
            self._hand_on([self._masked(b"", last=True)])
            self._secrets = None

    def wait_for_writes(self) -> None:
        """Return once no other thread is handing on what was masked before this call."""
        self.lock.acquire()
        self.lock.release()

    def keep(self, secrets: ScopedSecrets) -> None:
        """Refer to some secrets for as long as the end of a chunk is kept back, once what is under way is written."""
        with self.lock:
            if self._held:
                self._kept.append(secrets)

    def _hand_on(self, pieces: list[bytes]) -> None:
        if not self._held:
            self._kept.clear()
        if seen := b"".join(pieces):
            self._write(cast(Any, text_of_octets(seen) if self._kind is str else seen))

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
