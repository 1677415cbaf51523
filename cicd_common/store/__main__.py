"""The command that upgrades a database: ``python -m cicd_common.store upgrade URL``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import ExecutionStore, StoreError


def main(arguments: Sequence[str] | None = None) -> int:
    """Upgrade the store's tables in a database; make them if there are none.

    Args:
        arguments: The arguments of the command; those of the process by default.

    Returns:
        0, or 1 if the database fails.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description="Manage a database of the store.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    upgrade = commands.add_parser("upgrade", help="upgrade the tables to those of this version of the package")
    upgrade.add_argument("url", metavar="URL", help="the SQLAlchemy URL of the database")
    given = parser.parse_args(arguments)
    try:
        ExecutionStore(given.url, upgrade=True).close()
    except StoreError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":  # pragma: no cover - a test runs it in another process
    sys.exit(main())
