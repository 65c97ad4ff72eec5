"""The count of a study by C-FIND, Study Root (PS3.4 C.6.2): one question at STUDY level, where the peer counts.

Number of Study Related Instances (0020,1208) is an optional key. A peer that leaves it out, or that may have results of
ours in the study, is asked for the study's series and the instances of each.
"""

import time
from collections.abc import Iterator

from pydicom import Dataset
from pynetdicom.association import Association

from node.dicom.header import find_value
from node.dicom.uids import STUDY_ROOT_FIND
from node.errors import PeerRefused, PeerUnreachable
from node.outbound.reactor import hold_reactor

PATIENCE = 10.0
"""Seconds for one answer, and for all answers to the questions on one study."""

PENDING = {0xFF00, 0xFF01}


def count_by_find(association: Association, study_uid: str, ours: frozenset[str]) -> int:
    """Instances of the study at the peer, without those in `ours`.

    Raises PeerRefused when it answers with a failure or does not list the study, PeerUnreachable when it does not
    answer in time.
    """
    association.dimse_timeout = PATIENCE
    until = time.monotonic() + PATIENCE
    studies = list(_find(association, until, "STUDY", StudyInstanceUID=study_uid, NumberOfStudyRelatedInstances=None))
    if not studies:
        raise PeerRefused("it does not list the study")
    numbers = [find_value(study, "NumberOfStudyRelatedInstances") for study in studies]
    if not ours and isinstance(numbers[0], int):
        return int(numbers[0])
    held: set[str] = set()
    for series in _find(association, until, "SERIES", StudyInstanceUID=study_uid, SeriesInstanceUID=None):
        place = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": find_value(series, "SeriesInstanceUID")}
        images = _find(association, until, "IMAGE", **place, SOPInstanceUID=None)
        held |= {str(find_value(image, "SOPInstanceUID")) for image in images}
    return len(held - ours)


def _find(association: Association, until: float, level: str, **keys: str | None) -> Iterator[Dataset]:
    """All matches, in memory before the first is used: the association carries one operation at a time."""
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    matches, last = [], 0xC000
    try:
        with hold_reactor(association):
            for status, match in association.send_c_find(query, STUDY_ROOT_FIND):
                last = int(status.Status) if "Status" in status else -1
                if last in PENDING and match is not None:
                    matches.append(match)
                if time.monotonic() > until:
                    association.abort()
                    last = -1
                    break
    except ValueError as error:
        raise PeerRefused(f"it takes no C-FIND ({error})") from None
    except RuntimeError:
        last = -1
    if last == -1:
        raise PeerUnreachable(f"no answer to C-FIND within {PATIENCE:.0f} s")
    if last != 0x0000:
        raise PeerRefused(f"it answers C-FIND with 0x{last:04X}")
    return iter(matches)
