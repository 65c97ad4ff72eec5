"""A request that is not served, said to the client (PS3.18 8.5, RFC 9457)."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from node.errors import OutOfResources, WetreadError


class Problem(WetreadError):
    """Ends a request with `status` and a sentence; the sentence quotes no value of a dataset but uids."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


def answer_problem(_request: Request, error: Exception) -> Response:
    """A Problem as application/problem+json; what a file or the node itself cannot do as 500 or 503."""
    if isinstance(error, Problem):
        status, detail = error.status, error.detail
    elif isinstance(error, OutOfResources):
        status, detail = 503, "out of resources"
    else:
        status, detail = 500, str(error) if isinstance(error, WetreadError) else "the node failed"
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(content, status, media_type="application/problem+json")
