"""A program that prints its arguments, environment, files and signals as JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading


def main() -> None:
    found = {
        "arguments": sys.argv[1:],
        "command": sys.orig_argv[1:],
        "main": sys.modules["__main__"].__spec__.name,  # type: ignore[union-attr]
        "directory": os.getcwd(),
        "environment": dict(os.environ),
        "files": {name: os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")[:-1]},
        "group": os.getpgid(0),
        "session": os.getsid(0),
        "handlers": {each.name: str(signal.getsignal(each)) for each in signal.Signals},
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "threads": threading.active_count(),
        "is main thread": threading.current_thread() is threading.main_thread(),
        "umask": os.umask(0o22),
        "encoding": (sys.stdout.encoding, sys.stdout.errors, sys.stderr.errors),
        "input": sys.stdin.read(),
    }
    sys.stdout.write(json.dumps(found))
    sys.stderr.write("to the errors\n")
    sys.exit(7)


if __name__ == "__main__":
    main()
