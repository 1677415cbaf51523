"""The command line: ``python -m cicd_common``, installed as ``cicd-common``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from .schema import Change, Effect, compare, contract_types, schema

__all__ = ["main"]

_ALLOWED = {"old-writers": Effect.OLD_WRITERS, "old-readers": Effect.OLD_READERS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The arguments; those of the process by default.

    Returns:
        The exit code: 1 if a change breaks old programs, else 0. Wrong arguments, unreadable files and an output that
        cannot be written exit with 2.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)  # type: ignore[no-any-return]
    except (OSError, TypeError, ValueError) as error:
        sys.stderr.write(f"cicd-common: error: {error}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cicd-common", description="Tools for the contract of a CI/CD system.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("schema", help="print JSON Schema", description="Print JSON Schema, draft 2020-12.")
    command.add_argument(
        "type",
        nargs="?",
        type=_type,
        metavar="TYPE",
        help="a type of the contract, or module:name for another class; all types of the contract by default",
    )
    command.set_defaults(run=_schema)

    command = commands.add_parser(
        "compare",
        help="say what changed between two schemas, and what that breaks",
        description="Say what changed between two schemas. Exit with 1 if a change breaks something.",
    )
    source = "a file that 'schema' printed, or - for the standard input"
    command.add_argument("old", type=_read, metavar="OLD", help=source)
    command.add_argument(
        "new", type=_read, nargs="?", metavar="NEW", help=f"{source}; the schema of this package by default"
    )
    command.add_argument(
        "--allow", action="append", default=[], choices=_ALLOWED, help="whom changes may break; can be repeated"
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=_compare)
    return parser


def _type(name: str) -> Any:
    """Return the class of a name."""
    module, _, inside = name.rpartition(":")
    if not module:
        types = {cls.__name__: cls for cls in contract_types()}
        if name not in types:
            raise argparse.ArgumentTypeError(f"expected module:name or a type of the contract: {', '.join(types)}")
        return types[name]
    try:
        return getattr(import_module(module), inside)
    except (ImportError, AttributeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _read(name: str) -> Any:
    """Read a schema from a file or the standard input."""
    try:
        return json.loads(sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"cannot read {name}: {error}") from error


def _schema(options: argparse.Namespace) -> int:
    _print(json.dumps(schema(options.type), indent=2))
    return 0


def _compare(options: argparse.Namespace) -> int:
    changes = compare(options.old, schema() if options.new is None else options.new)
    allowed = {_ALLOWED[name] for name in options.allow}
    breaking = [change for change in changes if not allowed.issuperset(change.breaks)]
    _print(json.dumps([_plain(change) for change in changes], indent=2) if options.json else _text(changes, breaking))
    return 1 if breaking else 0


def _plain(change: Change) -> dict[str, Any]:
    return {
        "pointer": change.pointer,
        "kind": change.kind.name,
        "what": change.kind.words,
        "detail": change.detail,
        "effects": list(change.effects),
        "breaks": list(change.breaks),
    }


def _text(changes: Sequence[Change], breaking: Sequence[Change]) -> str:
    blocks = ["\n  ".join((str(change), *(effect.description for effect in change.effects))) for change in changes]
    return "\n".join((*blocks, f"changes: {len(changes)}, breaking and not allowed: {len(breaking)}"))


def _print(text: str) -> None:
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough, as "head" has. Python writes the rest when it exits, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
