"""A result as an Encapsulated PDF (PS3.3 A.45.1): pages for people, for a paper record, for a PACS that shows no SR."""

from collections.abc import Iterator, Sequence

from pydicom import DataElement, Dataset
from pydicom.uid import EncapsulatedPDFStorage

from node.dicom import codes
from node.dicom.authorship import Authorship
from node.dicom.capture import draw_result
from node.dicom.codes import to_concept
from node.dicom.context import add_requests, copy_valid, local_time, new_object
from node.dicom.header import find_value
from node.dicom.lettering import Lettering, find_lettering
from node.dicom.page import LATIN_1, Content, Section, write_pages
from node.dicom.privacy import add_privacy
from node.dicom.stack import Stack
from node.dicom.wording import (
    FOOTNOTE,
    format_number,
    format_unit,
    list_axes,
    name_finding,
    name_measurement,
    name_place,
    state_notes,
)
from pipelines.terms import Finding, Result, Volume

PDF = "application/pdf"
NOT_PRINTED = "not printed: this node has no font for its characters"
PARTLY_PRINTED = "also written in characters that this node has no font for"


def encode_document(
    stack: Stack,
    volume: Volume,
    result: Result,
    author: Authorship,
    *,
    notes: Sequence[str] = (),
    lettering: Lettering | None = None,
    series_number: int = 7009,
) -> Dataset:
    """Findings with their numbers, notes, the algorithm and what it is for, and the contact sheet, as PDF.

    volume: what load_volume made of `stack`. notes: further sentences for the reader, as they are. The patient's name
    and numbers stand on it as the source has them, in its script, or it says that they are left out because there is no
    font for them: nothing is transliterated. lettering: the machine's own when None.
    Raises EncodingError when volume or masks are not on the stack's grid.
    """
    letters = lettering or find_lettering(LATIN_1)
    picture, _ = draw_result(stack, volume, result, author, letters)
    title = f"AI, not reviewed: {author.manifest.title}"
    ds = new_object(stack.first, author, EncapsulatedPDFStorage, "DOC", "document", series_number, title)
    add_requests(ds, stack.first, author.order)
    ds.ConversionType, ds.AcquisitionDateTime = "WSD", _acquired(stack.first)
    add_privacy(ds, stack.first)
    ds.SourceInstanceSequence = [_reference(header) for header in stack.headers]
    ds.DocumentTitle, ds.VerificationFlag = title, "UNVERIFIED"
    ds.ConceptNameCodeSequence = [to_concept(codes.IMAGING_MEASUREMENT_REPORT)]
    content = Content(
        title=author.manifest.title,
        caution="AI result, not reviewed by a person, not for diagnosis",
        sections=_sections(ds, stack, result, author, notes, letters),
        picture=picture,
        caption="Planes with what was found",
        footer=f"{FOOTNOTE}    Patient ID: {_print(str(ds.PatientID), letters)}",
    )
    _add_pdf(ds, write_pages(content, local_time(stack.first, author.created), letters))
    return ds


def _add_pdf(ds: Dataset, pdf: bytes) -> None:
    """Encapsulated Document (PS3.3 C.24.2): even in length, its own length beside it."""
    ds.MIMETypeOfEncapsulatedDocument, ds.EncapsulatedDocumentLength = PDF, len(pdf)
    ds.add(DataElement("EncapsulatedDocument", "OB", pdf + b"\0" * (len(pdf) % 2)))


def _acquired(source: Dataset) -> str:
    """Acquisition DateTime of the source, in whatever of its attributes it stands; empty when unknown (type 2)."""
    found = copy_valid(source, ["AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime"])
    if "AcquisitionDateTime" in found:
        return str(found.AcquisitionDateTime)
    return f"{found.AcquisitionDate}{found.get('AcquisitionTime', '')}" if "AcquisitionDate" in found else ""


def _reference(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return item


def _sections(
    ds: Dataset, stack: Stack, result: Result, author: Authorship, notes: Sequence[str], lettering: Lettering
) -> list[Section]:
    manifest = author.manifest
    sentences = [*state_notes(result), *notes]
    return [
        Section("Patient and study", pairs=list(_identity(ds, lettering))),
        Section("Images that were read", pairs=list(_images(stack))),
        Section("Findings", table=list(_findings(result)), widths=(26, 22, 56, 13, 10)),
        *([Section("Notes", sentences=sentences)] if sentences else []),
        Section("Use", pairs=[("Intended for", manifest.intended_use), ("Not for", manifest.not_for)]),
        Section("Algorithm", pairs=list(_algorithm(ds, author))),
    ]


def _identity(ds: Dataset, lettering: Lettering) -> Iterator[tuple[str, str]]:
    """What a page is matched to its patient by, as it stands in `ds`."""
    yield "Name", _print_name(str(ds.PatientName), lettering)
    issuer = str(ds.get("IssuerOfPatientID", ""))
    patient_id = _print(str(ds.PatientID), lettering)
    yield "Patient ID", f"{patient_id} ({_print(issuer, lettering)})" if issuer else patient_id
    yield "Date of birth", _date(str(ds.PatientBirthDate))
    yield "Sex", str(ds.PatientSex) or "not stated"
    yield "Study date", _date(str(ds.StudyDate))
    yield "Accession number", _print(str(ds.AccessionNumber), lettering)
    if study := str(ds.get("StudyDescription", "")):
        yield "Study", _print(study, lettering)


def _print_name(name: str, lettering: Lettering) -> str:
    """The groups of a person name (PS3.5 6.2.1: alphabetic, ideographic, phonetic) that can be written, as they are
    but for the delimiters; and that there is another when there is."""
    groups = [" ".join(part for part in group.split("^") if part) for group in name.split("=")]
    groups = [group for group in groups if group]
    written = [group for group in groups if lettering.can_write(group)]
    if not written:
        return NOT_PRINTED if groups else "not stated"
    return " / ".join(written) + (f" ({PARTLY_PRINTED})" if len(written) < len(groups) else "")


def _print(value: str, lettering: Lettering) -> str:
    if not value:
        return "not stated"
    return value if lettering.can_write(value) else NOT_PRINTED


def _date(value: str) -> str:
    """A DA as people read it everywhere: 2024-01-31."""
    return f"{value[:4]}-{value[4:6]}-{value[6:8]}" if len(value) == 8 else value or "not stated"


def _images(stack: Stack) -> Iterator[tuple[str, str]]:
    between, rows, columns = (float(v) for v in (abs(stack.affine[:3, :3]) ** 2).sum(axis=0) ** 0.5)
    number = find_value(stack.first, "SeriesNumber")
    description = str(copy_valid(stack.first, ["SeriesDescription"]).get("SeriesDescription", ""))
    words = [stack.modality, f"series {number}" if number is not None else "", description]
    yield "Series", ", ".join(word for word in words if word)
    yield "Planes", f"{stack.shape[0]}, {stack.orientation}, {format_number(between)} mm apart"
    yield (
        "Pixels",
        (f"{stack.shape[1]} rows x {stack.shape[2]} columns, {format_number(rows)} x {format_number(columns)} mm"),
    )
    for sentence in stack.others:
        yield "Not read", sentence


def _findings(result: Result) -> Iterator[tuple[str, str, str, str, str]]:
    """The table, its headings first: a row for each number and each evaluation of a finding, at least one a finding."""
    yield "Finding", "Place", "Measurement", "Value", "Unit"
    for finding in result.findings:
        name, place = name_finding(finding, result), " ".join(name_place(finding))
        for what, value, unit in _rows(finding):
            yield name, place, what, value, unit
            name = place = ""


def _rows(finding: Finding) -> Iterator[tuple[str, str, str]]:
    if finding.absent:
        yield "looked for and not found", "", ""
    for concept, value in finding.qualifiers:
        yield f"{concept.meaning}: {value.meaning}", "", ""
    yield from list_axes(finding)
    for measurement in finding.measurements:
        yield name_measurement(measurement), format_number(measurement.value), format_unit(measurement.unit)
    if not (finding.absent or finding.measurements or finding.qualifiers or finding.axes):
        yield "found", "", ""


def _algorithm(ds: Dataset, author: Authorship) -> Iterator[tuple[str, str]]:
    manifest = author.manifest
    yield "Name and version", f"{manifest.name} {manifest.version}"
    yield "Manufacturer", manifest.manufacturer
    yield "Weights (SHA-256)", manifest.weights_sha256
    yield "Device UID", author.device_uid
    yield "Made", f"{_date(ds.ContentDate)} {ds.ContentTime[:2]}:{ds.ContentTime[2:4]} by {author.station}"
    yield "SOP Instance UID", str(ds.SOPInstanceUID)
