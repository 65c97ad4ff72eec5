"""PixelMed's DicomSRValidator: the one judge of SR templates.

Debian's wrapper of it says nothing and exits with 0 on JDK 17, whose limits on XPath its rules exceed; hence OPTIONS.
It takes seconds a document, and minutes for one of hundreds of groups: of the documents with the same form of
content tree the shortest is judged.
"""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom import Dataset

from tests.judges.programs import find

JAR = Path("/usr/share/java/pixelmed.jar")
DRIVER = Path(__file__).with_name("ValidateReports.java")
OPTIONS = [
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    *(f"-Djdk.xml.xpath{limit}Limit=0" for limit in ("TotalOp", "ExprOp", "ExprGrp")),
]
REFERENCED_SEGMENT, IMAGE_REGION = "121191", "111030"
DONE = "IOD validation complete"


def report_errors(paths: Sequence[Path]) -> dict[Path, list[str]]:
    """What the validator calls an error in each of the files, one java process for all."""
    if not JAR.is_file():
        pytest.skip("PixelMed is not installed (Debian package libpixelmed-java)")
    find("javac")  # `java X.java` compiles: a runtime alone does not
    command = [find("java"), *OPTIONS, "-cp", str(JAR), str(DRIVER), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-1000:]
    parts = done.stdout.split("=== ")[1:]
    assert len(parts) == len(paths), done.stdout[-1000:]
    return {path: _errors(part.splitlines()[1:]) for path, part in zip(paths, parts, strict=True)}


def _errors(lines: list[str]) -> list[str]:
    errors = [line for line in lines if line.startswith("Error")]
    if not errors and DONE not in lines:
        return ["the validator did not come to its end"]
    root = [line for line in lines if line.startswith("Found Root Template")]
    return errors if errors or root else ["no root template is recognized: " + " ".join(lines)]


def drop_strangers(errors: list[str], report: Dataset) -> list[str]:
    """The errors without those that hold a measurement group against another template than its own.

    The validator tries TID 1410 and 1411 on every group, and takes each for wrong that is of the other or of TID 1501.
    """
    return [error for error in errors if not _is_stranger(error, report)]


def _is_stranger(error: str, report: Dataset) -> bool:
    tried = re.match(r"Error: Template (1410|1411) ", error)
    place = re.search(r" 1\.(\d+)\.(\d+)[.:]", error)
    if not tried or not place:
        return False
    group = report.ContentSequence[int(place[1]) - 1].ContentSequence[int(place[2]) - 1]
    concepts = {item.ConceptNameCodeSequence[0].CodeValue for item in group.ContentSequence}
    own = "1411" if REFERENCED_SEGMENT in concepts else "1410" if IMAGE_REGION in concepts else "1501"
    return tried[1] != own


def form(item: Dataset) -> tuple[object, ...]:
    """The form of a content tree: relationships, value types, concepts; what is alike counts once."""
    names = item.get("ConceptNameCodeSequence")
    concept = (names[0].CodeValue, names[0].CodingSchemeDesignator) if names else None
    parts = frozenset(form(child) for child in item.get("ContentSequence") or [])
    return (item.get("RelationshipType"), item.get("ValueType"), concept, parts)
