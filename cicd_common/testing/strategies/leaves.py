"""Strategies for the values of fields, edge values included."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from functools import cache, partial
from unicodedata import normalize
from uuid import UUID

from hypothesis import strategies as st

from ...fields.types import is_name

__all__ = [
    "ASTRAL",
    "EDGE_TEXTS",
    "distinct_names",
    "distinct_uuids",
    "integers",
    "kinds",
    "names",
    "relative_paths",
    "sha256s",
    "texts",
    "times",
    "uuids",
]

ASTRAL = "\U0001f680\U0010ffff"
EDGE_TEXTS = [
    "",
    " ",
    "\x00",
    "\x7f\x80\x9f",
    '"\\/\b\f\n\r\t',
    "\u2028\u2029\ufeff\ufffe\uffff",
    "\\ud800",
    ASTRAL,
    "e\u0301\u200d",
    "null",
    "true",
    "1",
    "</script>",
    "x" * 9_000,
    ASTRAL * 1_000,
]
EDGE_NAMES = ["x", "x" * 255, ASTRAL, "a/b~c", "a -> b", "a\u200b", "null", "0", "\ufffd", "\u65e5\u672c"]
INT64 = (-(2**63), 2**63 - 1)


@cache
def texts() -> st.SearchStrategy[str]:
    """Draw texts that UTF-8 can write."""
    # Drawn by their index, so that the repr of the strategy shows no huge text.
    edges = st.integers(0, len(EDGE_TEXTS) - 1).map(_edge_text)
    return st.text(st.characters(codec="utf-8"), max_size=20) | edges


def _edge_text(at: int) -> str:
    return EDGE_TEXTS[at]


@cache
def names() -> st.SearchStrategy[str]:
    """Draw values of a `Name`."""
    no_control = st.characters(codec="utf-8", exclude_categories=["Cc"])
    usual = st.text(no_control, min_size=1, max_size=20).map(partial(normalize, "NFC")).map(str.strip).filter(is_name)
    return usual | st.sampled_from(EDGE_NAMES)


@cache
def integers(low: int = INT64[0], high: int = INT64[1]) -> st.SearchStrategy[int]:
    """Draw integers of 64 bits, often those at the limits."""
    edges = {low, low + 1, high - 1, high} | {edge for edge in (-1, 0, 1, 2**53 + 1) if low <= edge <= high}
    return st.integers(low, high) | st.sampled_from(sorted(edges))


@cache
def uuids() -> st.SearchStrategy[UUID]:
    """Draw UUIDs of every version and of none."""
    return st.uuids() | st.integers(0, 2**128 - 1).map(lambda value: UUID(int=value)) | st.just(UUID(int=0))


@cache
def distinct_uuids(count: int) -> st.SearchStrategy[list[UUID]]:
    """Draw a number of different UUIDs."""
    return st.lists(st.uuids(), min_size=count, max_size=count, unique=True)


@cache
def offsets() -> st.SearchStrategy[timezone]:
    """Draw fixed offsets in whole minutes, as RFC 3339 writes them."""
    minutes = st.integers(-23 * 60 - 59, 23 * 60 + 59) | st.sampled_from([-1439, -1, 0, 330, 1439])
    return minutes.map(lambda each: timezone(timedelta(minutes=each)))


_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
EDGE_TIMES = [
    _FIRST,
    _LAST,
    _LAST.replace(microsecond=0),
    datetime(1, 1, 1, 23, 59, tzinfo=timezone(timedelta(hours=23, minutes=59))),
    datetime(9999, 12, 31, tzinfo=timezone(-timedelta(hours=23, minutes=59))),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2024, 2, 29, 12, tzinfo=UTC),
    datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=timezone(timedelta(hours=2))),
    datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=timezone(timedelta(seconds=1))),
]


@cache
def times() -> st.SearchStrategy[datetime]:
    """Draw times with any offset that are in the years 1 to 9999 in UTC."""
    day = timedelta(days=1)  # No offset is longer.
    anywhere = st.datetimes(datetime.min + day, datetime.max - day, timezones=offsets())
    in_utc = st.datetimes(timezones=st.just(UTC))
    return (anywhere | in_utc).map(lambda each: each.replace(fold=0)) | st.sampled_from(EDGE_TIMES)


@cache
def kinds() -> st.SearchStrategy[str]:
    """Draw values of a `Kind`, often the kind ``script``."""
    part = st.from_regex(r"[a-z0-9]{1,5}", fullmatch=True)
    joined = st.lists(st.tuples(st.sampled_from(".-"), part), max_size=3).map(lambda each: "".join(map("".join, each)))
    return st.just("script") | st.builds("{}{}".format, st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), joined)


def sha256s() -> st.SearchStrategy[str]:
    """Draw 64 lower-case hexadecimal digits."""
    return st.integers(0, 2**256 - 1).map("{:064x}".format)


def relative_paths() -> st.SearchStrategy[str]:
    """Draw relative POSIX paths without a part ``..``."""
    part = st.text(st.characters(codec="utf-8", exclude_characters="/\\\x00:"), min_size=1, max_size=8)
    parts = st.lists(part.filter(lambda each: each != ".."), min_size=1, max_size=4)
    return parts.map("/".join) | st.sampled_from(["...", "a/..b/c", "a//b", "a/", ".", "a b/" + ASTRAL, "a/c:x"])


@cache
def distinct_names(count: int) -> st.SearchStrategy[list[str]]:
    """Draw a number of different names."""
    return st.lists(names(), min_size=count, max_size=count, unique=True)
