"""A request that is refused, with what the client should do about it."""

from starlette.requests import Request
from starlette.responses import Response

from node.web.dicomweb.problem import Problem, answer_problem


class Refusal(Problem):
    """A Problem with headers. retry_after: seconds, for 429 and 503. challenge: 401 asks for credentials by it.

    close: the connection ends with the answer, since the rest of the body is not read.
    """

    def __init__(
        self, status: int, detail: str, *, retry_after: int = 0, challenge: str = "", close: bool = False
    ) -> None:
        super().__init__(status, detail)
        headers = {
            "Retry-After": str(retry_after or ""),
            "WWW-Authenticate": challenge,
            "Connection": "close" if close else "",
        }
        self.headers = {name: value for name, value in headers.items() if value}


def answer_refusal(request: Request, error: Problem) -> Response:
    """application/problem+json with the refusal's headers."""
    response = answer_problem(request, error)
    if isinstance(error, Refusal):
        response.headers.update(error.headers)
    return response
