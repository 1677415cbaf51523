"""Mask secrets in text."""

from __future__ import annotations

import logging
import threading
import weakref
from collections import deque
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Protocol

from ._fork import renew_lock_in_child
from ._forms import SHORTEST, Form, forms_of
from ._index import Index
from ._spellings import TEXT

__all__ = [
    "DIGITS_ALONE",
    "ScopedSecrets",
    "SecretMasker",
    "current_secrets",
    "is_of_digits",
    "process_masker",
    "text_of_octets",
]

DIGITS_ALONE = "a secret is of digits alone: a number that is equal to it is written as text"

# The first usable mask is used; the others are for secrets that begin or end like it. ASCII works on every stream.
_MASKS = (b"***", b"[masked]", b"<masked>", b"(masked)", b"{masked}", b"#masked#")


class Watched(Protocol):
    """A stream that masks a chunk with the secrets known when the chunk came."""

    def wait_for_writes(self) -> None:
        """Return once the chunks that are being written are written."""

    def keep(self, secrets: ScopedSecrets) -> None:
        """Keep secrets known while the end of a chunk is kept back."""


class ScopedSecrets:
    """Secrets that are known for as long as a context, a record or a stream refers to this object.

    Args:
        masker: The masker that knows the secrets.
        secrets: The secrets.
        outer: The secrets of the scope around this one.
    """

    __slots__ = ("_masker", "_secrets", "outer")

    def __init__(self, masker: SecretMasker, secrets: tuple[str, ...], outer: ScopedSecrets | None) -> None:
        self._masker = masker
        self._secrets = secrets
        self.outer = outer

    def __del__(self) -> None:
        self._masker.expire(self._secrets)

    def __reduce__(self) -> tuple[object, ...]:
        # The masker does not exist in another process.
        return _nothing, ()


def _nothing() -> None:
    return None


_scoped: ContextVar[ScopedSecrets | None] = ContextVar("cicd_common.logging.secrets", default=None)


def current_secrets() -> ScopedSecrets | None:
    """Return the secrets of the current scopes. They stay known while the result is referred to."""
    return _scoped.get()


class _Scope:
    """A block in which some secrets are known."""

    __slots__ = ("_masker", "_secrets")

    def __init__(self, masker: SecretMasker, secrets: tuple[str, ...]) -> None:
        self._masker = masker
        self._secrets = secrets

    def __enter__(self) -> None:
        self._masker.learn(*self._secrets)
        _scoped.set(ScopedSecrets(self._masker, self._secrets, _scoped.get()))

    def __exit__(self, *_: object) -> None:
        left = _scoped.get()
        if left is not None:
            _scoped.set(left.outer)
            self._masker.leave(left)
            del left
            self._masker.expire(())


class SecretMasker:
    """Knows secrets, and masks them in text in all the forms in which tools usually write them.

    Any number of threads can use it, also while secrets are added.

    Attributes:
        lock: Held by the handlers while they mask and write a line, so that `add` waits for lines being written.
    """

    __slots__ = ("__weakref__", "_expired", "_index", "_known", "_mask", "_peers", "_streams", "lock")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._index = Index()
        self._known: dict[str, int] = {}
        self._mask = _MASKS[0]
        self._streams: weakref.WeakSet[Watched] = weakref.WeakSet()
        self._peers: list[SecretMasker] = []
        self._expired: deque[tuple[str, ...]] = deque()
        renew_lock_in_child(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._known)} secrets>"

    @property
    def index(self) -> Index:
        """The index of the secrets."""
        return self._index

    @property
    def mask_octets(self) -> bytes:
        """The mask that replaces a secret. No text next to it completes it to a secret."""
        return self._mask

    def add(self, secret: str) -> None:
        """Mask a secret from now on. Once this returns, no thread writes the secret any more.

        Of a secret of several lines each line that is long enough is masked, too. A secret of digits alone is masked
        in numbers, too; a warning says so, without the secret.

        Args:
            secret: The secret, of at least 8 characters without the blanks at its ends.

        Raises:
            ValueError: The secret is too short to be masked usefully. The message does not repeat it.
        """
        self.learn(secret)
        if is_of_digits(secret):
            logging.getLogger(__package__).warning(DIGITS_ALONE)

    def scope(self, secrets: Iterable[str]) -> _Scope:
        """Mask secrets in a block, for a process that outlives them.

        All threads mask the secrets until the block is left, and until the records, the streams and the tasks that
        began in it have ended. Scopes nest, and a secret of several scopes is masked until the last one is left.

        Args:
            secrets: The secrets, each as for `add`.

        Returns:
            A context manager. It can be used again, also at the same time.

        Raises:
            ValueError: A secret is too short to be masked usefully.
        """
        given = (secrets,) if isinstance(secrets, str) else tuple(secrets)
        for secret in given:
            _check(secret)
        return _Scope(self, given)

    def mask(self, text: str) -> str:
        """Mask all secrets in a text.

        Args:
            text: Any text.

        Returns:
            The text with a mask in place of each secret; the same object if it holds no secret.
        """
        if not self._known:
            return text
        data = text.encode("utf-8", "surrogatepass")
        found = self._index.find(data)
        if not found:
            return text
        kept, at = [], 0
        for start, end in found:
            kept.append(data[at:start])
            at = end
        return text_of_octets(self._mask.join([*kept, data[at:]]))

    def holds(self, text: str) -> bool:
        """Tell whether a text holds a secret in any form, also within a JSON string.

        Args:
            text: Any text.
        """
        return bool(self._known) and bool(self._index.find(text.encode("utf-8", "surrogatepass")))

    def watch(self, stream: Watched) -> None:
        """Make `add` wait for the chunks that a stream is writing."""
        with self.lock:
            self._streams.add(stream)

    def learn(self, *secrets: str) -> None:
        """Count each secret once more, in all copies of this package that are set up in the process.

        Args:
            secrets: The secrets, each as for `add`.

        Raises:
            ValueError: A secret is too short; then none is added.
        """
        for secret in secrets:
            _check(secret)
        for masker in (self, *self._peers):
            masker.take(secrets)

    def take(self, secrets: Iterable[str]) -> None:
        """Count each secret once more in this copy. Other copies call this."""
        with self.lock:
            for secret in secrets:
                self._known[secret] = self._known.get(secret, 0) + 1
                if self._known[secret] == 1:
                    self._look_for(forms_of(secret))
            streams = list(self._streams)
        for stream in streams:
            stream.wait_for_writes()

    def drop(self, secrets: Iterable[str]) -> None:
        """Count each secret once less in this copy, and forget those with no count left."""
        with self.lock:
            for secret in secrets:
                count = self._known.pop(secret, 0) - 1
                if count > 0:
                    self._known[secret] = count
                elif count == 0:
                    for form in forms_of(secret):
                        self._index.discard(form)

    def leave(self, secrets: ScopedSecrets) -> None:
        """Let streams keep the secrets of a scope known for the chunks that they have kept back."""
        with self.lock:
            streams = list(self._streams)
        for stream in streams:
            stream.keep(secrets)

    def expire(self, secrets: tuple[str, ...]) -> None:
        """Undo one call of `learn`, now or soon. With secrets this never waits for another thread.

        Args:
            secrets: The secrets that nothing refers to any more; empty to process the calls that were put off.
        """
        if secrets:
            self._expired.append(secrets)
        # The garbage collector may call this in any place, where it must not wait for the lock.
        if self.lock.acquire(blocking=not secrets):
            try:
                while self._expired:
                    gone = self._expired.popleft()
                    for masker in (self, *self._peers):
                        masker.drop(gone)
            finally:
                self.lock.release()

    def join(self, peer: SecretMasker) -> None:
        """Share secrets with the masker of another copy of this package, from now on.

        Args:
            peer: The other masker.
        """
        ours, theirs = self.multiset(), peer.multiset()
        self._peers.append(peer)
        peer.befriend(self)
        self.take(theirs)
        peer.take(ours)

    def befriend(self, peer: SecretMasker) -> None:
        """Pass the secrets that this masker learns on to another one."""
        self._peers.append(peer)

    def multiset(self) -> list[str]:
        """Return all secrets, each as often as it was learnt."""
        with self.lock:
            return [secret for secret, count in self._known.items() for _ in range(count)]

    def _look_for(self, forms: list[Form]) -> None:
        for form in forms:
            self._index.add(form)
        if _joins(self._mask, forms):
            every = [form for secret in self._known for form in forms_of(secret)]
            self._mask = next((mask for mask in _MASKS if not _joins(mask, every)), _MASKS[0])


def is_of_digits(secret: str) -> bool:
    """Tell whether a secret consists of digits alone."""
    return secret.strip().isdecimal()


def _check(secret: str) -> None:
    length = len(secret.strip())
    if length < SHORTEST:
        raise ValueError(f"a secret of {length} characters is too short to be masked, expected {SHORTEST} or more")


def _joins(mask: bytes, forms: Iterable[Form]) -> bool:
    """Tell whether text next to a mask could complete it to a secret."""
    heads = tuple(mask[:at] for at in range(1, len(mask)))
    tails = tuple(mask[at:] for at in range(1, len(mask)))
    plains = [form.plain for form in forms if form.family is TEXT]
    return any(mask in plain or plain.startswith(tails) or plain.endswith(heads) for plain in plains)


def text_of_octets(data: bytes) -> str:
    """Decode bytes that were encoded with lone surrogates."""
    return data.decode("utf-8", "surrogatepass")


# The default of every handler, formatter and stream: a secret that is added anywhere is masked in the whole process.
process_masker = SecretMasker()
