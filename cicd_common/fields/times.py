"""Times, dates and durations as text: RFC 3339, with the durations of its appendix A."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from .refusal import Refusal
from .types import TIME, whole

__all__ = [
    "CLOCK_KEYWORDS",
    "DATE_KEYWORDS",
    "DURATION_KEYWORDS",
    "TIME_KEYWORDS",
    "in_utc",
    "read_clock",
    "read_date",
    "read_duration",
    "read_time",
    "without_offset",
    "write_duration",
    "write_time",
]


def in_utc(value: datetime) -> datetime:
    """Return the same moment as a plain ``datetime`` in UTC.

    Raises:
        Refusal: It is naive, or not in the years 1 to 9999 in UTC.
    """
    if type(value) is datetime and value.tzinfo is UTC and not value.fold:
        return value
    try:
        moment = value.astimezone(UTC) if value.utcoffset() is not None else None
    except OverflowError:
        moment = None
    if moment is None:
        raise Refusal("value", f"expected {TIME.expected}")
    return datetime.combine(moment.date(), moment.time(), UTC).replace(fold=0)


_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_DATE_AND_TIME = rf"{_DATE}[Tt ]{_CLOCK}"
_FRACTION = r"(?:\.[0-9]{1,6})?"
_OFFSET = "[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9]"
_is_usual_time = re.compile(f"{_DATE_AND_TIME}{_FRACTION}Z").fullmatch
_any_time = re.compile(
    rf"(?P<moment>{_DATE_AND_TIME}{_FRACTION})(?P<more>[0-9]*)(?:(?P<utc>[Zz])|(?P<offset>{_OFFSET}))"
).fullmatch
_A_TIME = "expected a time as in RFC 3339 with an offset, in the years 1 to 9999 in UTC: 2026-01-31T23:59:59.5Z"


def read_time(value: Any, _: Any = None) -> datetime:
    """Read a time as in RFC 3339, section 5.6, with an offset; in UTC, digits past microseconds rounded.

    As ``msgspec`` does, it takes an offset without its colon too.

    Raises:
        Refusal: It is not a string, or not such a time. `datetime.fromisoformat` alone accepts far more forms.
    """
    if type(value) is not str:
        raise Refusal("type", "expected a time as a string")
    try:
        if _is_usual_time(value) is not None:
            return datetime.fromisoformat(value)
        return _read_unusual_time(value)
    except (Refusal, ValueError, OverflowError):
        raise Refusal("value", _A_TIME) from None


def _read_unusual_time(value: str) -> datetime:
    match = _any_time(value)
    if match is None or (match["more"] and "." not in match["moment"]):
        raise ValueError
    moment = in_utc(datetime.fromisoformat(match["moment"] + (match["offset"] or "+00:00")))
    return moment + timedelta(microseconds=1) if match["more"] >= "5" else moment


def write_time(value: datetime) -> str:
    """Write a time as in RFC 3339, in UTC with ``Z``, without a fraction that is zero.

    Raises:
        Refusal: It is naive, or not in the years 1 to 9999 in UTC.
    """
    moment = value if value.tzinfo is UTC else in_utc(value)
    # Twice as fast as the isoformat of a time with an offset.
    return f"{moment.date().isoformat()}T{moment.time().isoformat()}Z"


def read_date(value: Any, _: Any = None) -> date:
    """Read a full-date of RFC 3339: ``2026-01-31``.

    Raises:
        Refusal: It is no string, or no such date.
    """
    if type(value) is not str:
        raise Refusal("type", "expected a date as a string")
    try:
        if re.fullmatch(_DATE, value) is not None:
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise Refusal("value", "expected a date as in RFC 3339: 2026-01-31")


def read_clock(value: Any, _: Any = None) -> time:
    """Read a partial-time of RFC 3339, which has no offset: ``23:59:59.5``.

    Raises:
        Refusal: It is no string, or no such time of day.
    """
    if type(value) is not str:
        raise Refusal("type", "expected a time of day as a string")
    if re.fullmatch(_CLOCK + _FRACTION, value) is None:
        raise Refusal("value", "expected a time of day without an offset as in RFC 3339: 23:59:59.5")
    return time.fromisoformat(value)


def without_offset(value: time) -> time:
    """Return a time of day as a plain ``time``.

    Raises:
        Refusal: It has an offset, which depends on the day in most places.
    """
    if value.tzinfo is not None:
        raise Refusal("value", "expected a time of day without an offset")
    return value if type(value) is time else time(value.hour, value.minute, value.second, value.microsecond)


_DURATION = (
    r"(?P<sign>-?)P(?=[0-9T])(?:(?P<weeks>[0-9]{1,9})W|(?:(?P<days>[0-9]{1,9})D)?"
    r"(?:T(?=[0-9])(?:(?P<hours>[0-9]{1,12})H)?(?:(?P<minutes>[0-9]{1,12})M)?"
    r"(?:(?P<seconds>[0-9]{1,15})(?:\.(?P<fraction>[0-9]{1,6}))?S)?)?)"
)
_MICROSECOND = timedelta(microseconds=1)
_UNITS = ("weeks", "days", "hours", "minutes", "seconds")


def read_duration(value: Any, _: Any = None) -> timedelta:
    """Read a duration of RFC 3339, appendix A, in weeks, or in days, hours, minutes and seconds: ``P1DT2H30.5S``.

    Raises:
        Refusal: It is no string, no such duration, one of years or months, or too long for a ``timedelta``.
    """
    if type(value) is not str:
        raise Refusal("type", "expected a duration as a string")
    match = re.fullmatch(_DURATION, value)
    try:
        if match is not None:
            microseconds = int((match["fraction"] or "").ljust(6, "0"))
            given = {unit: int(match[unit] or 0) for unit in _UNITS}
            sign = -1 if match["sign"] else 1
            return timedelta(microseconds=sign * microseconds, **{unit: sign * each for unit, each in given.items()})
    except OverflowError:
        pass
    raise Refusal("value", "expected a duration as in RFC 3339, without years and months: P1DT2H30.5S")


def write_duration(value: timedelta) -> str:
    """Write a duration in days and seconds: ``P1DT9000.5S``, ``-PT1S``, ``P0D``."""
    seconds, microseconds = divmod(abs(value // _MICROSECOND), 1_000_000)
    days, seconds = divmod(seconds, 86_400)
    fraction = f".{microseconds:06}".rstrip("0") if microseconds else ""
    rest = f"T{seconds}{fraction}S" if seconds or fraction else ""
    return f"{'-' if value < timedelta() else ''}P{f'{days}D' if days or not rest else ''}{rest}"


# --- JSON Schema ---------------------------------------------------------------------------------------------------

_LEAP = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_MONTH_AND_DAY = (
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|"
    "02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_CALENDAR = f"(?:[0-9]{{4}}-{_MONTH_AND_DAY}|{_LEAP}-02-29)"


def _from_year_1(pattern: str) -> dict[str, Any]:
    return {**whole(pattern), "not": {"pattern": r"^0000|\n"}}


DATE_KEYWORDS = {**_from_year_1(_CALENDAR), "format": "date"}
"""What JSON Schema can say of the texts that `read_date` takes: all."""
TIME_KEYWORDS = {
    **_from_year_1(rf"{_CALENDAR}[Tt ]{_CLOCK}(?:\.[0-9]+)?(?:[Zz]|{_OFFSET})"),
    "format": "date-time",
}
"""What JSON Schema can say of the texts that `read_time` takes: all but that they are in the years 1 to 9999 in UTC."""
CLOCK_KEYWORDS = whole(_CLOCK + _FRACTION)
"""What JSON Schema can say of the texts that `read_clock` takes: all."""
DURATION_KEYWORDS = {**whole(re.sub(r"\?P<\w+>", "?:", _DURATION)), "format": "duration"}
"""What JSON Schema can say of the texts that `read_duration` takes: all but how long a ``timedelta`` is."""
