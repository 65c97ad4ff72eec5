"""The corpus of the judges: source series of every kind, a result on each, and every object that we make of it.

Sources go through files and `read_stacks`, as they do in the node; objects are what the public encoders make.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from imagecodecs import jpeg2k_encode, jpeg8_encode
from pydicom import Dataset, uid
from pydicom.encaps import encapsulate

from node.dicom.authorship import Authorship
from node.dicom.capture import encode_capture
from node.dicom.document import encode_document
from node.dicom.key_objects import encode_key_objects
from node.dicom.labelmap import encode_labelmap
from node.dicom.parametric_map import encode_parametric_maps
from node.dicom.presentation import encode_presentation
from node.dicom.report import encode_refusal, encode_report
from node.dicom.segmentation import encode_segmentation
from node.dicom.stack import Stack
from node.dicom.stacking import read_stacks
from node.dicom.structure_set import encode_structure_set
from node.dicom.volume import load_volume
from node.dicom.write import write_dicom
from pipelines.steps.axes import with_axes
from pipelines.terms import Box, Code, Finding, Note, Result, ScalarMap, Severity, Volume
from tests.results import (
    ANATOMY,
    LUNG,
    NODULE,
    RIGHT,
    SAGITTAL,
    TURNED,
    ellipsoid,
    make_author,
    make_empty_result,
    make_finding,
    make_result,
    make_segment,
)
from tests.series import make_series, write_series

SHAPE = (6, 24, 26)
SPICULATED = (Code("129737002", "SCT", "Radiographic lesion margin"), Code("129742005", "SCT", "Spiculated lesion"))
PROBABILITY = Code("C204015", "NCIt", "Probability")
NO_UNITS = Code("1", "UCUM", "no units")


@dataclass(frozen=True, eq=False)
class Case:
    """A source and what was found on it. `result` is None where the algorithm did not run."""

    name: str
    stack: Stack
    result: Result | None


@dataclass(frozen=True, eq=False)
class Exhibit:
    """An object on disk, for a judge to look at. `mutant` names the fault that was put into it, if any."""

    case: Case
    kind: str
    path: Path
    dataset: Dataset
    mutant: str = ""

    @property
    def name(self) -> str:
        return " / ".join(part for part in (self.case.name, self.kind, self.mutant) if part)


def find_result(stack: Stack) -> Result:
    """A lesion with its axes, the organ around it, a box, a thing looked for in vain, a map, and sentences."""
    shape = stack.shape
    lesion = make_segment(ellipsoid(shape, radius=(0.3, 0.2, 0.2)))
    organ = make_segment(
        ellipsoid(shape) & ~lesion.mask, "right-lung",
        label="Right lung", category=ANATOMY, kind=LUNG, site=None, color=(80, 140, 230),
    )  # fmt: skip
    findings = (
        replace(make_finding(), qualifiers=(SPICULATED,)),
        Finding("right-lung", LUNG, laterality=RIGHT, segment_key="right-lung"),
        Finding("spot", NODULE, site=LUNG, box=Box((1.5, 2.5, 3.5), (3.5, 5.5, 8.5))),
        Finding("effusion", Code("60046008", "SCT", "Pleural effusion"), site=LUNG, absent=True),
    )
    notes = (Note("The lungs are cut at the top"), Note("Größe ≥ 3 mm², 結節", Severity.INFO))
    values = np.linspace(0, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    scalars = ScalarMap("nodule-probability", "Probability of nodule", values, PROBABILITY, NO_UNITS)
    k, j, i = (float(step) for step in np.linalg.norm(stack.affine[:3, :3], axis=0))
    return with_axes(Result((lesion, organ), findings, notes, maps=(scalars,)), (k, j, i))


def make_boxes(shape: tuple[int, int, int], count: int) -> Result:
    """`count` boxes that do not touch, every one a lesion with its finding."""
    segments, findings = [], []
    places = np.ndindex(shape[0] // 2, shape[1] // 4, shape[2] // 4)
    for number, (k, j, i) in zip(range(1, count + 1), places, strict=False):
        mask = np.zeros(shape, bool)
        mask[2 * k : 2 * k + 2, 4 * j : 4 * j + 3, 4 * i : 4 * i + 1 + number % 3] = True
        segments.append(make_segment(mask, f"nodule-{number}"))
        findings.append(make_finding(f"nodule-{number}", number / 100))
    assert len(segments) == count, "the grid is too small"
    return Result(tuple(segments), tuple(findings))


def read_stack(slices: list[Dataset], folder: Path) -> Stack:
    """The one stack of these images, by way of files in `folder`."""
    stacks, refusals = read_stacks(write_series(slices, folder), max_tilt_degrees=30, max_uneven_mm=1)
    assert not refusals, refusals
    (stack,) = stacks
    return stack


def make_left_handed(folder: Path) -> Stack:
    """Planes in the order against their normal: an affine with the other sign of determinant."""
    stack = read_stack(make_series(SHAPE), folder)
    last = stack.shape[0] - 1
    affine = stack.affine.copy()
    affine[:3, 3] += last * affine[:3, 0]
    affine[:3, 0] *= -1
    headers, paths = stack.headers[::-1], stack.paths[::-1]
    return replace(stack, headers=headers, paths=paths, affine=affine)


def make_reversed() -> list[Dataset]:
    """Instance numbers that fall where the planes rise."""
    slices = make_series(SHAPE)
    for k, ds in enumerate(slices):
        ds.InstanceNumber = len(slices) - k
    return slices


def make_enhanced() -> list[Dataset]:
    """One multi-frame image, made by highdicom."""
    return [LegacyConvertedEnhancedCTImage(make_series(SHAPE), "1.2.3.9", 2, "1.2.3.9.1", 1)]


def make_uneven() -> list[Dataset]:
    """Planes that lie up to 0.3 mm from where even ones would."""
    slices = make_series(SHAPE)
    for k, ds in enumerate(slices):
        x, y, z = ds.ImagePositionPatient
        ds.ImagePositionPatient = [x, y, float(z) + 0.3 * (k % 2)]
    return slices


def make_undeclared() -> list[Dataset]:
    """UTF-8 bytes and no Specific Character Set, as many gateways write them."""
    patient = "Grüße^Jörg".encode().decode("latin-1")
    return make_series(SHAPE, SpecificCharacterSet=None, PatientName=patient)


def compress(slices: list[Dataset], syntax: uid.UID) -> list[Dataset]:
    """The same images in another transfer syntax."""
    for ds in slices:
        if syntax == uid.RLELossless:
            ds.compress(syntax, generate_instance_uid=False)
            continue
        values = ds.pixel_array
        if syntax == uid.JPEGLosslessSV1:
            frame = jpeg8_encode(values.astype(np.uint16), lossless=True, predictor=1, bitspersample=16)
        else:
            frame = jpeg2k_encode(values, codecformat="j2k", bitspersample=16, reversible=True)
        ds.file_meta.TransferSyntaxUID = syntax
        ds.PixelData = encapsulate([frame])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    return slices


CHARACTER_SETS = {
    "ISO_IR 100": ("ISO_IR 100", "Grüße^Jörg"),
    "ISO_IR 144, Cyrillic": ("ISO_IR 144", "Люкceмбypг^Иван"),
    "ISO 2022 IR 87, Japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "ISO 2022 IR 149, Korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "GB18030, Chinese": ("GB18030", "Wang^XiaoDong=王^小东"),
    "UTF-8": ("ISO_IR 192", "Wang^XiaoDong=王^小東"),
}
ABSENT = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber",
    "StudyID", "ReferringPhysicianName", "PositionReferenceIndicator", "SeriesNumber", "SliceThickness",
)  # fmt: skip

SOURCES: dict[str, Callable[[], list[Dataset]]] = {
    "plain": lambda: make_series(SHAPE),
    "instance numbers reversed": make_reversed,
    "oblique": lambda: make_series(SHAPE, orientation=TURNED),
    "sagittal": lambda: make_series(SHAPE, orientation=SAGITTAL),
    "gantry tilt": lambda: make_series(SHAPE, step=(0.0, 0.4, 1.5)),
    "uneven planes": make_uneven,
    "MR": lambda: make_series(SHAPE, modality="MR"),
    "odd columns": lambda: make_series((6, 23, 17)),
    "enhanced multi-frame": make_enhanced,
    **{
        f"charset {name}": lambda declared=declared, patient=patient: make_series(
            SHAPE, SpecificCharacterSet=declared, PatientName=patient
        )
        for name, (declared, patient) in CHARACTER_SETS.items()
    },
    "charset none declared": make_undeclared,
    **{f"no {keyword}": lambda keyword=keyword: make_series(SHAPE, **{keyword: None}) for keyword in ABSENT},
    "JPEG lossless": lambda: compress(make_series(SHAPE), uid.JPEGLosslessSV1),
    "JPEG 2000 lossless": lambda: compress(make_series(SHAPE), uid.JPEG2000Lossless),
    "RLE lossless": lambda: compress(make_series(SHAPE), uid.RLELossless),
}
"""Name -> images to find `find_result` on."""


def make_cases(folder: Path) -> Iterator[Case]:
    """Every case, its source written below `folder`."""
    for number, (name, make) in enumerate(SOURCES.items()):
        stack = read_stack(make(), folder / str(number))
        yield Case(name, stack, find_result(stack))
    left = make_left_handed(folder / "left")
    yield Case("left-handed", left, find_result(left))
    stack = read_stack(make_series((6, 48, 48)), folder / "results")
    yield Case("empty result", stack, make_empty_result())
    yield Case("refusal", stack, None)
    for count in (1, 20, 117):
        yield Case(f"{count} segment{'s' * (count > 1)}", stack, make_boxes(stack.shape, count))
    yield Case("overlap", stack, make_result(stack.shape, 3))


DRAWN = {
    "plain", "gantry tilt", "MR", "odd columns", "enhanced multi-frame", "charset ISO 2022 IR 87, Japanese",
    "charset none declared", "no PatientName", "RLE lossless", "left-handed", "empty result", "20 segments",
}  # fmt: skip
"""The cases for whose objects pictures are drawn and pages set: a second each."""

AUTHOR = make_author()
Made = dict[str, Dataset]


def _segmentation(case: Case, made: Made) -> Dataset | None:
    found = case.result and any(segment.mask.any() for segment in case.result.segments)
    return encode_segmentation(case.stack, case.result, AUTHOR) if found else None


def _report(case: Case, made: Made) -> Dataset | None:
    return case.result and encode_report(case.stack, case.result, AUTHOR, made.get("segmentation"))


def _refusal(case: Case, made: Made) -> Dataset | None:
    return None if case.result else encode_refusal(case.stack.headers, AUTHOR, "MissingSlices", "a plane is missing")


def _segmented(encode: Callable[[Stack, Result, Authorship], Dataset]) -> Callable[[Case, Made], Dataset | None]:
    """`encode` for the cases with a segmentation."""
    return lambda case, made: (
        encode(case.stack, case.result, AUTHOR) if case.result and "segmentation" in made else None
    )


def _label_map(case: Case, made: Made) -> Dataset | None:
    if "segmentation" not in made or made["segmentation"].SegmentsOverlap == "YES":
        return None
    return encode_labelmap(case.stack, case.result, AUTHOR)


def _drawn(encode: Callable[[Stack, Volume, Result, Authorship], Dataset]) -> Callable[[Case, Made], Dataset | None]:
    """`encode` for what is drawn on the images themselves, where the case is among DRAWN."""
    return lambda case, made: (
        encode(case.stack, load_volume(case.stack), case.result, AUTHOR) if case.result and case.name in DRAWN else None
    )


def _parametric_map(case: Case, made: Made) -> Dataset | None:
    maps = encode_parametric_maps(case.stack, case.result, AUTHOR) if case.result else []
    return maps[0] if maps else None


KINDS: dict[str, Callable[[Case, Made], Dataset | None]] = {
    "segmentation": _segmentation,
    "report": _report,
    "refusal": _refusal,
    "label map": _label_map,
    "presentation state": _segmented(encode_presentation),
    "key objects": lambda case, made: case.result and encode_key_objects(case.stack, case.result, AUTHOR),
    "secondary capture": _drawn(encode_capture),
    "parametric map": _parametric_map,
    "structure set": _segmented(encode_structure_set),
    "PDF": _drawn(encode_document),
}
"""Kind -> its encoder, which may use what was made before it; None where the case has no such object."""


def make_corpus(folder: Path) -> list[Exhibit]:
    """Every object of every case, written below `folder` as the node writes it."""
    exhibits = []
    for number, case in enumerate(make_cases(folder / "sources")):
        made: Made = {}
        for kind, encode in KINDS.items():
            dataset = encode(case, made)
            if dataset is not None:
                made[kind] = dataset
                exhibits.append(write_exhibit(Exhibit(case, kind, folder / f"{number:03d}-{kind}.dcm", dataset)))
    return exhibits


def write_exhibit(exhibit: Exhibit) -> Exhibit:
    """`exhibit`, now on disk."""
    write_dicom(exhibit.dataset, exhibit.path)
    return exhibit
