"""Secrets, kept out of everything that is written."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from ._encodings import SHORTEST
from ._fork import renew_lock_in_child
from ._needles import Needles, spans

if TYPE_CHECKING:
    from .masking_stream import MaskingStream

__all__ = ["SecretMasker", "process_masker"]


class SecretMasker:
    """Knows secrets, and masks them in text in all the forms in which they usually turn up.

    It can be used from any number of threads, while secrets are added too.

    Attributes:
        lock: Held by the handlers while they mask a line and write it, so that `add` waits for lines under way.
    """

    __slots__ = ("__weakref__", "_needles", "_streams", "lock")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._needles = Needles()
        self._streams: weakref.WeakSet[MaskingStream[str] | MaskingStream[bytes]] = weakref.WeakSet()
        renew_lock_in_child(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._needles.secrets)} secrets>"

    @property
    def needles(self) -> Needles:
        """What it knows at this moment, as a value that never changes."""
        return self._needles

    def add(self, secret: str) -> None:
        """Mask a secret from now on. Once this returns, no thread writes it any more.

        A secret of several lines is masked as a whole, and so is each line of it that is long enough by itself.

        Args:
            secret: The secret, of at least 8 characters, blanks at its ends not counted.

        Raises:
            ValueError: It is too short to be masked usefully. The message does not repeat it.
        """
        length = len(secret.strip())
        if length < SHORTEST:
            raise ValueError(f"a secret of {length} characters is too short to be masked, expected {SHORTEST} or more")
        with self.lock:
            if secret not in self._needles.secrets:
                self._needles = self._needles.plus(secret)
            streams = list(self._streams)
        for stream in streams:
            stream.wait_for_writes()

    def mask(self, text: str) -> str:
        """Mask all secrets in a text.

        Args:
            text: Any text.

        Returns:
            The text with a mask in place of each secret; the same object, if it holds none.
        """
        needles = self._needles
        found = spans(text, needles.texts) if needles.may_be_in(text) else []
        if not found:
            return text
        kept, at = [], 0
        for start, end in found:
            kept.append(text[at:start])
            at = end
        return needles.mask.join([*kept, text[at:]])

    def holds(self, text: str) -> bool:
        """Whether a text holds a secret in any form.

        Args:
            text: Any text.
        """
        needles = self._needles
        return needles.may_be_in(text) and any(needle in text for needle in needles.texts)

    def line_holds(self, line: str) -> bool:
        """Whether a line of JSON holds a secret, in its own text or in that of any string in it.

        Args:
            line: JSON, written without escapes that it could do without.
        """
        needles = self._needles
        if not needles.lines or not needles.may_be_in(line):
            return False
        for needle in needles.lines:  # noqa: SIM110 - any() of a generator takes twice the time, for every line
            if needle in line:
                return True
        return False

    def watch(self, stream: MaskingStream[str] | MaskingStream[bytes]) -> None:
        """Make `add` wait for what a stream has under way."""
        with self.lock:
            self._streams.add(stream)


# Secrets are known to a whole process: one added anywhere is masked everywhere, unless another masker is asked for.
process_masker = SecretMasker()
