"""The count of a study by QIDO-RS (PS3.18 10.6): the study with Number of Study Related Instances (0020,1208), or all
its instances, page by page, where the server leaves that out or may have results of ours in the study."""

import json
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from node.errors import PeerRefused, PeerUnreachable

PATIENCE = 10.0
"""Seconds that a server may be silent."""

LONGEST = 64 << 20
"""Bytes of an answer that are read."""

PAGE = 1000
STUDY, INSTANCE, NUMBER = "0020000D", "00080018", "00201208"
NO_CONTENT = 204


def count_by_qido(root: str, study_uid: str, ours: frozenset[str]) -> int:
    """Instances of the study at the server, without those in `ours`. root: of its DICOMweb services.

    Raises PeerRefused when it answers with an error or does not list the study, PeerUnreachable when it does not
    answer.
    """
    root = root.rstrip("/")
    found = _get(f"{root}/studies", {"StudyInstanceUID": study_uid, "includefield": NUMBER})
    study = next((match for match in found if _read(match, STUDY) in (study_uid, None)), None)
    if study is None:
        raise PeerRefused("it does not list the study")
    number = str(_read(study, NUMBER))
    if not ours and number.isdecimal():
        return int(number)
    return len(_list_instances(f"{root}/studies/{study_uid}/instances") - ours)


def _list_instances(address: str) -> set[str]:
    """A server that knows no pages says the same again: nothing new ends the list."""
    held: set[str] = set()
    while True:
        page = {str(_read(one, INSTANCE)) for one in _get(address, {"limit": PAGE, "offset": len(held)})}
        if page <= held:
            return held
        held |= page


def _get(address: str, query: Mapping[str, str | int]) -> Sequence[Mapping[str, Any]]:
    request = Request(f"{address}?{urlencode(query)}", headers={"Accept": "application/dicom+json"})  # noqa: S310
    try:
        with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310  the configuration takes http and https alone
            data = b"" if answer.status == NO_CONTENT else answer.read(LONGEST)
        found = json.loads(data or b"[]")
    except HTTPError as error:
        raise PeerRefused(f"it answers QIDO-RS with HTTP {error.code}") from None
    except (OSError, HTTPException) as error:
        raise PeerUnreachable(f"no answer to QIDO-RS ({getattr(error, 'reason', error)})") from None
    except ValueError:
        raise PeerRefused("its answer to QIDO-RS is no DICOM JSON") from None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise PeerRefused("its answer to QIDO-RS is no list of data sets")
    return found


def _read(dataset: Mapping[str, Any], tag: str) -> Any:
    """The first value of an attribute in the DICOM JSON model (PS3.18 F.2); None when it is absent or empty."""
    element = dataset.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None
