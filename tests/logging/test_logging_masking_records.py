"""Records for handlers of other libraries hold no secrets."""

from __future__ import annotations

import io
import logging
from typing import Any

import pytest

from cicd_common.logging import SecretMasker, configure, execution_context, get_logger
from cicd_common.logging.masking_records import mask_record

SECRET = "hunter2hunter2"


@pytest.fixture
def records() -> list[logging.LogRecord]:
    """Return the records that another handler gets once all records are masked."""
    configure(stream=io.StringIO(), secrets=[SECRET], mask_all_handlers=True)
    seen: list[logging.LogRecord] = []

    class Other(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record)

    logging.getLogger().addHandler(Other())
    return seen


def shown(record: logging.LogRecord) -> str:
    return f"{vars(record)} {logging.Formatter('%(message)s %(threadName)s').format(record)}"


class TestMaskAllHandlers:
    """Handlers of other libraries get masked records."""

    @pytest.mark.parametrize("log", [logging.getLogger("x"), get_logger("x")], ids=["standard", "ours"])
    @pytest.mark.parametrize(
        ("args", "rest"),
        [
            ((f"a {SECRET} b",), {}),
            (("%s", SECRET), {}),
            (("%.3s", SECRET), {}),
            (("%(a)s", {"a": [SECRET]}), {}),
            (("x",), {"extra": {"field": SECRET}}),
            (("x",), {"extra": {"field": [{"a": (SECRET,)}]}}),
            (("x",), {"extra": {SECRET: 1}}),
            (("x",), {"exc_info": ValueError(SECRET)}),
        ],
    )
    def test_masked(self, records: list[logging.LogRecord], log: Any, args: Any, rest: Any) -> None:
        """The record holds no secret in any place."""
        log.warning(*args, **rest)
        assert SECRET not in shown(records[0])

    def test_context(self, records: list[logging.LogRecord]) -> None:
        """The fields of the context are masked, too."""
        with execution_context(owner=SECRET):
            logging.getLogger("x").warning("x")
        assert records[0].fields.values == {"owner": "***"}  # type: ignore[attr-defined]

    def test_other_records_are_kept(self, records: list[logging.LogRecord]) -> None:
        """A record without a secret is not changed."""
        error, value = ValueError("x"), object()
        logging.getLogger("x").warning("%s", value, exc_info=error, extra={"field": value})
        assert records[0].args == (value,)
        assert records[0].exc_info is not None
        assert records[0].exc_info[1] is error
        assert records[0].field is value  # type: ignore[attr-defined]

    @pytest.mark.usefixtures("records")
    def test_again(self) -> None:
        """A second set-up does not mask twice."""
        handle = logging.Logger.handle
        configure(stream=io.StringIO(), mask_all_handlers=True)
        assert logging.Logger.handle is handle

    def test_other_masker(self) -> None:
        """A record can be masked by any masker."""
        masker = SecretMasker()
        masker.add(SECRET)
        record = logging.makeLogRecord({"msg": SECRET, "exc_text": SECRET})
        mask_record(record, masker)
        assert (record.msg, record.exc_text) == ("***", "***")


class TestDigits:
    """Secrets that consist of digits."""

    def test_told_by_configure(self) -> None:
        """A warning says that a number may become text, without the number."""
        stream = io.StringIO()
        configure(stream=stream, secrets=["12345678", SECRET])
        assert stream.getvalue().count("a secret is of digits alone") == 1
        get_logger("x").info("x", n=12345678, m=1)
        assert '"n":"***","m":1' in stream.getvalue()
        assert "12345678" not in stream.getvalue()

    def test_told_when_added(self, caplog: pytest.LogCaptureFixture) -> None:
        """`add` logs the same warning."""
        SecretMasker().add("12345678")
        assert "a secret is of digits alone" in caplog.text
        assert "12345678" not in caplog.text
