"""Who judges what, and what is forgiven, with the reason."""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.corpus import Exhibit, make_corpus
from tests.judges import cornerstone, dcmqi, dcmtk, pixelmed, standard
from tests.judges.dicom3tools import dciodvfy_errors
from tests.judges.programs import each
from tests.mutants import make_mutants

PIXELMED_TEETH = (
    "relationship that TID 1500 forbids",
    "measured values without a number",
    "laterality out of another context group",
)
Verdicts = dict[Exhibit, list[str]]

REPORTS = frozenset({"report", "refusal", "key objects"})
STATES = frozenset({"presentation state"})
SEGMENTATIONS = frozenset({"segmentation", "label map"})


@dataclass(frozen=True)
class Judge:
    """name: as in the tables. proves: what no error from it means. kinds: what it looks at, everything when None.

    look: exhibits -> errors of each, in as few starts of a process as the program allows.
    teeth: mutants that it must catch, or it is no judge.
    """

    name: str
    proves: str
    kinds: frozenset[str] | None
    look: Callable[[Sequence[Exhibit]], Verdicts]
    teeth: tuple[str, ...]

    def hears(self, exhibit: Exhibit) -> bool:
        return self.kinds is None or exhibit.kind in self.kinds


@dataclass(frozen=True)
class Allowed:
    """Errors of `judge` that match `pattern` on objects of `kind` of the case `case` (any where empty), and why they
    are none of ours."""

    judge: str
    pattern: str
    reason: str
    kind: str = ""
    case: str = ""

    def covers(self, judge: str, exhibit: Exhibit, error: str) -> bool:
        """Whether this entry forgives `error`."""
        here = self.judge == judge and self.kind in {"", exhibit.kind} and self.case in {"", exhibit.case.name}
        return here and re.search(self.pattern, error) is not None


def _by_file(look: Callable[[Path], list[str]]) -> Callable[[Sequence[Exhibit]], Verdicts]:
    return lambda exhibits: dict(zip(exhibits, each(lambda exhibit: look(exhibit.path), exhibits), strict=True))


def _by_exhibit(look: Callable[[Exhibit], list[str]]) -> Callable[[Sequence[Exhibit]], Verdicts]:
    return lambda exhibits: dict(zip(exhibits, each(look, exhibits), strict=True))


def _batch(look: Callable[[Sequence[Path]], dict[Path, list[str]]]) -> Callable[[Sequence[Exhibit]], Verdicts]:
    def verdicts(exhibits: Sequence[Exhibit]) -> Verdicts:
        found = look([exhibit.path for exhibit in exhibits])
        return {exhibit: found[exhibit.path] for exhibit in exhibits}

    return verdicts


def _one_of_each_form(exhibits: Sequence[Exhibit]) -> Verdicts:
    """Of documents alike in form the shortest; of mutants those that templates have a say in."""
    wanted = [exhibit for exhibit in exhibits if not exhibit.mutant or exhibit.mutant in PIXELMED_TEETH]
    wanted.sort(key=lambda exhibit: exhibit.path.stat().st_size, reverse=True)
    chosen = {(exhibit.mutant, pixelmed.form(exhibit.dataset)): exhibit for exhibit in wanted}
    found = pixelmed.report_errors([exhibit.path for exhibit in chosen.values()])
    return {one: pixelmed.drop_strangers(found[one.path], one.dataset) for one in chosen.values()}


PANEL = (
    Judge(
        "dciodvfy", "every attribute of the IOD has its type, value and condition",
        None, _by_file(dciodvfy_errors),
        ("no dimension index", "segment of two types", "no evidence", "numbers without units"),
    ),
    Judge(
        "dicom-validator", "modules and attributes are those of PS3.3, and no others",
        None, _batch(standard.iod_errors),
        ("no frame of reference", "attribute of another IOD", "verification flag that is none", "no value type"),
    ),
    Judge(
        "DicomSRValidator", "templates, relationships and context groups",
        REPORTS, _one_of_each_form, PIXELMED_TEETH,
    ),
    Judge(
        "dsrdump", "the content tree keeps the constraints of its IOD",
        REPORTS, _by_file(dcmtk.dsrdump_errors),
        ("no value type", "relationship that TID 1500 forbids", "measured values without a number"),
    ),
    Judge(
        "dcmpschk", "every value of a presentation state is of its data type",
        STATES, _by_file(dcmtk.dcmpschk_errors), ("state of a day that is none",),
    ),
    Judge(
        "dcmp2pgm", "the presentation state can be laid over its image",
        STATES, _by_exhibit(dcmtk.dcmp2pgm_errors), ("state without a displayed area", "state of no image"),
    ),
    Judge(
        "segimage2itkimage", "ITK and 3D Slicer read the same voxels, centroids within 0.01 mm",
        SEGMENTATIONS, _by_exhibit(dcmqi.segmentation_errors),
        ("one voxel more", "frames half a millimeter aside", "frame of a segment that is not there"),
    ),
    Judge(
        "tid1500reader", "3D Slicer reads every number, and finds every segment that a report speaks of",
        frozenset({"report"}), _by_exhibit(dcmqi.report_errors),
        ("measurements left out", "no referenced segment", "relationship that TID 1500 forbids"),
    ),
    Judge(
        "cornerstone3D", "OHIF's adapters read each segment with label and voxels, and draw each lesion where it is",
        SEGMENTATIONS | {"report"}, cornerstone.viewer_errors,
        (
            "one voxel more", "frames of other images", "labels of each other",
            "lesions without coordinates", "boxes three pixels aside",
        ),
    ),
)  # fmt: skip

TILTED = "ITK keeps one orthogonal grid: planes that are sheared or uneven it puts where they are not"
COMPRESSED = "this judge reads no compressed image; the state itself is the same as in the plain case"
DT_PADDING = "dcmtk 3.6.7 does not know that a date with time is padded with a space (PS3.5 6.2)"
LABEL_MAP_2022 = "the program is of 2022, Label Map Segmentation of 2024: it does not know the class"
ALLOWED = (
    Allowed(
        "dicom-validator", "ContributingEquipmentSequence/DeviceUID: TagUnexpected",
        "Device UID came into Contributing Equipment after 2020, the year of this judge's tables; IHE AIR asks for it",
    ),
    Allowed("dciodvfy", "Information Object Not found", LABEL_MAP_2022, kind="label map"),
    Allowed("dciodvfy", "SegmentNumber of 0", LABEL_MAP_2022, kind="label map"),
    Allowed("dcmpschk", "ContributionDateTime .*Type DT", DT_PADDING),
    Allowed("dcmpschk", "PatientName .*Type PN", "dcmtk 3.6.7 takes names for ASCII whatever the character set says"),
    Allowed("segimage2itkimage", "centroid is 0.8", TILTED, case="gantry tilt"),
    Allowed("segimage2itkimage", "centroid is 0.2", TILTED, case="uneven planes"),
    Allowed("dcmp2pgm", "", "dcmtk wants a name in the state; it may be empty (PS3.3 C.7.1.1)", case="no PatientName"),
    *(Allowed("dcmp2pgm", "", COMPRESSED, case=f"{syntax} lossless") for syntax in ("JPEG", "JPEG 2000", "RLE")),
)  # fmt: skip
"""An entry that forgives nothing any more fails a test."""


def find_allowed(judge: str, exhibit: Exhibit, error: str) -> Allowed | None:
    """The entry that forgives the error, if any."""
    return next((entry for entry in ALLOWED if entry.covers(judge, exhibit, error)), None)


class Court:
    """The corpus, its mutants, and what each judge says of them, asked once; two judges look at the same time."""

    def __init__(self, folder: Path) -> None:
        self.exhibits = make_corpus(folder)
        self.mutants = make_mutants(self.exhibits, folder / "mutants")
        self._plain = {exhibit.kind: exhibit for exhibit in self.exhibits if exhibit.case.name == "plain"}
        pool = ThreadPoolExecutor(2)
        slowest_first = sorted(PANEL, key=lambda judge: judge.name != "DicomSRValidator")
        self._verdicts = {judge.name: pool.submit(self._listen, judge) for judge in slowest_first}
        pool.shutdown(wait=False)

    def _listen(self, judge: Judge) -> Verdicts:
        return judge.look([exhibit for exhibit in [*self.exhibits, *self.mutants] if judge.hears(exhibit)])

    def ask(self, judge: Judge) -> Verdicts:
        """Exhibit -> errors, forgiven ones too, of what the judge looks at; skips the test where it is not there."""
        return self._verdicts[judge.name].result()

    def find_errors(self, judge: Judge) -> list[str]:
        """What nothing forgives in the corpus, each with the name of its exhibit."""
        said = self.ask(judge)
        return [
            f"{exhibit.name}: {error}"
            for exhibit in said
            for error in said[exhibit]
            if not exhibit.mutant and find_allowed(judge.name, exhibit, error) is None
        ]

    def find_used(self, judge: Judge) -> set[Allowed]:
        """The entries of the allow-list that forgave something."""
        said = self.ask(judge)
        used = {find_allowed(judge.name, exhibit, error) for exhibit in said for error in said[exhibit]}
        return {entry for entry in used if entry is not None}

    def find_caught(self, judge: Judge) -> set[str]:
        """The mutants of which the judge says what it does not say of the object that they were made from."""
        said = self.ask(judge)
        mutants = [exhibit for exhibit in said if exhibit.mutant]
        return {one.mutant for one in mutants if set(said[one]) - set(said.get(self._plain[one.kind], []))}
