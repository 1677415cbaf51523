"""What a Worker does with a message before Celery sees it: whatever is no job is dropped, and nothing of it is told."""

# mypy: allow-untyped-calls
# Only a part of kombu has types.

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer
from kombu.exceptions import ContentDisallowed, DecodeError

from cicd_common.api.request import JobExecutionRequest

from .job_queue import HIDDEN, SERIALIZER, TASK

__all__ = ["JobConsumer"]

_log = logging.getLogger(__name__)

# At the level of debugging it shows each job whole.
logging.getLogger("celery.pool").setLevel(logging.INFO)


class JobConsumer(Consumer):  # type: ignore[misc]  # Celery has no types.
    """Celery's consumer, which by itself ends at some messages and shows the content of others."""

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Make the function that is called with each message."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_message(message: Any) -> None:
            try:
                request = _read(message)
            except DecodeError as error:
                self._drop(message, str(error))
            else:
                message.headers = _headers(request)
                handle(message)

        return on_message

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Take note of a message that cannot even be unpacked."""
        self._drop(message, type(exc).__name__)

    def _drop(self, message: Any, why: str) -> None:
        # Not to be delivered again: it would be the same. If it was a job's, the Backend will send that again.
        _log.error("dropped a message that is no job: %s", why)
        message.reject_log_error(_log, self.connection_errors)


def _read(message: Any) -> JobExecutionRequest:
    if not isinstance(message.headers, dict) or message.headers.get("task") != TASK:
        raise DecodeError("it is for another task")
    # Kombu trusts some content types always, and hands on empty bodies as they are.
    if message.content_type != SERIALIZER.content_type or not message.body:
        raise DecodeError("it has another content")
    try:
        (request,), _, _ = message.decode()
    except ContentDisallowed:
        raise DecodeError("it has another content") from None
    return request  # type: ignore[no-any-return]  # The serializer makes nothing else.


def _headers(request: JobExecutionRequest) -> dict[str, Any]:
    """All that Celery needs. Others that were sent could delay the job, or say what they are not asked to."""
    return {"task": TASK, "id": str(request.job_execution_id), "argsrepr": HIDDEN, "kwargsrepr": HIDDEN}
