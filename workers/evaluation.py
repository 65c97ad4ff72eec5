"""`python -m workers.evaluation PIPELINE DATASET OUT COMMAND`: a pipeline over cases with reference answers.

Prints JSON: tables, Markdown, each case's outcome, and the path of a picture of the worst case. Progress goes to the
terminal by way of standard error.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from node.config import load_settings
from node.dicom.lettering import find_lettering
from node.dicom.overlay import Color, Picture
from node.dicom.sheet import Line, Tile, choose_window, draw_sheet, spread_planes
from node.errors import InputError, WetreadError
from pipelines.errors import PipelineError, UnsuitableVolume
from pipelines.evaluation.figures import make_tables
from pipelines.evaluation.interval import DRAWS, SEED
from pipelines.evaluation.markdown import write_markdown
from pipelines.evaluation.reference import Outcome, Reference, find_mask, is_called, judge, refuse
from pipelines.pipeline import Model
from pipelines.steps.axes import with_axes
from pipelines.terms import Manifest, Mask, Result, Volume, get_manifest
from workers.cases import Case, Loaded, find_cases, load_images, load_reference
from workers.device import pick_device
from workers.look import check_pixels
from workers.tryout import run_alone
from workers.warm import Warm

TRUTH_COLOR: Color = (90, 220, 120)
FOUND_COLOR: Color = (250, 140, 60)
TILES = 12
NOTE = "dataset.json"


def main(name: str, dataset: str, out: str, command: str) -> int:
    """The exit code; a foreseen error is {"error": name, "text": sentence} and 1."""
    settings = load_settings()
    try:
        said = evaluate(name, Path(dataset), Path(out), command, pick_device(settings.work.device, 0))
    except (WetreadError, PipelineError) as error:
        said = {"error": type(error).__name__, "text": str(error)}
    except KeyError as error:
        said = {"error": "UnknownPipeline", "text": str(error.args[0])}
    sys.stdout.write(json.dumps(said) + "\n")
    return 1 if "error" in said else 0


def evaluate(name: str, dataset: Path, out: Path, command: str, device: str) -> dict[str, Any]:
    """What `main` prints. Raises CannotUnderstand for a dataset that is none, PipelineError when there is no model."""
    manifest = get_manifest(name)
    cases = find_cases(dataset, manifest.requires.modality)
    model = Warm(device).get(name)
    worst: Run | None = None
    outcomes, names = [], Names()
    for case in _show_progress(name, cases):
        run = run_case(case, manifest, model)
        names.note(run)
        outcomes.append(replace(run.outcome, patient=case.patient, part=case.part))
        if worst is None or run.outcome.badness > worst.outcome.badness:
            worst = run
    note = json.loads((dataset / NOTE).read_text("utf-8")).get("note", "") if (dataset / NOTE).is_file() else ""
    warnings = list(names.list_unmet())
    tables = list(make_tables(outcomes))
    return {
        "pipeline": manifest.name,
        "version": manifest.version,
        "weights_sha256": manifest.weights_sha256,
        "dataset": dataset.name,
        "note": note,
        "warnings": warnings,
        "bootstrap": {"draws": DRAWS, "seed": SEED},
        "tables": [asdict(table) for table in tables],
        "cases": [asdict(outcome) for outcome in outcomes],
        "worst": worst.outcome.case if worst and worst.outcome.badness else "",
        "picture": _draw(worst, out / f"{name}-worst.png") if worst else "",
        "markdown": write_markdown(
            f"{manifest.name} {manifest.version}", command, " ".join([note, *warnings]).strip(), tables, outcomes
        ),
    }


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One case: how it went, and what is drawn of it. loaded, result: None where there were none."""

    outcome: Outcome
    truth: Reference
    loaded: Loaded | None = None
    result: Result | None = None


@dataclass(slots=True)
class Names:
    """What references call things, and what the pipeline does: a slip in a name would count as nothing found."""

    asked: set[str] = field(default_factory=set)
    met: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=set)

    def note(self, run: Run) -> None:
        """Takes in the names of a case."""
        segments = run.result.segments if run.result is not None else ()
        self.asked |= run.truth.masks.keys()
        self.given |= {segment.key for segment in segments}
        self.met |= {name for name in run.truth.masks if any(is_called(segment, name) for segment in segments)}

    def list_unmet(self) -> Iterator[str]:
        """A sentence for each name by which nothing was ever found."""
        known = ", ".join(sorted(self.given)) or "nothing"
        for name in sorted(self.asked - self.met):
            yield f"Nothing was ever found by the name {name!r} of the references; what was found is called {known}."


def run_case(case: Case, manifest: Manifest, model: Model) -> Run:
    """How `case` went; images that the pipeline refuses are a case without an answer."""
    loaded = None
    try:
        loaded = load_images(case, manifest)
        result = answer(loaded, manifest, model)
    except (InputError, UnsuitableVolume) as error:
        truth = load_reference(case, loaded)
        return Run(refuse(case.name, f"{type(error).__name__}: {error}", truth), truth, loaded)
    truth = load_reference(case, loaded)
    return Run(judge(case.name, result, loaded.volume, truth), truth, loaded, result)


def answer(loaded: Loaded, manifest: Manifest, model: Model) -> Result:
    """What `model` finds. DICOM goes the way of a node's jobs, other images straight to the model."""
    if loaded.stack is None:
        return with_axes(model.run(loaded.volume, lambda *_: None), loaded.volume.spacing)
    check_pixels(loaded.stack, loaded.volume, manifest.requires)
    return run_alone(model, loaded.stack, loaded.volume)


def _show_progress(name: str, cases: list[Case]) -> Iterator[Case]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(name, total=len(cases))
        for case in cases:
            progress.update(bar, description=f"{name}: {case.name}")
            yield case
            progress.advance(bar)


def _draw(run: Run, target: Path) -> str:
    """The path of a picture of `run`; "" when there are no images of it."""
    if run.loaded is None:
        return ""
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_case(run.outcome.case, run.loaded.volume, run.truth, run.result)).save(target)
    return str(target)


def draw_case(name: str, volume: Volume, truth: Reference, result: Result | None) -> Picture:
    """Planes of `volume` as RGB, with the outlines of the reference and of what was found: by the names of its masks,
    of all where it has none; and with the boxes of findings where there were targets."""
    true = _join(truth.masks.values(), volume)
    found = np.zeros(volume.shape, bool)
    if result is not None and truth.masks:
        found |= _join((find_mask(result, name, volume) for name in truth.masks), volume)
    elif result is not None:
        found |= _join((segment.mask for segment in result.segments), volume)
    for finding in result.findings if result is not None and truth.targets is not None else ():
        if finding.box is not None and not finding.absent:
            found |= finding.box.to_mask(volume.shape)
    planes = spread_planes(np.asarray((true | found).any(axis=(1, 2))), TILES)
    tiles = [Tile(k, f"plane {k + 1}", ((true[k], TRUTH_COLOR), (found[k], FOUND_COLOR))) for k in planes]
    window = choose_window(volume, [(volume.voxels, true)])
    legend = [Line("reference", color=TRUTH_COLOR), Line("found" if result else "no answer", color=FOUND_COLOR)]
    return draw_sheet(volume, tiles, window, [Line(f"Worst case: {name}")], legend, find_lettering())


def _join(masks: Iterable[Mask], volume: Volume) -> Mask:
    joined: Mask = np.zeros(volume.shape, bool)
    for mask in masks:
        joined |= mask
    return joined


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
