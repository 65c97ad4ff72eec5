"""The count of a study by C-FIND, Study Root (PS3.4 C.6.2): one question at STUDY level, where the peer counts.

Number of Study Related Instances (0020,1208) is an optional key, and so is that of a series (0020,1209). A peer that
leaves them out, or that may have results of ours in the study, is asked for the instances of each series.
"""

import time
from collections.abc import Iterator

from pydicom import Dataset
from pynetdicom.association import Association

from node.dicom.header import find_value
from node.dicom.uids import STUDY_ROOT_FIND
from node.errors import PeerRefused
from node.model.expectation import Count, Question
from node.outbound.find import find_all

PATIENCE = 10.0
"""Seconds for one answer, and for all answers to the questions on one study."""


def count_by_find(association: Association, question: Question, modalities: frozenset[str]) -> Count:
    """Instances of the study at the peer, without our own; of series of `modalities` alone, where there are some.

    Raises PeerRefused when it answers with a failure or does not list the study, PeerUnreachable when it does not
    answer in time.
    """
    association.dimse_timeout = PATIENCE
    until = time.monotonic() + PATIENCE
    study = {"StudyInstanceUID": question.study_uid}
    found = list(_find(association, until, "STUDY", **study, NumberOfStudyRelatedInstances=None))
    if not found:
        raise PeerRefused("it does not list the study")
    number = find_value(found[0], "NumberOfStudyRelatedInstances")
    if isinstance(number, int) and not question.ours and not modalities:
        return Count(int(number))
    keys = study | {"SeriesInstanceUID": None, "Modality": None, "NumberOfSeriesRelatedInstances": None}
    series = [
        (str(find_value(one, "SeriesInstanceUID")), find_value(one, "NumberOfSeriesRelatedInstances"))
        for one in _find(association, until, "SERIES", **keys)
        if not modalities or find_value(one, "Modality") in modalities
    ]
    uids = tuple(uid for uid, _ in series) if modalities else ()
    if modalities and not uids:
        raise PeerRefused("it lists no series of count_modalities")
    numbers = [int(number) for _, number in series if isinstance(number, int)]
    if not question.ours and len(numbers) == len(series):
        return Count(sum(numbers), uids)
    held: set[str] = set()
    for uid, _ in series:
        images = _find(association, until, "IMAGE", **study, SeriesInstanceUID=uid, SOPInstanceUID=None)
        held |= {str(find_value(image, "SOPInstanceUID")) for image in images}
    return Count(len(held - question.ours), uids)


def _find(association: Association, until: float, level: str, **keys: str | None) -> Iterator[Dataset]:
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    return find_all(association, query, STUDY_ROOT_FIND, until)
