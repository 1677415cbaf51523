"""The text forms of the wire: JSON itself, UUIDs and times. A reader refuses whatever the wire rules do not allow."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID, SafeUUID

from ._deep import parse_deep
from ._fields import in_utc
from ._rules import Refusal, is_text

__all__ = ["TOO_DEEP", "encode", "parse", "read_time", "read_uuid", "write_time", "write_uuid"]

_new = object.__new__
_UNKNOWN = SafeUUID.unknown
# The slots of UUID, which has no way to be made of an integer that does not look at all its arguments.
_set_int = vars(UUID)["int"].__set__
_set_safe = vars(UUID)["is_safe"].__set__
_is_uuid = re.compile(r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}").fullmatch


def read_uuid(value: Any, _: Any = None) -> UUID:
    """Read a UUID from its 32 hexadecimal digits, in any case, with hyphens in their places or without.

    Raises:
        Refusal: It is no string, or no UUID in one of these forms. `UUID` alone would take braces and prefixes too.
    """
    if type(value) is not str:
        raise Refusal("type", "expected a UUID as a string")
    if _is_uuid(value) is None:
        raise Refusal("value", "expected a UUID: 32 hexadecimal digits, with hyphens as 8-4-4-4-12 or without")
    # What UUID(value) ends in, without its second look at the text: a third of its time.
    uuid = _new(UUID)
    _set_int(uuid, int(value.replace("-", ""), 16))
    _set_safe(uuid, _UNKNOWN)
    return uuid


def write_uuid(value: UUID) -> str:
    """Write a UUID in lower case with hyphens."""
    digits = hex(value.int | 1 << 128)  # 0x1 and all 32 digits
    return f"{digits[3:11]}-{digits[11:15]}-{digits[15:19]}-{digits[19:23]}-{digits[23:]}"


_DATE_AND_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}"
_is_usual_time = re.compile(_DATE_AND_TIME + r"(?:\.[0-9]{1,6})?Z").fullmatch
_any_time = re.compile(
    rf"(?P<moment>{_DATE_AND_TIME}(?:\.[0-9]{{1,6}})?)(?P<more>[0-9]*)"
    r"(?:(?P<utc>[Zz])|(?P<offset>[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9]))"
).fullmatch
_A_TIME = "expected a time as in RFC 3339 with an offset, in the years 1 to 9999 in UTC: 2026-01-31T23:59:59.5Z"


def read_time(value: Any, _: Any = None) -> datetime:
    """Read a time as in RFC 3339, section 5.6, with an offset; in UTC, digits past microseconds rounded.

    As ``msgspec`` does, it takes an offset without its colon too.

    Raises:
        Refusal: It is no string, or no such time. `datetime.fromisoformat` alone would take far more.
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
    # In half the time of the isoformat of a time with an offset.
    return f"{moment.date().isoformat()}T{moment.time().isoformat()}Z"


# --- JSON ------------------------------------------------------------------------------------------------------

TOO_DEEP = "expected JSON that nests less deeply"


def parse(data: bytes | bytearray | memoryview | str) -> Any:
    """Read JSON text (RFC 8259) in UTF-8.

    Raises:
        Refusal: It is not UTF-8, begins with a byte order mark, is not JSON, has data after the value, holds ``NaN``,
            ``Infinity`` or a lone surrogate, or nests more than 10,000 levels deep.
    """
    text = data if isinstance(data, str) else _decode(data)
    if not is_text(text) or (_escapes_surrogate(text) and _has_lone_surrogate(text)):
        raise Refusal("syntax", "expected JSON without lone surrogates")
    try:
        try:
            return _parse(text)
        except RecursionError:
            return parse_deep(text, _patient_decoder.scan_once)  # type: ignore[attr-defined]
    # The cause is not kept: it holds the whole text, and whoever logs it with its variables would log secrets.
    except json.JSONDecodeError as error:
        message = f"expected one JSON value and no more, the text breaks at line {error.lineno}, column {error.colno}"
    except RecursionError:
        # Nothing can be read where nothing more can be called.
        message = TOO_DEEP
    raise Refusal("syntax", message)


def _decode(data: bytes | bytearray | memoryview) -> str:
    try:
        return bytes(data).decode()
    except UnicodeDecodeError as error:
        message = f"expected UTF-8, found a wrong byte at offset {error.start}"
    raise Refusal("syntax", message)


def _refuse_constant(name: str) -> NoReturn:
    raise Refusal("syntax", f"expected JSON, which has no {name}")


def _huge_or_int(digits: str) -> int:
    """Any integer past 64 bits is as good as any other: it is refused, or not looked at."""
    return int(digits) if len(digits) <= 20 else 1 << 64


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)
_scan = _decoder.scan_once  # type: ignore[attr-defined]  # what both decoding methods end in
_patient_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_huge_or_int)


def _parse(text: str) -> Any:
    try:
        # JSON with nothing around it, as it is written here, needs no search for blanks.
        value, end = _scan(text, 0)
        if end == len(text):
            return value
    except (ValueError, StopIteration):
        pass
    try:
        return _decoder.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # An integer of more digits than int() reads (sys.set_int_max_str_digits).
        return _patient_decoder.decode(text)


# Half of a character that takes two UTF-16 units, or the whole. With a regex it is found in half the time of "in".
_escapes_surrogate = re.compile(r"\\u[dD]").search
_escapes = re.compile(
    r"\\(?:u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|(?P<lone>u[dD][89a-fA-F])|.)", re.DOTALL
)


def _has_lone_surrogate(text: str) -> bool:
    """Whether JSON text escapes half of a character that takes two UTF-16 units."""
    return any(match["lone"] for match in _escapes.finditer(text))


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))


def encode(plain: Any) -> bytes:
    """Write plain JSON data as JSON text in UTF-8, with no blanks.

    Raises:
        ValueError: It holds ``NaN``, ``Infinity`` or a lone surrogate.
        TypeError: It holds what JSON does not know.
    """
    return _encoder.encode(plain).encode()
