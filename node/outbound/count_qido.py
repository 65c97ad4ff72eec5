"""The count of a study by QIDO-RS (PS3.18 10.6): the study with Number of Study Related Instances (0020,1208).

A server that leaves that out, or that may have results of ours in the study, is asked for the instances, page by page.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from node.errors import PeerRefused, PeerUnreachable
from node.model.expectation import Count, Question
from node.outbound.stow_answer import JSON, read_body, read_json

PATIENCE = 10.0
"""Seconds that a server may be silent, and for each answer as a whole."""

PAGE = 1000
STUDY, SERIES, INSTANCE, NUMBER, MODALITY = "0020000D", "0020000E", "00080018", "00201208", "00080060"
OK, NO_CONTENT = 200, 204


def count_by_qido(client: httpx.Client, root: str, question: Question, modalities: frozenset[str]) -> Count:
    """Instances of the study at the server, without our own; of series of `modalities` alone, where there are some.
    root: of its DICOMweb services.

    Raises PeerRefused when it answers with an error or does not list the study, PeerUnreachable when it does not
    answer.
    """
    root, uid = root.rstrip("/"), question.study_uid
    found = _get(client, f"{root}/studies", {"StudyInstanceUID": uid, "includefield": NUMBER})
    study = next((match for match in found if _read(match, STUDY) in (uid, None)), None)
    if study is None:
        raise PeerRefused("it does not list the study")
    place = f"{root}/studies/{uid}"
    if modalities:
        listed = _list(client, f"{place}/series", SERIES)
        series = tuple(one for one, match in listed.items() if _read(match, MODALITY) in modalities)
        if not series:
            raise PeerRefused("it lists no series of count_modalities")
        held = {image for one in series for image in _list(client, f"{place}/series/{one}/instances", INSTANCE)}
        return Count(len(held - question.ours), series)
    number = str(_read(study, NUMBER))
    if not question.ours and number.isdecimal():
        return Count(int(number))
    return Count(len(_list(client, f"{place}/instances", INSTANCE).keys() - question.ours))


def _list(client: httpx.Client, address: str, key: str) -> dict[str, Mapping[str, Any]]:
    """All matches by their UID at `key`. A server without pages says the same again: nothing new ends the list."""
    held: dict[str, Mapping[str, Any]] = {}
    while True:
        page = {str(_read(one, key)): one for one in _get(client, address, {"limit": PAGE, "offset": len(held)})}
        if page.keys() <= held.keys():
            return held
        held |= page


def _get(client: httpx.Client, address: str, query: Mapping[str, str | int]) -> Sequence[Mapping[str, Any]]:
    try:
        with client.stream("GET", address, params=query, headers={"Accept": JSON}) as response:
            status, text = response.status_code, read_body(response, PATIENCE)
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise PeerUnreachable(f"no answer to QIDO-RS ({type(error).__name__})") from None
    if status not in {OK, NO_CONTENT}:
        raise PeerRefused(f"it answers QIDO-RS with HTTP {status}")
    found = read_json(text) if text.strip() else []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise PeerRefused("its answer to QIDO-RS is no list of data sets")
    return found


def _read(dataset: Mapping[str, Any], tag: str) -> Any:
    """The first value of an attribute in the DICOM JSON model (PS3.18 F.2); None when it is absent or empty."""
    element = dataset.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None
