"""An answer is worth more than its explanation: what cannot be explained is said, and nothing is lost."""

import time
from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from node.config import load_settings
from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from node.errors import ConfigError
from node.model.job import State
from node.sections import Peer, Pipeline
from pipelines.errors import BundleCrashed, BundleOutOfMemory, MissingInputs
from pipelines.terms import Context, Note
from tests.jobs import JOB
from tests.results import make_empty_result
from tests.series import make_series
from workers.explaining import explain, find_way
from workers.hands import Hands

QUIET = lambda *_: None  # noqa: E731


@pytest.mark.parametrize("way", ["mirror", ""])
def test_a_job_s_map_its_picture_and_what_the_report_says_of_them_are_delivered_where_it_is_wanted(node, way):
    objects = ["segmentation", "report", "map", "capture"]
    update = {
        "pipelines": {"companion": Pipeline(explain=way)},
        "peers": {"pacs": Peer.model_validate({"ae_title": "PACS", "address": "pacs:104", "objects": objects})},
    }
    node.settings = node.settings.model_copy(update=update)
    node.hands = Hands(node.settings)
    uid = generate_uid(None)
    voxels = np.arange(5 * 16 * 18, dtype=np.int16).reshape(5, 16, 18)
    node.keep(make_series((5, 16, 18), voxels=voxels, StudyInstanceUID=JOB.study_uid, SeriesInstanceUID=uid))
    job = replace(JOB, pipeline="companion", deliver=("pacs",), series_uids=(), created_at=time.time())
    (job,) = node.run(job)
    assert job.state == State.ENCODED, job.reason
    assert len(node.ledger.find_objects(job.id)) == len(node.ledger.find_deliveries(job.id)) == (4 if way else 2)
    report = node.read(job, "SR")
    texts = [str(element.value) for element in report.iterall() if element.keyword == "TextValue"]
    assert any("It is what it is" in text for text in texts) == bool(way)
    if not way:
        return
    scalars = next(dcmread(node.settings.outbox / o.path) for o in node.ledger.find_objects(job.id) if o.kind == "map")
    linked = [item.ReferencedSOPSequence[0] for item in report.ContentSequence[-1].ContentSequence]
    assert linked[0].ReferencedSOPInstanceUID == scalars.SOPInstanceUID
    assert len(linked) == 2
    (stack,), _ = read_stacks(sorted((node.settings.spool / "kept").glob("*.dcm")))
    values = np.frombuffer(scalars.FloatPixelData, "<f4").reshape(stack.shape)
    assert np.array_equal(values, load_volume(stack).voxels)


class Mute:
    """A model without explanations."""

    def run(self, volume, progress):
        return make_empty_result()


class Talking(Mute):
    def __init__(self, error=None):
        self._error = error

    def explain(self, volume, result, way, progress):
        if self._error is not None:
            raise self._error
        return replace(result, notes=(Note(f"by {way}"),))


class Companion(Talking):
    """A model whose explanation, too, asks for more than the volume."""

    def run_with(self, volume, context, progress):
        return make_empty_result()

    def explain_with(self, volume, context, result, way, progress):
        if self._error is not None:
            raise self._error
        return replace(result, notes=(Note(f"by {way}, complete: {context.is_complete}"),))


def ask(model, **more):
    return explain(model, None, make_empty_result(), "tta", QUIET, **more)


def test_what_the_model_says_is_taken():
    assert [note.text for note in ask(Talking()).notes] == ["by tta"]


def test_a_model_that_asks_for_it_is_told_what_it_was_told_beside_the_volume():
    told = ask(Companion(), make_context=lambda: Context(is_complete=True))
    assert [note.text for note in told.notes] == ["by tta, complete: True"]
    assert ask(Companion(MissingInputs("no earlier study"))).notes[-1].text.endswith("was made: no earlier study.")


@pytest.mark.parametrize(
    ("model", "why"), [(Mute(), "has no way to"), (Talking(BundleCrashed("its process ended")), "its process ended")]
)
def test_what_cannot_be_explained_is_a_note(model, why):
    result = ask(model)
    assert result.findings == make_empty_result().findings
    assert result.notes[-1].text.startswith("No explanation (tta) was made:")
    assert why in result.notes[-1].text


def test_what_another_try_may_cure_is_no_note():
    with pytest.raises(BundleOutOfMemory):
        ask(Talking(BundleOutOfMemory("too little")))


def load(tmp_path, text):
    (tmp_path / "wetread.toml").write_text(text)
    return load_settings(tmp_path / "wetread.toml", {})


def test_it_is_off_by_default_and_chosen_by_the_name_of_the_pipeline(tmp_path):
    job = replace(JOB, pipeline="lung-seg")
    assert find_way(job, load(tmp_path, "")) == ""
    settings = load(tmp_path, '[pipelines.lung-seg]\nexplain = "tta"\n')
    assert find_way(job, settings) == "tta"
    assert find_way(replace(JOB, pipeline="brain-extract"), settings) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[pipelines.lung-sgg]\nexplain = "tta"\n', "pipelines.lung-sgg: no such pipeline; there are: brain-extract"),
        ('[pipelines.lung-seg]\nexplain = "tarot"\n', "'tarot' is none of its ways: tta, gradients"),
        ('[pipelines.series-kind]\nexplain = "tta"\n', "is none of its ways: grounds"),
    ],
)
def test_a_way_that_a_pipeline_does_not_have_stops_the_start(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        load(tmp_path, text)
