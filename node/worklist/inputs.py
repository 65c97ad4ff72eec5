"""What a workitem reads, and whence it is to be had (PS3.3 Table 10-3b, Referenced Instances and Access).

In:  a workitem as a DICOM JSON model.   Out: one `Input` for each item of its Input Information Sequence.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from node.dicom.model_values import find_values
from node.model.archive import FoundInstance
from node.worklist.guard import find_first

INPUTS, REFERENCED, STUDY, SERIES = "00404021", "00081199", "0020000D", "0020000E"
SOP_CLASS, SOP_INSTANCE = "00081150", "00081155"
BY_DICOM, BY_WADO_RS = ["0040E021", "00080054"], ["0040E025", "00081190"]


@dataclass(frozen=True, slots=True)
class Input:
    """series_uid: "" when it does not say; instances: none when it means all of them. titles: AE titles from which they
    may be retrieved; urls: addresses of WADO-RS, which may name a patient."""

    study_uid: str
    series_uid: str
    instances: tuple[FoundInstance, ...]
    titles: tuple[str, ...]
    urls: tuple[str, ...]

    @property
    def has_place(self) -> bool:
        """It says whence."""
        return bool(self.titles or self.urls)


def read_inputs(model: Mapping[str, Any]) -> list[Input]:
    """In their order, without those that name no study."""
    items = (model.get(INPUTS) or {}).get("Value") or ()
    return [one for one in map(_read, items) if one.study_uid]


def _read(item: Mapping[str, Any]) -> Input:
    return Input(
        find_first(item, STUDY),
        find_first(item, SERIES),
        tuple(_read_instances(item)),
        tuple(dict.fromkeys(str(title).strip() for title in find_values(item, BY_DICOM))),
        tuple(dict.fromkeys(str(url).strip() for url in find_values(item, BY_WADO_RS))),
    )


def _read_instances(item: Mapping[str, Any]) -> Iterator[FoundInstance]:
    for one in (item.get(REFERENCED) or {}).get("Value") or ():
        if uid := find_first(one, SOP_INSTANCE):
            yield FoundInstance(uid, find_first(one, SOP_CLASS))
