"""Contract types as messages of kombu and as tasks of Celery. Needs the extra ``kombu``.

The body of a message is the JSON of one instance, as `converter.dumps` writes it, and nothing else; its content type
says of which class. Who consumes accepts the content types that it expects, and no other::

    request = register(JobExecutionRequest)
    producer.publish(instance, serializer=request.name)
    consumer = Consumer(channel, queues, accept=[request.content_type])

    task = register_task(JobExecutionRequest)
    app.conf.update(task_serializer=task.name, accept_content=[task.name])

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
        name: The name by which kombu and Celery know it: ``cicd.JobStatusUpdate``.
        content_type: The content type of its messages: ``application/vnd.cicd-common.job-status-update+json``.
    """

    name: str
    content_type: str


_registered: dict[str, type] = {}


def register(cls: type) -> Serializer:
    """Register a serializer for instances of a class with kombu. To do it again changes nothing.

    Args:
        cls: A contract type, or an attrs class of one's own.

    Returns:
        Its name and content type.

    Raises:
        TypeError: ``cls`` is no attrs class.
        ValueError: Something else is registered under the name already.
    """
    return _register(cls, "", lambda body: body, lambda instance: instance)


def register_task(cls: type) -> Serializer:
    """Register a serializer for Celery tasks with one argument, an instance of a class. To do it again changes nothing.

    The task gets the instance as its only argument. It speaks version 2 of Celery's message protocol. What Celery
    would add to the body cannot travel: callbacks, chains and chords are refused when they are sent.

    Args:
        cls: A contract type, or an attrs class of one's own.

    Returns:
        Its name and content type, which are other ones than those of `register`.

    Raises:
        TypeError: ``cls`` is no attrs class.
        ValueError: Something else is registered under the name already.
    """
    return _register(cls, ".task", _only_argument, lambda instance: ((instance,), {}, {}))


def _register(cls: type, suffix: str, unwrap: Callable[[Any], Any], wrap: Callable[[Any], Any]) -> Serializer:
    if not isinstance(cls, type) or not attrs.has(cls):
        raise TypeError("expected an attrs class")
    serializer = Serializer(f"cicd.{cls.__name__}{suffix}", f"application/vnd.cicd-common.{_kebab(cls)}{suffix}+json")
    if _registered.get(serializer.name) is cls:
        return serializer
    if serializer.name in registry.name_to_type or serializer.content_type in registry.type_to_name:
        raise ValueError(f"something else is registered as {serializer.name} already")

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
