"""Pages of other sites that may ask this service by a browser (Fetch Standard, CORS protocol)."""

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

TOLD = ["Content-Location", "Content-Type", "ETag", "Location", "Warning"]
"""Headers of an answer that such a page may read."""


def make_cors(origins: Sequence[str]) -> list[Middleware]:
    """To stand before everything that asks who it is: a browser asks for leave without saying so."""
    if not origins:
        return []
    methods = ["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"]
    headers = ["Accept", "Authorization", "Content-Type"]
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=methods,
            allow_headers=headers,
            allow_credentials=True,
            expose_headers=TOLD,
        )
    ]
