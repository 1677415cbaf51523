"""The messages as dataclasses with the codecs of mashumaro.

As its README advises, the codecs are made once. mashumaro converts values and does not validate them.
"""

from __future__ import annotations

from typing import Any

from mashumaro.codecs.json import JSONDecoder, JSONEncoder
from mashumaro.codecs.orjson import ORJSONDecoder, ORJSONEncoder

from . import dataclass_models
from .contender import Contender

__all__ = ["CONTENDERS"]


def _with_json(name: str) -> dict[str, Any]:
    cls = getattr(dataclass_models, name)
    return {"read": JSONDecoder(cls).decode, "write": JSONEncoder(cls).encode}


def _with_orjson(name: str) -> dict[str, Any]:
    cls = getattr(dataclass_models, name)
    return {"read": ORJSONDecoder(cls).decode, "write": ORJSONEncoder(cls).encode}


CONTENDERS = [
    Contender("mashumaro, json", _with_json, write="write(obj).encode()"),
    Contender("mashumaro, orjson", _with_orjson),
]
