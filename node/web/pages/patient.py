"""`/patient`: from an id, or accession number, that somebody types to the address of a list of what is of that patient.

It comes in the body of a form and goes nowhere: the address has a key of the patient, or study uids, in its place.
"""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from node.config import Settings
from node.security.patient_key import PatientKeys

LISTS = {"jobs": "/", "studies": "/studies"}


class PatientSearch:
    """One address, which the forms on each list ask. find_numbered: accession number -> Study Instance UIDs."""

    def __init__(self, settings: Settings, find_numbered: Callable[[str], list[str]]) -> None:
        self._keys = PatientKeys(settings.node.home)
        self._find_numbered = find_numbered

    def find(self, _request: Request, form: dict[str, str]) -> Response:
        """POST /patient: to the list that it was asked from."""
        if number := form.get("accession_number", "").strip():
            return RedirectResponse(f"/studies?among={','.join(self._find_numbered(number)) or '0'}", 303)
        place = LISTS.get(form.get("list", ""), "/studies")
        key = self._keys.derive(form.get("patient_id", ""))
        return RedirectResponse(f"{place}?patient={key}" if key else place, 303)
