"""Secrets, kept out of everything that is written."""

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

# The first that serves is used; the others are for secrets that end like it. ASCII, so that any stream can write it.
_MASKS = (b"***", b"[masked]", b"<masked>", b"(masked)", b"{masked}", b"#masked#")


class Watched(Protocol):
    """A stream that masks with what was known when a piece of it began."""

    def wait_for_writes(self) -> None:
        """Return once the pieces that are under way are written."""

    def keep(self, secrets: ScopedSecrets) -> None:
        """Refer to some secrets for as long as the end of a piece is kept back."""


class ScopedSecrets:
    """Secrets that are known for as long as something refers to this: a context, a record or a stream.

    Args:
        masker: Who knows them.
        secrets: The secrets.
        outer: Those of the scope around this one.
    """

    __slots__ = ("_masker", "_secrets", "outer")

    def __init__(self, masker: SecretMasker, secrets: tuple[str, ...], outer: ScopedSecrets | None) -> None:
        self._masker = masker
        self._secrets = secrets
        self.outer = outer

    def __del__(self) -> None:
        self._masker.expire(self._secrets)

    def __reduce__(self) -> tuple[object, ...]:
        # In another process nothing refers to this masker.
        return _nothing, ()


def _nothing() -> None:
    return None


_scoped: ContextVar[ScopedSecrets | None] = ContextVar("cicd_common.logging.secrets", default=None)


def current_secrets() -> ScopedSecrets | None:
    """The secrets of the scopes in force. To refer to them keeps them known."""
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
    """Knows secrets, and masks them in text in all the forms in which they usually turn up.

    It can be used from any number of threads, while secrets are added too.

    Attributes:
        lock: Held by the handlers while they mask a line and write it, so that `add` waits for lines under way.
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
        """Where it looks for the secrets."""
        return self._index

    @property
    def mask_octets(self) -> bytes:
        """What stands in the place of a secret: nothing put beside it is a secret again."""
        return self._mask

    def add(self, secret: str) -> None:
        """Mask a secret from now on. Once this returns, no thread writes it any more.

        A secret of several lines is masked as a whole, and so is each line of it that is long enough by itself. A
        secret of digits alone is masked where it stands as a number, too; a warning is logged, without the secret.

        Args:
            secret: The secret, of at least 8 characters, blanks at its ends not counted.

        Raises:
            ValueError: It is too short to be masked usefully. The message does not repeat it.
        """
        self.learn(secret)
        if is_of_digits(secret):
            logging.getLogger(__package__).warning(DIGITS_ALONE)

    def scope(self, secrets: Iterable[str]) -> _Scope:
        """Mask secrets in a block, for a process that lives longer than they matter.

        All threads mask them, until the block is left and all that was begun in it is written: records that wait in
        a queue, streams that were made in it, and tasks that were started in it. Scopes nest, and a secret of several
        scopes is masked until the last one is left.

        Args:
            secrets: The secrets, each as for `add`.

        Returns:
            A context manager. It can be used again, at the same time too.

        Raises:
            ValueError: One is too short to be masked usefully.
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
            The text with a mask in place of each secret; the same object, if it holds none.
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
        """Whether a text holds a secret in any form, also in that of a string of JSON within it.

        Args:
            text: Any text.
        """
        return bool(self._known) and bool(self._index.find(text.encode("utf-8", "surrogatepass")))

    def watch(self, stream: Watched) -> None:
        """Make `add` wait for what a stream has under way."""
        with self.lock:
            self._streams.add(stream)

    def learn(self, *secrets: str) -> None:
        """Know secrets, once more, in all copies of this package that are set up in the process.

        Args:
            secrets: Each as for `add`.

        Raises:
            ValueError: One is too short; then none is known.
        """
        for secret in secrets:
            _check(secret)
        for masker in (self, *self._peers):
            masker.take(secrets)

    def take(self, secrets: Iterable[str]) -> None:
        """Know secrets in this copy, once more. To be called by other copies."""
        with self.lock:
            for secret in secrets:
                self._known[secret] = self._known.get(secret, 0) + 1
                if self._known[secret] == 1:
                    self._look_for(forms_of(secret))
            streams = list(self._streams)
        for stream in streams:
            stream.wait_for_writes()

    def drop(self, secrets: Iterable[str]) -> None:
        """Take back what `take` did once."""
        with self.lock:
            for secret in secrets:
                count = self._known.pop(secret, 0) - 1
                if count > 0:
                    self._known[secret] = count
                elif count == 0:
                    for form in forms_of(secret):
                        self._index.discard(form)

    def leave(self, secrets: ScopedSecrets) -> None:
        """Keep secrets known for what streams have kept back."""
        with self.lock:
            streams = list(self._streams)
        for stream in streams:
            stream.keep(secrets)

    def expire(self, secrets: tuple[str, ...]) -> None:
        """Take back what `learn` did once, now or soon. It waits for no other thread, unless there are no secrets.

        Args:
            secrets: What nothing refers to any more. None to forget now what was left for later.
        """
        if secrets:
            self._expired.append(secrets)
        # Secrets may be forgotten anywhere, where the garbage collector runs: there it must not wait.
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
            peer: The other one.
        """
        ours, theirs = self.multiset(), peer.multiset()
        self._peers.append(peer)
        peer.befriend(self)
        self.take(theirs)
        peer.take(ours)

    def befriend(self, peer: SecretMasker) -> None:
        """Tell another masker, too, what this one is told."""
        self._peers.append(peer)

    def multiset(self) -> list[str]:
        """All secrets, each as often as it was learnt."""
        with self.lock:
            return [secret for secret, count in self._known.items() for _ in range(count)]

    def _look_for(self, forms: list[Form]) -> None:
        for form in forms:
            self._index.add(form)
        if _joins(self._mask, forms):
            every = [form for secret in self._known for form in forms_of(secret)]
            self._mask = next((mask for mask in _MASKS if not _joins(mask, every)), _MASKS[0])


def is_of_digits(secret: str) -> bool:
    """Whether a secret is of digits alone, as numbers are."""
    return secret.strip().isdecimal()


def _check(secret: str) -> None:
    length = len(secret.strip())
    if length < SHORTEST:
        raise ValueError(f"a secret of {length} characters is too short to be masked, expected {SHORTEST} or more")


def _joins(mask: bytes, forms: Iterable[Form]) -> bool:
    """Whether a mask holds a part of a secret which text beside it could complete."""
    heads = tuple(mask[:at] for at in range(1, len(mask)))
    tails = tuple(mask[at:] for at in range(1, len(mask)))
    plains = [form.plain for form in forms if form.family is TEXT]
    return any(mask in plain or plain.startswith(tails) or plain.endswith(heads) for plain in plains)


def text_of_octets(data: bytes) -> str:
    """What was encoded with its lone surrogates, as text again."""
    return data.decode("utf-8", "surrogatepass")


# Secrets are known to a whole process: one added anywhere is masked everywhere, unless another masker is asked for.
process_masker = SecretMasker()
