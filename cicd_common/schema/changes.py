"""The kinds of changes of a type, and their effects."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Self

import attrs

__all__ = ["Change", "ChangeKind", "Effect"]


class Effect(StrEnum):
    """The effect of a change on programs that know only one version of a type.

    Attributes:
        description: The effect in one sentence.
        is_break: Whether documents are refused.
    """

    description: str
    is_break: bool

    OLD_WRITERS = "OLD_WRITERS", "Breaks old writers: new readers refuse some of their documents.", True
    OLD_READERS = "OLD_READERS", "Breaks old readers: they refuse new documents.", True
    LOST = "LOST", "Data is lost: one side ignores a field of the other side.", False
    MEANING = "MEANING", "A document means something else to the other side.", False

    def __new__(cls, value: str, description: str, is_break: bool) -> Self:  # noqa: D102 - as any enum
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        member.is_break = is_break
        return member


class ChangeKind(Enum):
    """The kinds of changes of a type. Each has a row in the contract's chapter "How the contract changes".

    Attributes:
        words: The kind in words.
        effects: The effects on programs that know only one version.
    """

    words: str
    effects: tuple[Effect, ...]

    DEFAULT_FIELD_ADDED = "a field with a default was added", Effect.LOST
    REQUIRED_FIELD_ADDED = "a required field was added", Effect.OLD_WRITERS
    FIELD_BECAME_REQUIRED = "the field became required", Effect.OLD_WRITERS
    FIELD_BECAME_OPTIONAL = "the field is no longer required", Effect.OLD_READERS
    DEFAULT_FIELD_REMOVED = "a field with a default was removed", Effect.LOST
    REQUIRED_FIELD_REMOVED = "a required field was removed", Effect.LOST, Effect.OLD_READERS
    RULE_TIGHTENED = "a rule was tightened", Effect.OLD_WRITERS
    RULE_LOOSENED = "a rule was loosened", Effect.OLD_READERS
    RULE_CHANGED = "a rule was changed", Effect.OLD_WRITERS, Effect.OLD_READERS
    VALUE_ADDED = "a value of an enum was added", Effect.OLD_READERS
    VALUE_REMOVED = "a value of an enum was removed", Effect.OLD_WRITERS
    OPEN_VALUE_ADDED = "a value of an open enum was added", Effect.MEANING
    OPEN_VALUE_REMOVED = "a value of an open enum was removed", Effect.MEANING
    NULL_ALLOWED = "null is now allowed", Effect.OLD_READERS
    NULL_REFUSED = "null is no longer allowed", Effect.OLD_WRITERS
    ALTERNATIVE_ADDED = "another type is now allowed", Effect.OLD_READERS
    ALTERNATIVE_REMOVED = "one of the types is no longer allowed", Effect.OLD_WRITERS
    TYPE_CHANGED = "the type changed", Effect.OLD_WRITERS, Effect.OLD_READERS
    DEFAULT_CHANGED = "the default changed", Effect.MEANING
    TYPE_ADDED = ("a type was added",)
    TYPE_REMOVED = "a type was removed", Effect.OLD_WRITERS

    def __new__(cls, words: str, *effects: Effect) -> Self:  # noqa: D102 - as any enum
        member = object.__new__(cls)
        member._value_ = words
        member.words = words
        member.effects = effects
        return member


@attrs.frozen
class Change:
    """One change between two versions of a schema.

    Attributes:
        pointer: The place in both schemas, or in the one that has it, as an RFC 6901 JSON pointer:
            ``/$defs/Job/properties/retries``. References and ``null`` are no steps of it.
        kind: The kind of the change.
        detail: The rule, value or default that changed, in words; empty if the kind says it all.
    """

    pointer: str
    kind: ChangeKind
    detail: str = ""

    @property
    def effects(self) -> tuple[Effect, ...]:
        """The effects on programs that know only one version."""
        return self.kind.effects

    @property
    def breaks(self) -> tuple[Effect, ...]:
        """The effects by which documents are refused."""
        return tuple(effect for effect in self.effects if effect.is_break)

    def __str__(self) -> str:
        return f"{self.pointer}: {self.kind.words}" + (f": {self.detail}" if self.detail else "")
