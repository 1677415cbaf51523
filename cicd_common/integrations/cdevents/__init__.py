"""Events of CDEvents 0.5.1, as CloudEvents over HTTP. Needs the extra ``cdevents``."""

from . import _extra as _extra
from .delivery import DeliveryError, EventSender, from_http, to_cloudevent, to_http
from .event import SPEC_VERSION, CDEvent, read
from .mapping import artifact_events, events
from .rebuild import execution_of

__all__ = [
    "SPEC_VERSION",
    "CDEvent",
    "DeliveryError",
    "EventSender",
    "artifact_events",
    "events",
    "execution_of",
    "from_http",
    "read",
    "to_cloudevent",
    "to_http",
]
