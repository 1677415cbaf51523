"""The check of a Backend's URL and token, before the first request."""

from __future__ import annotations

import httpx

__all__ = ["check_endpoint"]


def check_endpoint(url: str, token: str | None) -> None:
    """Check that requests can be sent to a Backend.

    Args:
        url: The URL of the Backend.
        token: The bearer token; None if there is none.

    Raises:
        ValueError: The URL is not an HTTP URL, or a header cannot contain the token.
    """
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        raise ValueError("expected printable characters of ASCII without blanks in the token")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("expected the Backend's URL to begin with http:// or https:// and a host")
