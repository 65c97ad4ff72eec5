"""`python -m workers.tryout PIPELINE FOLDER OUT [PRIOR [AFTER]]`: a pipeline on the images in a folder, without a node.

PRIOR: a folder with an earlier study; AFTER: the pipeline that it comes after, which is run on both first.

Prints JSON: which series was read, findings, notes, and the path of a picture: the segments over the images, or a sheet
of planes with what was found where there is no segment, or a tilted gantry. Nothing is stored, queued or sent; the
Segmentation is made in a folder that goes again.
"""

import json
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from node.config import load_settings
from node.demo.montage import montage
from node.dicom.authorship import Authorship
from node.dicom.capture import draw_result
from node.dicom.find_stack import find_stack
from node.dicom.header import find_value
from node.dicom.kind import read_kind
from node.dicom.lettering import find_lettering
from node.dicom.segmentation import encode_segmentation
from node.dicom.stack import Stack
from node.dicom.upright import make_upright
from node.dicom.volume import load_volume
from node.dicom.wording import format_value, list_axes, name_measurement
from node.errors import WetreadError
from node.outbound.send import find_files
from pipelines.errors import PipelineError, UnknownPipeline
from pipelines.pipeline import ContextModel, Model
from pipelines.steps.axes import with_axes
from pipelines.terms import Context, Finding, Manifest, PriorStudy, Result, Segment, Volume, get_manifest
from workers.context import count_days
from workers.device import pick_device
from workers.look import check_pixels
from workers.warm import Warm

NOTHING = Context()


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
    manifest = _find_manifest(name)
    if after:
        _find_manifest(after)
    stack, volume, notes = _read(folder, manifest)
    warm = Warm(device)
    model = warm.get(name)
    start = time.perf_counter()
    context = _make_context(warm, stack, volume, manifest, prior, after)
    result = run_alone(model, stack, volume, context)
    seconds = time.perf_counter() - start
    author = Authorship("0" * 32, manifest, datetime.now(UTC), "WETREAD")
    return {
        "read": notes[0],
        "seconds": round(seconds, 2),
        "findings": [_describe(finding, result) for finding in result.findings],
        "notes": [note.text for note in result.notes],
        "picture": _draw(stack, volume, result, author, out),
    }


def _find_manifest(name: str) -> Manifest:
    try:
        return get_manifest(name)
    except KeyError as error:
        raise UnknownPipeline(str(error.args[0])) from None


def run_alone(model: Model, stack: Stack, volume: Volume, context: Context = NOTHING) -> Result:
    """What `model` says of `volume`, the voxels of `stack`, with `context` beside them and what kind of series the
    header says it is. Raises PipelineError."""
    upright = make_upright(stack, volume)
    if isinstance(model, ContextModel):
        found = model.run_with(upright.volume, replace(context, told=read_kind(stack)), lambda *_: None)
    else:
        found = model.run(upright.volume, lambda *_: None)
    return with_axes(upright.restore(found), volume.spacing)


def _read(folder: Path, manifest: Manifest) -> tuple[Stack, Volume, tuple[str, ...]]:
    """The series in `folder` that suits, and sentences on the choice."""
    paths, _ = find_files(folder)
    stack, notes = find_stack(paths, manifest)
    volume = load_volume(stack)
    check_pixels(stack, volume, manifest.requires)
    return stack, volume, notes


def _make_context(
    warm: Warm, stack: Stack, volume: Volume, manifest: Manifest, prior: Path | None, after: str
) -> Context:
    """What a job would be told: the earlier study, and what the pipeline `after` finds in both."""

    def look(seen: Volume) -> dict[str, Segment]:
        found = warm.get(after).run(seen, lambda *_: None)
        return {segment.key: segment for segment in found.segments if not segment.is_empty}

    before = look(make_upright(stack, volume).volume) if after else {}
    if prior is None:
        return Context((), before, bool(after))
    earlier, voxels, _ = _read(prior, manifest)
    seen = make_upright(earlier, voxels).volume
    days = count_days(*(str(find_value(one.first, "StudyDate") or "") for one in (earlier, stack)))
    study = PriorStudy(days or 0, lambda: seen, lambda: look(seen) if after else None)
    return Context((study,), before, bool(after))


def _describe(finding: Finding, result: Result) -> dict[str, Any]:
    segment = next((one for one in result.segments if one.key == finding.segment_key), None)
    return {
        "what": segment.label if segment is not None else finding.concept.meaning,
        "where": " ".join(code.meaning for code in (finding.laterality, finding.site) if code is not None),
        "present": not finding.absent,
        "values": [" ".join(axis) for axis in list_axes(finding)]
        + [f"{name_measurement(m)} {format_value(m)}" for m in finding.measurements]
        + [f"{question.meaning}: {answer.meaning}" for question, answer in finding.qualifiers],
    }


def _draw(stack: Stack, volume: Volume, result: Result, author: Authorship, out: Path) -> str:
    """The path of the picture."""
    out.mkdir(parents=True, exist_ok=True)
    name, target = author.manifest.name, out / f"{author.manifest.name}.png"
    if not stack.is_upright or all(segment.is_empty for segment in result.segments):
        picture, _ = draw_result(stack, volume, result, author, find_lettering())
        Image.fromarray(picture).save(target)
        return str(target)
    with tempfile.TemporaryDirectory(prefix="wetread-tryout-") as place:
        path = Path(place) / "seg.dcm"
        encode_segmentation(stack, result, author).save_as(path, enforce_file_format=True)
        return str(montage(path, stack.paths, target, f"{name} {author.manifest.version}"))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
