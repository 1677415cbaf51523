"""The contenders: this package and its peers, each peer in its own module."""

from __future__ import annotations

import json
from typing import Any

from cicd_common import dto, make_converter, model
from cicd_common.api import request, response
from cicd_common.converter import Engine

from . import adaptix_retort, cattrs_classes, mashumaro_codecs, msgspec_structs, pydantic_models
from .contender import Contender

__all__ = ["BARE", "OURS", "PEERS", "Contender"]

_TYPES = {**vars(model), **vars(dto), **vars(response), **vars(request)}


def _ours(engine: Engine) -> Contender:
    converter = make_converter(engine)

    def prepare(name: str) -> dict[str, Any]:
        return {"loads": converter.loads, "dumps": converter.dumps, "cls": _TYPES[name]}

    return Contender(engine, prepare, "loads(text, cls)", "dumps(obj)")


def _plain(_: str) -> dict[str, Any]:
    return {"loads": json.loads, "dumps": json.dumps}


OURS = [_ours("msgspec"), _ours("json")]
PEERS = [
    *pydantic_models.CONTENDERS,
    *msgspec_structs.CONTENDERS,
    *mashumaro_codecs.CONTENDERS,
    *adaptix_retort.CONTENDERS,
    *cattrs_classes.CONTENDERS,
]
# The bare parser shows how its time grows with the size of the document.
BARE = Contender("json.loads and json.dumps alone", _plain, "loads(text)", "dumps(obj).encode()")
