"""Contract types as messages of kombu and as tasks of Celery. Needs the extra ``kombu``.

The body of a message is the JSON of one instance, as `converter.dumps` writes it. The content type names the class. A
consumer accepts only the content types that it expects::

    request = register(JobExecutionRequest)
    producer.publish(instance, serializer=request.name)
    consumer = Consumer(channel, queues, accept=[request.content_type])

A task of Celery names its serializer. The app also accepts JSON, in which Celery writes results and the messages of its
remote control::

    task = register_task(JobExecutionRequest)
    app.conf.accept_content = ["json", task.name]

    @app.task(serializer=task.name)
    def run_job(request): ...

A wrong body raises a `kombu.exceptions.DecodeError`, caused by a `ContractError`. Kombu passes an empty body on without
calling the serializer.
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
    """The names of a serializer.

    Attributes:
        name: The name for kombu and Celery: ``cicd-common.JobStatusUpdate``.
        content_type: The content type of its messages: ``application/vnd.cicd-common.job-status-update+json``.
    """

    name: str
    content_type: str


_VENDOR = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_registered: dict[str, type] = {}


def register(cls: type, *, vendor: str = "cicd-common") -> Serializer:
    """Register a serializer for instances of a class with kombu. A second call changes nothing.

    Kombu has one reader for each content type in a process. If two copies of this package are in one process, the
    second one registers its types under another ``vendor``, on both sides of the broker.

    Args:
        cls: A contract type, or any other attrs class.
        vendor: The vendor in the content types: lower case letters, digits and hyphens.

    Returns:
        The name and the content type of the serializer.

    Raises:
        TypeError: ``cls`` is no attrs class.
        ValueError: Another serializer has the name or the content type, or ``vendor`` has other characters.
    """
    return _register(cls, vendor, "", lambda body: body, lambda instance: instance)


def register_task(cls: type, *, vendor: str = "cicd-common") -> Serializer:
    """Register a serializer for Celery tasks with one argument, an instance of a class. A second call changes nothing.

    The serializer reads and writes version 2 of Celery's message protocol. The body has room for the instance alone, so
    callbacks, chains and chords are refused when they are sent.

    Args:
        cls: A contract type, or any other attrs class.
        vendor: As for `register`.

    Returns:
        The name and the content type of the serializer, which differ from those of `register`.

    Raises:
        TypeError: ``cls`` is no attrs class.
        ValueError: Another serializer has the name or the content type, or ``vendor`` has other characters.
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
        # No instance of a subclass: the reader would make an instance of ``cls``.
        if instance.__class__ is not cls:
            raise TypeError(f"expected one {cls.__name__}")
        return converter.dumps(instance)

    def decode(data: Any) -> Any:
        return wrap(converter.loads(data, cls))

    registry.register(serializer.name, encode, decode, serializer.content_type)  # type: ignore[no-untyped-call]
    _registered[serializer.name] = cls
    return serializer


def _only_argument(body: Any) -> Any:
    """Return the only argument in the body of a task, of version 2 of Celery's protocol."""
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
