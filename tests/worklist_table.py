"""PS3.4 Table CC.1.1-2 and the rules for N-SET, with the answers of PS3.18 chapter 11, for the tests of every wire."""

UID, LOCK, OTHER = "1.2.826.1", "2.25.11", "2.25.22"
STATES = ("absent", "SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED")

CELLS = """
create             | 0000 201 | 0111 409 | 0111 409 | 0111 409 | 0111 409
claim, right       | C307 404 | 0000 200 | C302 409 | C300 409 | C300 409
claim, none        | C307 404 | C301 400 | C301 400 | C301 400 | C301 400
claim, other       | C307 404 | -        | C301 400 | C301 400 | C301 400
schedule, right    | C307 404 | C303 409 | C303 409 | C303 409 | C303 409
schedule, none     | C307 404 | C303 409 | C303 409 | C303 409 | C303 409
complete, right    | C307 404 | C310 409 | 0000 200 | B306 200 | C300 409
complete, none     | C307 404 | C301 400 | C301 400 | C301 400 | C301 400
complete, other    | C307 404 | -        | C301 400 | C301 400 | C301 400
cancel, right      | C307 404 | C310 409 | 0000 200 | C300 409 | B304 200
cancel, none       | C307 404 | C301 400 | C301 400 | C301 400 | C301 400
cancel, other      | C307 404 | -        | C301 400 | C301 400 | C301 400
ask to cancel      | C307 404 | 0000 202 | 0000 202 | C311 409 | B304 202
set, right         | C307 404 | C310 409 | 0000 200 | C300 400 | C300 400
set, none          | C307 404 | 0000 200 | C301 400 | C300 400 | C300 400
set, other         | C307 404 | -        | C301 400 | C300 400 | C300 400
"""
"""DIMSE status and HTTP status for each state; "-": of a workitem that nobody holds no Transaction UID is another."""

ROWS = [[part.strip() for part in line.split("|")] for line in CELLS.strip().splitlines()]
AFTER = {
    ("create", "absent"): "SCHEDULED",
    ("claim, right", "SCHEDULED"): "IN PROGRESS",
    ("complete, right", "IN PROGRESS"): "COMPLETED",
    ("cancel, right", "IN PROGRESS"): "CANCELED",
    ("ask to cancel", "SCHEDULED"): "CANCELED",
}
WARNINGS = {
    "B304": "The UPS is already in the requested state of CANCELED.",
    "B306": "The UPS is already in the requested state of COMPLETED.",
    "C300": "The submitted request is inconsistent with the state of the UPS Instance.",
    "C302": "The submitted request is inconsistent with the state of the UPS Instance.",
    "C303": "The submitted request is inconsistent with the state of the UPS Instance.",
    "C310": "The submitted request is inconsistent with the state of the UPS Instance.",
    "C311": "The submitted request is inconsistent with the state of the UPS Instance.",
    "C301 none": "The Transaction UID is missing.",
    "C301 other": "The Transaction UID is incorrect.",
    "set C300": "The submitted request is inconsistent with the current state of the Workitem.",
    "set C301": "The submitted request is inconsistent with the current state of the Workitem.",
    "set C310": "The target URI did not reference a claimed Workitem.",
}
"""PS3.18 11.6.3.2, 11.7.3.2, 11.8.3.2"""
STATE_WORDS = {"claim": "IN PROGRESS", "schedule": "SCHEDULED", "complete": "COMPLETED", "cancel": "CANCELED"}
LOCKS = {"right": LOCK, "none": "", "other": OTHER}


def find_warning(request, code):
    """The Warning header's text."""
    verb, _, which = request.partition(", ")
    return WARNINGS.get(f"{verb} {code}") or WARNINGS.get(f"{code} {which}") or WARNINGS.get(code, "")
