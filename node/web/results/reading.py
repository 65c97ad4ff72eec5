"""What the report of a result says, ready to be shown: findings with numbers in people's words, notes, algorithm."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread

from node.dicom import codes
from node.dicom.codes import find_code
from node.dicom.header import DAMAGE, find_value, is_damage
from node.dicom.read_report import find_outcome, find_refusal_reason, read_findings, read_notes
from node.dicom.wording import format_number, format_unit
from node.web.dicomweb.problem import Problem
from node.web.results.masks import Place


@dataclass(frozen=True, slots=True)
class Row:
    """A finding. numbers: (what, value with unit). answers: (what was asked of it, the answer). places: source
    frames that show it, the best first. segment: its number in the Segmentation, None without one."""

    name: str
    absent: bool
    numbers: tuple[tuple[str, str], ...]
    answers: tuple[tuple[str, str], ...]
    comments: tuple[str, ...]
    places: tuple[Place, ...]
    segment: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A report. sources: SOP Instance UID of each image that it speaks of -> numbers of its frames, none for all.
    segmentations: SOP Instance UIDs of those it names. did_not_run: it says that nothing was looked at; reason: why, as
    a code's meaning."""

    title: str
    algorithm: str
    version: str
    outcome: str
    did_not_run: bool
    reason: str
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    sources: Mapping[str, Sequence[int]] = field(default_factory=dict)
    segmentations: frozenset[str] = frozenset()
    dataset: Dataset = field(default_factory=Dataset)


def read_report(path: Path) -> Reading:
    """The report at `path`. Raises Problem 410 when it is gone, 500 when it cannot be read."""
    try:
        return _to_reading(dcmread(path))
    except FileNotFoundError:
        raise Problem(410, f"{path.stem} is no longer here") from None
    except (*DAMAGE, OSError) as error:
        if not is_damage(error):
            raise
        raise Problem(500, f"report {path.stem} cannot be read ({type(error).__name__})") from None


def _to_reading(dataset: Dataset) -> Reading:
    outcome, reason = find_outcome(dataset), find_refusal_reason(dataset)
    algorithm, version = _find_algorithm(dataset)
    findings = read_findings(dataset)
    return Reading(
        title=str(find_value(dataset, "SeriesDescription") or ""),
        algorithm=algorithm,
        version=version,
        outcome=outcome.meaning if outcome else "",
        did_not_run=outcome is not None and outcome.value == codes.DID_NOT_RUN.value,
        reason=reason.meaning if reason else "",
        notes=tuple(read_notes(dataset)),
        rows=tuple(_to_row(finding) for finding in findings),
        sources=dict(_find_sources(dataset)),
        segmentations=frozenset(f["segment"]["sop_instance_uid"] for f in findings if f["segment"]),
        dataset=dataset,
    )


def _find_algorithm(dataset: Dataset) -> tuple[str, str]:
    """(name, version) of the equipment that made it (PS3.3 C.12.1)."""
    for item in dataset.get("ContributingEquipmentSequence") or ():
        purpose = find_code(next(iter(item.get("PurposeOfReferenceCodeSequence") or ()), None))
        if purpose is not None and purpose.value == codes.PROCESSING_EQUIPMENT.value:
            versions = find_value(item, "SoftwareVersions") or ""
            version = versions if isinstance(versions, str) else " ".join(versions)
            return str(find_value(item, "ManufacturerModelName") or ""), version
    return "", ""


def _find_sources(dataset: Dataset) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The entries of the image library (PS3.16 TID 1600)."""
    for library in _named(dataset, codes.IMAGE_LIBRARY.value):
        for group in _named(library, codes.IMAGE_LIBRARY_GROUP.value):
            for entry in group.get("ContentSequence") or ():
                for reference in (entry.get("ReferencedSOPSequence") or ())[:1]:
                    numbers = reference.get("ReferencedFrameNumber")
                    several = [numbers] if isinstance(numbers, int) else numbers or []
                    yield str(reference.ReferencedSOPInstanceUID), tuple(int(number) for number in several)


def _named(item: Dataset, value: str) -> Iterator[Dataset]:
    for child in item.get("ContentSequence") or ():
        name = find_code(next(iter(child.get("ConceptNameCodeSequence") or ()), None))
        if name is not None and name.value == value:
            yield child


def _to_row(finding: Mapping[str, Any]) -> Row:
    what = finding["finding"].meaning if finding["finding"] else "Finding"
    words = [code.meaning for code in (finding["laterality"], finding["site"]) if code is not None]
    where = " ".join(word for word in words if word != what)
    lines = [measurement["line"] for measurement in finding["measurements"]]
    regions = [region for region in (*finding["regions"], *lines) if region is not None]
    segment = finding["segment"]
    return Row(
        name=f"{what}, {where}" if where else what,
        absent=bool(finding["absent"]),
        numbers=tuple(_say(measurement) for measurement in finding["measurements"]),
        answers=tuple((said["concept"].meaning, said["value"].meaning) for said in finding["evaluations"]),
        comments=tuple(finding["comments"]),
        places=tuple((region["sop_instance_uid"], region["frame"] or 1) for region in regions),
        segment=segment["number"] if segment else None,
    )


def _say(measurement: Mapping[str, Any]) -> tuple[str, str]:
    concept, derivation = measurement["concept"], measurement["derivation"]
    name = concept.meaning if concept else "Measurement"
    name = f"{name} ({derivation.meaning})" if derivation else name
    if measurement["value"] is None:
        return name, "not obtained"
    unit = format_unit(measurement["unit"]) if measurement["unit"] else ""
    return name, f"{format_number(measurement['value'])} {unit}".rstrip()
