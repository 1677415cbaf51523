"""A Backend that stores what is logged, and kills itself: ``python -m tests.support.log_backend URL DEATHS``.

It is killed at each third request, before it stores the logs or after it, but before it answers, for as long as it has
deaths left. It prints its port once it listens.
"""

from __future__ import annotations

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from cicd_common import loads
from cicd_common.api.request import ExecutionLogUpload
from cicd_common.store import ExecutionStore


def main(url: str, deaths: int) -> None:
    store = ExecutionStore(url)
    requests = 0

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal requests
            requests += 1
            upload = loads(self.rfile.read(int(self.headers["Content-Length"])), ExecutionLogUpload)
            if requests == 3 and deaths % 2:
                os.kill(os.getpid(), signal.SIGKILL)
            store.add_logs(upload)
            if requests == 3 and deaths:
                os.kill(os.getpid(), signal.SIGKILL)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
