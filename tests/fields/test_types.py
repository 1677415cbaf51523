"""The rules of fields. `test_codegen` compares them with generated code."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cicd_common.fields import Between, Count, Kind, Name, Ordinal, PageSize, RelativePath, Retries, Rule, Sha256, split
from cicd_common.fields.types import SOME, is_kind, is_name, is_nfc
from cicd_common.testing.strategies import kinds, names

NAMED = {"Name": Name, "Kind": Kind, "Sha256": Sha256, "RelativePath": RelativePath}
INTEGERS = {"Count": (Count, 0, None), "Ordinal": (Ordinal, 1, None), "PageSize": (PageSize, 1, 1000)}


class TestName:
    @pytest.mark.parametrize(
        "text", ["a", "a b", "\u00e9", "\u65e5\u672c", "a\u200bb", "\U0001f680", "x" * 255, "a\u3000b"]
    )
    def test_accepts_what_can_be_seen(self, text: str) -> None:
        """Visible texts of any script, with blanks inside, are names."""
        assert is_name(text)
        assert is_nfc(text)

    @pytest.mark.parametrize(
        "hidden", ["\u061c", "\u200e", "\u200f", "\u202a", "\u202e", "\u2066", "\u2069", "\x00", "\x9f"]
    )
    def test_refuses_controls(self, hidden: str) -> None:
        """A name with control characters, also for the direction of text, is refused."""
        assert not is_name(f"a{hidden}b")

    @pytest.mark.parametrize(
        "text", ["\u200b", "\u3164", "\u2800", "\ufe0f", "\u2060", "\U000e0001", "\u115f\u1160", "\u00ad"]
    )
    def test_refuses_what_cannot_be_seen(self, text: str) -> None:
        """A name without a visible character is refused."""
        assert not is_name(text)
        assert is_name(text + "a" if not is_name("a" + text) else "a" + text)

    @pytest.mark.parametrize("text", ["e\u0301", "\u212b", "\u1100\u1161"])
    def test_refuses_other_forms_than_nfc(self, text: str) -> None:
        """A name must be in the form NFC, so that names that look alike are equal."""
        assert is_name(text)
        assert not is_nfc(text)


class TestKind:
    @pytest.mark.parametrize("text", ["script", "acme.http-check", "a", "a1-2.b3", "a" * 63])
    def test_accepts_words_and_their_parts(self, text: str) -> None:
        """A kind has parts of lower-case letters and digits, with points or hyphens between them."""
        assert is_kind(text)

    @pytest.mark.parametrize("text", ["", "A", "1a", "a..b", "-a", "a-", "a_b", "a\n", "\u00e9", "a" * 64])
    def test_refuses_everything_else(self, text: str) -> None:
        """A kind with upper-case or other characters, or with more than 63 characters, is refused."""
        assert not is_kind(text)


class TestKeywords:
    @settings(max_examples=settings.default.max_examples * 4)
    @given(text=names() | kinds() | st.text(max_size=8), which=st.sampled_from(sorted(NAMED)))
    def test_never_refuse_what_the_rule_accepts(self, text: str, which: str) -> None:
        """The schema of a rule accepts every text that the rule accepts."""
        for rule in split(NAMED[which])[1]:
            if rule.accepts(text):
                keywords = rule.keywords
                assert keywords.get("minLength", 0) <= len(text) <= keywords.get("maxLength", len(text))
                assert re.search(keywords.get("pattern", ""), text)

    @pytest.mark.parametrize("which", INTEGERS)
    def test_of_integers_are_their_bounds(self, which: str) -> None:
        """The schema of an integer has the limits of its rule."""
        hint, low, high = INTEGERS[which]
        (rule,) = split(hint)[1]
        assert isinstance(rule.accepts, Between)
        assert rule.keywords == {"minimum": rule.accepts.low, "maximum": rule.accepts.high}
        assert rule.keywords["minimum"] == low
        assert high in (None, rule.keywords["maximum"])

    def test_of_retries(self) -> None:
        """Retries are 0 to 10."""
        assert [split(Retries)[1][0].accepts(value) for value in (-1, 0, 10, 11)] == [False, True, True, False]
        assert SOME.keywords == {"minItems": 1}


def test_rules_are_values() -> None:
    """Rules with equal arguments are equal, and can be keys."""

    def rule() -> Any:
        return Rule("a port", Between(1, 65535), {"minimum": 1})

    assert rule() == rule()
    assert len({rule(), rule()}) == 1
    assert get_args(Name)[0] is str
