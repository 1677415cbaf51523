"""Write the pages of the reference that are made from the code: ``python docs/generate.py``.

``scripts/docs`` runs this before Sphinx. The pages are in ``docs/reference/_generated``, which git ignores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cicd_common.schema import contract_types, schema

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "reference" / "_generated"
COMMANDS = {
    "cicd-common schema": ["cicd_common", "schema"],
    "cicd-common compare": ["cicd_common", "compare"],
    "python -m cicd_common.store upgrade": ["cicd_common.store", "upgrade"],
    "python -m cicd_system.backend": ["cicd_system.backend"],
    "python -m cicd_system.worker": ["cicd_system.worker"],
    "scripts/cicd": ["cicd_system.cli"],
    "scripts/cicd check": ["cicd_system.cli", "check"],
    "scripts/cicd run": ["cicd_system.cli", "run"],
    "scripts/cicd runs": ["cicd_system.cli", "runs"],
    "scripts/cicd report": ["cicd_system.cli", "report"],
    "scripts/demo": ["cicd_system.demo"],
}
_BOUNDS = {"minimum": "at least", "maximum": "at most"}
_64_BITS = 2**63
_FORMATS = {"uuid": "UUID", "date-time": "time"}


def tables() -> str:
    """A table of fields for each type of the contract, by the modules that define them."""
    types = schema()["$defs"]
    modules: dict[str, list[str]] = {}
    for cls in contract_types():
        modules.setdefault(cls.__module__, []).append(cls.__name__)
    listed = {name for names in modules.values() for name in names}
    modules["values and enums"] = [name for name in types if name not in listed]
    return "\n".join(
        line
        for module, names in modules.items()
        for line in (f"## {module}", "", *(each for name in names for each in _table(name, types[name])))
    )


def _table(name: str, type: Mapping[str, Any]) -> Iterator[str]:
    """The section on a type."""
    yield from (f"### {name}", "", type.get("description", ""), "")
    if "properties" in type:
        required = type.get("required", ())
        yield from ("| field | JSON | default | description |", "| --- | --- | --- | --- |")
        for field, node in type["properties"].items():
            default = f"`{json.dumps(node['default'])}`" if "default" in node else "new"
            default = "required" if field in required else default
            cells = [f"`{field}`", json_type(node), default, node.get("description", "")]
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
        yield ""


def json_type(node: Mapping[str, Any]) -> str:
    """What a field may hold, in a few words.

    Args:
        node: The schema of the field.
    """
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in node:
        return " or ".join(json_type(each) for each in node["anyOf"])
    if node["type"] == "array":
        least = ", at least one" if node.get("minItems") else ""
        return f"array of {json_type(node['items'])}{least}"
    if node["type"] == "integer":
        bounds = [f"{word} {node[key]}" for key, word in _BOUNDS.items() if abs(node[key]) < _64_BITS - 1]
        return ", ".join(["integer", *bounds])
    if node.get("maxLength") == 255:
        return "[name](../explanation/wire.md#names)"
    return _FORMATS.get(node.get("format", ""), node["type"])


def helps() -> str:
    """The help of every command."""
    return "\n".join(
        line
        for title, arguments in COMMANDS.items()
        for line in (f"## {title}", "", "```text", help_of(arguments).strip(), "```", "")
    )


def help_of(arguments: list[str]) -> str:
    """What a command says about itself.

    Args:
        arguments: The module of the command, and what stands before ``--help``.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT / "examples"), "COLUMNS": "100"}
    command = [sys.executable, "-m", *arguments, "--help"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def main() -> None:
    """Write the pages."""
    TARGET.mkdir(exist_ok=True)
    (TARGET / "wire.md").write_text(tables(), encoding="utf-8")
    (TARGET / "commands.md").write_text(helps(), encoding="utf-8")


if __name__ == "__main__":
    main()
