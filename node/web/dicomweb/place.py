"""Which address of this server a client sees."""

from starlette.requests import Request

NEAR = frozenset({"127.0.0.1", "::1", "localhost"})
APART = "wetread.apart"
"""In the scope of what came by a port that is an origin of its own, whose pages may read from no other address."""


def find_root(request: Request, public_url: str) -> str:
    """Address of this server, without a slash at its end: `web.public_url` where it is set, as behind a proxy, else
    as the request came.

    Some clients leave the port out of their Host header (seen in dicomweb-client 0.61.2). Where that names the very
    address that was called, no proxy stands between, and the port is the one that was called too.
    """
    if public_url and APART not in request.scope:
        return public_url.rstrip("/")
    url = request.base_url
    server, port = request.scope.get("server") or ("", None)
    called = {server} | (NEAR if server in NEAR else frozenset())
    if url.port is None and port and url.hostname in called:
        url = url.replace(port=port)
    return str(url).rstrip("/")
