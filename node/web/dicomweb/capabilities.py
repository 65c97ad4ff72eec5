"""What this service does, as WADL (PS3.18 8.9)."""

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from starlette.requests import Request
from starlette.responses import Response

from node.web.dicomweb.media import choose, read_accept

WADL = "application/vnd.sun.wadl+xml"
OFFERS = ((WADL, False), ("application/xml", False), ("text/xml", False))


def answer_capabilities(request: Request, root: str, services: Sequence[tuple[str, str, str]]) -> Response:
    """services: (path, method, name) of each transaction."""
    kind = choose(read_accept(request), OFFERS)[0]
    resources: dict[str, list[str]] = {}
    for path, method, name in services:
        resources.setdefault(path, []).append(f"<method name={quoteattr(method)} id={quoteattr(name)}/>")
    body = "".join(
        f"<resource path={quoteattr(path.lstrip('/'))}>{''.join(methods)}</resource>"
        for path, methods in sorted(resources.items())
    )
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><application xmlns="http://wadl.dev.java.net/2009/02">'
        f"<resources base={quoteattr(root)}>{body}</resources></application>"
    )
    return Response(text, media_type=kind)
