"""Who is asking."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from node.model.role import Role

KEY = "wetread.who"
"""Where the guard leaves it in the ASGI scope."""

NOTES = "wetread.notes"
"""Where an answer leaves what the audit should say beyond its status."""


@dataclass(frozen=True, slots=True)
class Who:
    """name: of the user, "anonymous" for nobody in particular. how: basic, token, session or anonymous."""

    name: str
    role: Role
    address: str
    how: str

    @property
    def is_anonymous(self) -> bool:
        return self.how == "anonymous"


def find_who(connection: HTTPConnection) -> Who:
    """Who asks, as the guard found out. Raises KeyError where no guard stands before: nothing is open by mistake."""
    who = connection.scope[KEY]
    assert isinstance(who, Who)
    return who


def note(connection: HTTPConnection, **details: str | int) -> None:
    """Says in the audit's line of this request what was done; uids and counts, nothing of a patient."""
    connection.scope.setdefault(NOTES, {}).update(details)
