"""Whether a workitem is for us, and by which route: the claim guard of IHE AIW-I 4.82.4.1.1.

In:  a workitem as a DICOM JSON model.   Out: the route that reads it, or None.
"""

from collections.abc import Mapping
from typing import Any

from node.config import Settings
from node.dicom.model_values import find_values
from node.dicom.refusal import SCHEME
from node.model.workitem import Readiness
from node.sections import Route


def find_route(model: Mapping[str, Any], settings: Settings) -> Route | None:
    """By Scheduled Workitem Code (the pipeline's name, 99WETREAD; a long one as Long Code Value), else by a Worklist
    Label that is a route's name."""
    codes = (model.get("00404018") or {}).get("Value", ())
    pairs = {
        (find_first(code, "00080100") or find_first(code, "00080119"), find_first(code, "00080102"))
        for code in codes
        if isinstance(code, dict)
    }
    label = find_first(model, "00741202")
    by_code = (route for route in settings.routes if (route.pipeline, SCHEME) in pairs)
    by_label = (route for route in settings.routes if route.name == label)
    return next(by_code, None) or next(by_label, None)


def is_ours(model: Mapping[str, Any], *titles: str) -> bool:
    """Scheduled for nobody but the stations `titles`, and its inputs said to be ready."""
    stations = find_values(model, ["00404025", "00080100"])
    if stations and not set(stations) & set(titles):
        return False
    return not find_values(model, ["00404034"]) and find_first(model, "00404041") == Readiness.READY


def find_first(model: Mapping[str, Any], tag: str) -> str:
    """The first value of an attribute as text; "" without one."""
    return str(next(iter(find_values(model, [tag])), ""))
