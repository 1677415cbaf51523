"""Contract types as messages of kombu and as tasks of Celery. Needs the extra ``kombu``.

The body of a message is the JSON of one instance, as `converter.dumps` writes it, and nothing else; its content type
says of which class. A consumer accepts the content types that it expects, and no others::

    request = register(JobExecutionRequest)
    producer.publish(instance, serializer=request.name)
    consumer = Consumer(channel, queues, accept=[request.content_type])

A task of Celery names its serializer, and the app accepts it beside JSON, in which Celery writes results and the
messages of its remote control::

    task = register_task(JobExecutionRequest)
    app.conf.accept_content = ["json", task.name]

    @app.task(serializer=task.name)
    def run_job(request): ...

What is wrong with a body ends in `kombu.exceptions.DecodeError`, caused by a `ContractError`. One thing kombu does not
ask a serializer about: an empty body, which it hands on as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import attrs

from ..converter import converter

try:
    from kombu.serialization import registry
except ModuleNotFoundError:
    raise ImportError(
        "cicd_common.integrations.kombu needs kombu, which is not installed; the extra 'kombu' brings it: "
        "pip install 'cicd-common[kombu]'"
    ) from None

__all__ = ["Serializer", "register", "register_task"]


@attrs.frozen
class Serializer:
    """What a serializer is called.

    Attributes:
        name: The name by which kombu and Celery know it: ``cicd-common.JobStatusUpdate``.
        content_type: The content type of its messages: ``application/vnd.cicd-common.job-status-update+json``.
    """

    name: str
    content_type: str


_VENDOR = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_registered: dict[str, type] = {}


def register(cls: type, *, vendor: str = "cicd-common") -> Serializer:
    """Register a serializer for instances of a class with kombu. To do it again changes nothing.

    Kombu has one reader for each content type in a process. Where two copies of this package meet in one process, the
    second one registers its types under a ``vendor`` of its own, on both sides of the broker.

    Args:
        cls: A contract type, or an attrs class of one's own.
        vendor: Whose content types these are: lower case letters, digits and hyphens.

    Returns:
        Its name and content type.

    Raises:
        TypeError: ``cls`` is no attrs class.
        ValueError: Something else is registered under the name already, or ``vendor`` is no such name.
    """
    return _register(cls, vendor, "", lambda body: body, lambda instance: instance)


def register_task(cls: type, *, vendor: str = "cicd-common") -> Serializer:
    """Register a serializer for Celery tasks with one argument, an instance of a class. To do it again changes nothing.

    The task gets the instance as its only argument. It speaks version 2 of Celery's message protocol. What Celery
    would add to the body cannot travel: callbacks, chains and chords are refused when they are sent.

    Args:
        cls: A contract type, or an attrs class of one's own.
        vendor: As for `register`.

    Returns:
        Its name and content type, which are other ones than those of `register`.

    Raises:
        TypeError: ``cls`` is no attrs class.
        ValueError: Something else is registered under the name already, or ``vendor`` is no such name.
    """
    return _register(cls, vendor, ".task", _only_argument, lambda instance: ((instance,), {}, {}))


def _register(
    cls: type, vendor: str, suffix: str, unwrap: Callable[[Any], Any], wrap: Callable[[Any], Any]
) -> Serializer:
    if not isinstance(cls, type) or not attrs.has(cls):
        raise TypeError("expected an attrs class")
    if not _VENDOR.fullmatch(vendor):
        raise ValueError("expected a vendor of lower case letters, digits and hyphens")
    serializer = Serializer(f"{vendor}.{cls.__name__}{suffix}", f"application/vnd.{vendor}.{_kebab(cls)}{suffix}+json")
    if _registered.get(serializer.name) is cls:
        return serializer
    if serializer.name in registry.name_to_type or serializer.content_type in registry.type_to_name:
        raise ValueError(
            f"something else is registered as {serializer.name} already; "
            "another copy of this package needs a vendor of its own"
        )

    def encode(body: Any) -> bytes:
        instance = unwrap(body)
        # Not a subclass: the reader would not get back what was sent.
        if instance.__class__ is not cls:
            raise TypeError(f"expected one {cls.__name__}")
        return converter.dumps(instance)

    def decode(data: Any) -> Any:
        return wrap(converter.loads(data, cls))

    registry.register(serializer.name, encode, decode, serializer.content_type)  # type: ignore[no-untyped-call]
    _registered[serializer.name] = cls
    return serializer


def _only_argument(body: Any) -> Any:
    """Unwrap the body of a task, of version 2 of Celery's protocol."""
    match body:
        case ([argument], kwargs, embed) if not kwargs:
            pass
        case _:
            raise TypeError("expected a task with one positional argument and no others")
    if not isinstance(embed, dict) or any(embed.values()):
        raise TypeError("expected a task without callbacks, errbacks, chain and chord")
    return argument


def _kebab(cls: type) -> str:
    """``JobDTO`` becomes ``job-dto``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", cls.__name__).lower()
