"""Routes that receive and send the contents of artifacts by their SHA-256, in chunks."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from cicd_common.artifacts import ArtifactStore

from .guard import arriving

__all__ = ["MAX_CONTENT", "content_routes"]

MAX_CONTENT = 4 * 1024**3
"""The largest content of an artifact, in bytes."""

_PATH = "/api/artifact/{sha256}"


def content_routes(contents: ArtifactStore) -> list[Route]:
    """Make the routes: ``PUT`` stores content, ``GET`` returns it, ``HEAD`` says whether it is stored.

    Content that is stored already is not stored again.

    Args:
        contents: The store of contents. It is not closed.
    """

    async def put(request: Request) -> Response:
        sha256 = request.path_params["sha256"]
        announced = request.headers.get("content-length", "")
        if not (announced.isascii() and announced.isdigit()):
            raise HTTPException(411, "Expected a Content-Length.")
        if int(announced[:20]) > MAX_CONTENT:
            raise HTTPException(413, f"Expected content of at most {MAX_CONTENT} bytes.", {"Connection": "close"})
        writer = await run_in_threadpool(contents.writer, sha256=sha256, size=int(announced))
        try:
            async for chunk in arriving(request):
                await run_in_threadpool(writer.write, chunk)
            await run_in_threadpool(writer.commit)
        finally:
            await run_in_threadpool(writer.discard)  # After a commit this does nothing.
        return Response(status_code=204)

    async def get(request: Request) -> Response:
        sha256 = request.path_params["sha256"]
        size = await run_in_threadpool(contents.size, sha256)
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        if request.method == "HEAD":
            return Response(headers=headers)
        return StreamingResponse(contents.read(sha256), headers=headers)

    return [Route(_PATH, put, methods=["PUT"]), Route(_PATH, get, methods=["GET"])]
