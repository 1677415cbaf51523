"""Values whose contents have no meaning to this package: JSON objects and environments."""

from ..fields.types import Kind
from .canonical import with_canonical_exponents
from .json_object import Environment, JsonObject, read_json_object
from .normalizing import MAX_BYTES, MAX_INTEGER, MAX_LEVELS, encode_usual

__all__ = [
    "MAX_BYTES",
    "MAX_INTEGER",
    "MAX_LEVELS",
    "Environment",
    "JsonObject",
    "Kind",
    "encode_usual",
    "read_json_object",
    "with_canonical_exponents",
]
