"""A Backend that stores uploaded logs and kills itself: ``python -m tests.support.log_backend URL DEATHS``.

If DEATHS is not 0, it kills itself at its third request: before it stores the logs if DEATHS is odd, otherwise after
that and before it answers. It prints its port when it listens.
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
            """Write no log."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
