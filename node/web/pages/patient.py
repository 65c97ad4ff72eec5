"""`/patient`: from an id that somebody types to the address of a list that shows what is of that patient.

The id comes in the body of a form and goes nowhere: the address has a key in its place.
"""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from node.config import Settings
from node.security.patient_key import PatientKeys

LISTS = {"jobs": "/", "studies": "/studies"}


class PatientSearch:
    """One address, which a form on each list asks."""

    def __init__(self, settings: Settings) -> None:
        self._keys = PatientKeys(settings.node.home)

    def find(self, _request: Request, form: dict[str, str]) -> Response:
        """POST /patient: to the list that it was asked from."""
        place = LISTS.get(form.get("list", ""), "/studies")
        key = self._keys.derive(form.get("patient_id", ""))
        return RedirectResponse(f"{place}?patient={key}" if key else place, 303)
