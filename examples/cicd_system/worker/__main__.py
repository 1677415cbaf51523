"""Run a Worker: ``python -m cicd_system.worker``."""

from __future__ import annotations

from ..environment import conceal


def main() -> None:
    """Run a Worker. It starts anew with less in its environment, so what takes long to load is loaded afterwards."""
    own = conceal()
    from .program import run

    run(own)


if __name__ == "__main__":
    main()
