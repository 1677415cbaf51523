"""Starlette routes that read the body and return a fixed answer."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ANSWER = (
    b'{"job_execution_id":"7b0f6f4e-4a5c-4c57-9a46-3f6d1a0c2b11","status":"RUNNING",'
    b'"is_cancel_requested":false,"is_superseded":false}'
)


def answer() -> Response:
    return Response(ANSWER, 200, media_type="application/json")


async def inline(request: Request) -> Response:
    await request.body()
    return answer()


async def threaded(request: Request) -> Response:
    """Answer in the thread pool, as is necessary with a blocking store."""
    await request.body()
    return await run_in_threadpool(answer)


def main() -> None:
    (url_file,) = sys.argv[1:]
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    app = Starlette(routes=[Route("/inline", inline, methods=["POST"]), Route("/threaded", threaded, methods=["POST"])])
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", proxy_headers=False, ws="none")
    with open(url_file + ".new", "w") as file:
        file.write(f"http://127.0.0.1:{listener.getsockname()[1]}")
    os.replace(url_file + ".new", url_file)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
