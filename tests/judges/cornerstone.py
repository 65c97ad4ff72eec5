"""cornerstone3D's adapters, the code by which OHIF reads segmentations and reports, run in Node without a browser."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from node.dicom.stack import Stack
from pipelines.terms import Mask
from tests.judges.programs import find

if TYPE_CHECKING:
    from tests.corpus import Exhibit

VIEWER = Path(__file__).resolve().parents[1] / "viewer"
PIXEL = 1.01
"""How far, in pixels, a drawn box may be from the outermost voxels: it may go round their centers or their edges."""


def viewer_errors(exhibits: Sequence["Exhibit"]) -> dict["Exhibit", list[str]]:
    """Segments that lose or gain voxels on their way into the viewer, and lesions that it draws nothing for."""
    answers = ask(exhibits)
    return {exhibit: _errors(exhibit, answers[str(exhibit.path)]) for exhibit in exhibits}


def ask(exhibits: Sequence["Exhibit"]) -> dict[str, Any]:
    """What load.mjs says of each file, one Node process for all."""
    if not (VIEWER / "node_modules").is_dir():
        pytest.skip("the viewer's packages are not installed (npm ci --prefix tests/viewer)")
    sources = {str(id(exhibit.case)): describe(exhibit.case.stack) for exhibit in exhibits}
    entries = [{"path": str(e.path), "source": str(id(e.case)), "report": e.kind == "report"} for e in exhibits]
    question = {
        "sources": sources,
        "segmentations": [entry for entry in entries if not entry["report"]],
        "reports": [entry for entry in entries if entry["report"]],
    }
    command = [find("node"), str(VIEWER / "load.mjs")]
    done = subprocess.run(command, input=json.dumps(question), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-1000:]
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def describe(stack: Stack) -> list[dict[str, Any]]:
    """The planes of `stack` as the viewer's metadata has them."""
    _, rows, columns = stack.shape
    row, column = stack.affine[:3, 2], stack.affine[:3, 1]
    spacing = [float((column**2).sum() ** 0.5), float((row**2).sum() ** 0.5)]
    images = []
    for k, (index, frame) in enumerate(stack.frames):
        position = (stack.affine @ [k, 0, 0, 1])[:3]
        images.append(
            {
                "sop": str(stack.headers[index].SOPInstanceUID),
                "series": stack.series_uid,
                "frameOfReference": stack.frame_of_reference_uid,
                "frame": frame,
                "rows": rows,
                "columns": columns,
                "position": [float(v) for v in position],
                "orientation": [float(v) for v in (*(row / spacing[1]), *(column / spacing[0]))],
                "spacing": spacing,
            }
        )
    return images


def _errors(exhibit: "Exhibit", answer: dict[str, Any]) -> list[str]:
    if "error" in answer:
        return [answer["error"]]
    result = exhibit.case.result
    assert result is not None
    if exhibit.kind == "report":
        return _lesion_errors(exhibit, answer["annotations"])
    found = {int(number): (answer["names"].get(number), count) for number, count in answer["voxels"].items()}
    drawn = [segment for segment in result.segments if not segment.is_empty]
    wanted = {number: (segment.label, int(segment.mask.sum())) for number, segment in enumerate(drawn, 1)}
    wrong = sorted(number for number in {*found, *wanted} if found.get(number) != wanted.get(number))
    return [f"segment {n} is {found.get(n)} instead of {wanted.get(n)} (label, voxels)" for n in wrong]


def _lesion_errors(exhibit: "Exhibit", annotations: list[dict[str, Any]]) -> list[str]:
    errors = []
    for key, tracking, mask in lesions(exhibit):
        drawn = [annotation for annotation in annotations if annotation["tracking"] == tracking]
        if not drawn:
            errors.append(f"nothing is drawn for {key}")
        elif not any(_bounds(one["points"], mask[one["plane"]]) for one in drawn if one["tool"] == "RectangleROI"):
            errors.append(f"no rectangle is where {key} is")
    return errors


def _bounds(points: list[list[float]], plane: Mask) -> bool:
    """Whether the points (column, row) bound, to a pixel, what the mask has in their plane."""
    inside = np.argwhere(plane)[:, ::-1]
    if not len(inside):
        return False
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    return bool((np.abs([low - inside.min(axis=0), high - inside.max(axis=0)]) <= PIXEL).all())


def lesions(exhibit: "Exhibit") -> list[tuple[str, str, Mask]]:
    """Key, tracking uid and voxels of every finding of this case that is a lesion or has a box."""
    from tests.corpus import AUTHOR

    result = exhibit.case.result
    assert result is not None
    places = {segment.key: segment.mask for segment in result.segments if segment.is_lesion and not segment.is_empty}
    found = []
    for finding in result.findings:
        key = finding.segment_key or finding.key
        if finding.box is not None:
            inside = np.zeros(exhibit.case.stack.shape, bool)
            edges = zip(finding.box.low, finding.box.high, strict=True)
            inside[tuple(slice(round(low + 0.5), round(high + 0.5)) for low, high in edges)] = True
            places[key] = inside
        if key in places:
            found.append((key, AUTHOR.uid("track", key), places[key]))
    return found
