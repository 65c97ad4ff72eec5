"""`python -m workers.tryout PIPELINE FOLDER OUT [PRIOR [AFTER]]`: a pipeline on the images in a folder, without a node.

PRIOR: a folder with an earlier study; AFTER: the pipeline that it comes after, which is run on both first.

Prints JSON: which series was read, findings, notes, and the path of a picture of the segments over the images. Nothing
is stored, queued or sent; the Segmentation is made in a folder that goes again.
"""

import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from node.config import load_settings
from node.demo.montage import montage
from node.dicom.authorship import Authorship
from node.dicom.header import find_value
from node.dicom.segmentation import encode_segmentation
from node.dicom.selection import choose_stack
from node.dicom.stack import Stack
from node.dicom.stacking import read_stacks
from node.dicom.upright import Upright, make_upright
from node.dicom.volume import load_volume
from node.errors import WetreadError
from node.outbound.send import find_files
from pipelines.errors import PipelineError
from pipelines.pipeline import ContextModel
from pipelines.terms import Context, Finding, Manifest, PriorStudy, Result, Segment, Volume, get_manifest
from workers.context import count_days
from workers.device import pick_device
from workers.warm import Warm


def main(name: str, folder: str, out: str, prior: str = "", after: str = "") -> int:
    """The exit code; a foreseen error is {"error": name, "text": sentence} and 1."""
    settings = load_settings()
    try:
        earlier = Path(prior) if prior else None
        said = try_out(name, Path(folder), Path(out), pick_device(settings.work.device, 0), earlier, after)
    except (WetreadError, PipelineError) as error:
        said = {"error": type(error).__name__, "text": str(error)}
    sys.stdout.write(json.dumps(said) + "\n")
    return 1 if "error" in said else 0


def try_out(
    name: str, folder: Path, out: Path, device: str, prior: Path | None = None, after: str = ""
) -> dict[str, Any]:
    """What the pipeline `name` says of the series in `folder` that suits it. Raises InputError, PipelineError."""
    manifest = get_manifest(name)
    stack, upright, notes, paths = _read(folder, manifest)
    warm = Warm(device)
    model = warm.get(name)
    start = time.perf_counter()
    if isinstance(model, ContextModel) and (prior or after):
        context = _make_context(warm, stack, upright.volume, manifest, prior, after)
        result = upright.restore(model.run_with(upright.volume, context, lambda *_: None))
    else:
        result = upright.restore(model.run(upright.volume, lambda *_: None))
    return {
        "read": notes[0],
        "seconds": round(time.perf_counter() - start, 2),
        "findings": [_describe(finding) for finding in result.findings],
        "notes": [note.text for note in result.notes],
        "picture": _draw(stack, result, manifest, paths, out),
    }


def _read(folder: Path, manifest: Manifest) -> tuple[Stack, Upright, tuple[str, ...], list[Path]]:
    """The series in `folder` that suits, as a model reads it."""
    paths, _ = find_files(folder)
    requires = manifest.requires
    found = read_stacks(paths, max_tilt_degrees=requires.max_tilt_degrees, max_uneven_mm=requires.max_uneven_mm)
    stack, notes = choose_stack(*found, requires, manifest.manufacturer)
    return stack, make_upright(stack, load_volume(stack)), notes, paths


def _make_context(
    warm: Warm, stack: Stack, volume: Volume, manifest: Manifest, prior: Path | None, after: str
) -> Context:
    """What a job would be told: the earlier study, and what the pipeline `after` finds in both."""

    def look(seen: Volume) -> dict[str, Segment]:
        found = warm.get(after).run(seen, lambda *_: None)
        return {segment.key: segment for segment in found.segments if not segment.is_empty}

    before = look(volume) if after else {}
    if prior is None:
        return Context((), before, bool(after))
    earlier, read, _, _ = _read(prior, manifest)
    days = count_days(*(str(find_value(one.first, "StudyDate") or "") for one in (earlier, stack)))
    study = PriorStudy(days or 0, lambda: read.volume, lambda: look(read.volume) if after else None)
    return Context((study,), before, bool(after))


def _describe(finding: Finding) -> dict[str, Any]:
    return {
        "what": finding.concept.meaning,
        "where": " ".join(code.meaning for code in (finding.laterality, finding.site) if code is not None),
        "present": not finding.absent,
        "values": [f"{m.concept.meaning} {m.value:.4g} {m.unit.value}" for m in finding.measurements]
        + [f"{question.meaning}: {answer.meaning}" for question, answer in finding.qualifiers],
    }


def _draw(stack: Stack, result: Result, manifest: Manifest, paths: list[Path], out: Path) -> str:
    """The path of the picture; "" when there is no segment to draw."""
    if all(segment.is_empty for segment in result.segments):
        return ""
    author = Authorship("0" * 32, manifest, datetime.now(UTC), "WETREAD")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="wetread-tryout-") as place:
        path = Path(place) / "seg.dcm"
        encode_segmentation(stack, result, author).save_as(path, enforce_file_format=True)
        return str(montage(path, paths, out / f"{manifest.name}.png", f"{manifest.name} {manifest.version}"))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
